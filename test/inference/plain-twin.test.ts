import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inferenceFlops } from '../../src/accounting/flops.js';
import { Engine } from '../../src/inference/engine.js';
import { plainModel } from '../../src/model/hint/plain-model.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import type { ModelConfig } from '../../src/model/config/config.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
const request = { definition: 'Name the animal.', examples: [{ input: 'A cat sleeps.', output: 'cat' }] };
const input = 'A horse and two birds.';
let engine: Engine;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)), await writeModel(tinyConfig(null)));
  engine = await Engine.open(directories[0] as string, { threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

describe('the plain twin of a model', () => {
  it('is its T5 alone, which reads the instruction with every input', async () => {
    const twin = engine.plainTwin() as Engine;
    expect(engine.plainTwin()).toBe(twin);
    using task = await twin.compile(request);
    expect(task.origin?.format).toBe('tk-instruct');
    expect(task.instructionTokens).toBe(0);
    using compiled = await engine.compile(request);
    expect(task.inputTokens(input)).toBeGreaterThan(
      compiled.inputTokens(input) + compiled.instructionTokens / 2,
    );
    await using plain = new Engine(plainModel(engine.model as EncoderDecoderModel), engine.tokenizer);
    using same = await plain.compile(request);
    expect(await task.generate(input, { maxTokens: 6 })).toEqual(
      await same.generate(input, { maxTokens: 6 }),
    );
  });

  it('ends with its engine and gives back what it has packed, without harm to the model', async () => {
    const own = new Engine(engine.model, engine.tokenizer);
    using before = await engine.compile(request);
    const expected = await before.generate(input, { maxTokens: 6 });
    await engine.model.device.synchronize();
    const { bytes } = engine.memory;
    const twin = own.plainTwin() as Engine;
    await (await twin.compile(request)).generate(input, { maxTokens: 2 });
    await own.close();
    await expect(twin.compile(request)).rejects.toThrow(/closed/);
    expect(() => own.plainTwin()).toThrow(/closed/);
    await engine.model.device.synchronize();
    // What earlier tests have left may have been collected meanwhile.
    expect(engine.memory.bytes).toBeLessThanOrEqual(bytes);
    expect(await before.generate(input, { maxTokens: 6 })).toEqual(expected);
  });

  it('is not there where a model reads no instruction apart', async () => {
    await using plain = await Engine.open(directories[1] as string, { threads: 1 });
    expect(plain.plainTwin()).toBeUndefined();
  });
});

describe('the FLOPs of a task', () => {
  it('are those of its lengths: the instruction once, or with every input', async () => {
    using compiled = await engine.compile(request);
    using plain = await (engine.plainTwin() as Engine).compile(request);
    const config = engine.model.config as ModelConfig;
    const lengths = {
      instruction: compiled.instructionTokens,
      input: compiled.inputTokens(input),
      output: 4,
      examples: 1,
      instructionInInput: false,
    };
    const { perTask, perExample } = inferenceFlops(config, lengths);
    expect(compiled.flops(input, 4)).toEqual({ compile: 2 * perTask.total, input: 2 * perExample.total });
    const withoutHint = (engine.plainTwin() as Engine).model.config as ModelConfig;
    const read = { ...lengths, instruction: 0, input: plain.inputTokens(input) };
    expect(plain.flops(input, 4)).toEqual({
      compile: 0,
      input: 2 * inferenceFlops(withoutHint, read).perExample.total,
    });
    expect(() => compiled.flops(input, 0)).toThrow(/outputTokens/);
  });
});
