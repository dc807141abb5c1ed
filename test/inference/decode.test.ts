import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { concatenate } from '../../src/data/batch.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { EncoderDecoderNetwork } from '../../src/inference/encoder-decoder/network.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, GREEDY_MODEL, randomModel, tinyConfig } from './models.js';

interface Fixture {
  max_tokens: number;
  examples: { instruction: number[]; input: number[] }[];
}

const json = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(join(GREEDY_MODEL, name), 'utf8'));

let device: Device;
let model: EncoderDecoderModel;
let fixture: Fixture;
let expected: number[][];
let instructions: Int32Array[];
let inputs: Int32Array[];

beforeAll(async () => {
  device = new Device({ threads: 2 });
  model = await loadModel(device, GREEDY_MODEL);
  fixture = (await json('inputs.json')) as Fixture;
  expected = ((await json('expected.json')) as { tokens: number[][] }).tokens;
  instructions = fixture.examples.map(({ instruction }) => Int32Array.from(instruction));
  inputs = fixture.examples.map(({ input }) => Int32Array.from(input));
});

afterAll(() => {
  device.close();
});

const listOf = (generated: { tokens: Int32Array }[]): number[][] =>
  generated.map(({ tokens }) => Array.from(tokens));

/** More rows than the fixture: every input under every instruction. */
function manyRows(): { inputs: Int32Array[]; taskIndex: number[] } {
  const pairs = instructions.flatMap((_, task) => inputs.map((input) => ({ input, task })));
  return { inputs: pairs.map(({ input }) => input), taskIndex: pairs.map(({ task }) => task) };
}

describe('greedy decoding', () => {
  it('gives token for token what the original gives', async () => {
    const generated = await generateTokens(model, {
      instructions,
      inputs,
      taskIndex: inputs.map((_, i) => i),
      maxTokens: fixture.max_tokens,
    });
    expect(listOf(generated)).toEqual(expected);
    expect(generated.map(({ finished }) => finished)).toEqual(expected.map((tokens) => tokens.at(-1) === 1));
  });

  it('does not depend on the order or the company of the inputs', async () => {
    const { inputs: all, taskIndex } = manyRows();
    const together = await generateTokens(model, { instructions, inputs: all, taskIndex, maxTokens: 100 });
    const reversed = await generateTokens(model, {
      instructions,
      inputs: [...all].reverse(),
      taskIndex: [...taskIndex].reverse(),
      maxTokens: 100,
    });
    expect(listOf(reversed.reverse())).toEqual(listOf(together));
    const alone: number[][] = [];
    for (const [i, input] of all.entries()) {
      const instruction = instructions[taskIndex[i] as number] as Int32Array;
      alone.push(
        ...listOf(
          await generateTokens(model, { instructions: [instruction], inputs: [input], maxTokens: 100 }),
        ),
      );
    }
    expect(listOf(together)).toEqual(alone);
    // Rows left at different times and the caches grew, or this test would prove little.
    const lengths = together.map(({ tokens }) => tokens.length);
    expect(lengths.filter((length) => length < 33).length).toBeGreaterThan(lengths.length / 4);
    expect(Math.max(...lengths)).toBe(100);
  });

  it('takes the same tokens as the decoder that reads the whole output at once', async () => {
    const { inputs: all, taskIndex } = manyRows();
    const generated = await generateTokens(model, { instructions, inputs: all, taskIndex, maxTokens: 40 });
    const predicted = await device.tidy(() => {
      const tasks = device.now(model.encodeTasks(concatenate(instructions)));
      const index = Int32Array.from(taskIndex);
      const memory = device.now(model.encodeInputs(concatenate(all), tasks, index));
      const targets = concatenate(generated.map(({ tokens }) => tokens));
      const logits = model.t5.logits(device.now(model.decode(targets, memory, tasks, index)));
      return logits.read();
    });
    const { vocabSize } = model.config;
    const tokens = generated.flatMap(({ tokens: row }) => Array.from(row));
    const argmax = tokens.map((_, row) => {
      const logits = predicted.subarray(row * vocabSize, (row + 1) * vocabSize);
      return logits.indexOf(logits.reduce((best, value) => Math.max(best, value), -Infinity));
    });
    expect(argmax).toEqual(tokens);
  });

  it('compiles each instruction once, however the inputs are batched', async () => {
    const { inputs: all, taskIndex } = manyRows();
    const before = model.hypernetwork?.encodedTasks ?? 0;
    const options = { instructions, inputs: all, taskIndex, maxTokens: 8 };
    const small = await generateTokens(model, { ...options, batchSize: 3, tokenBudget: 30 });
    expect((model.hypernetwork?.encodedTasks ?? 0) - before).toBe(instructions.length);
    expect(listOf(small)).toEqual(listOf(await generateTokens(model, options)));
  });

  it('decodes inputs together that it reads a few tokens at a time', async () => {
    const opened = vi.spyOn(EncoderDecoderNetwork, 'open');
    const encoded = vi.spyOn(model, 'encodeInputs');
    const [instruction] = instructions as [Int32Array];
    const request = { instructions: [instruction], inputs, maxTokens: 8 };
    const parts = await generateTokens(model, { ...request, tokenBudget: 12 });
    expect(opened).toHaveBeenCalledTimes(1);
    const read = encoded.mock.calls.map(([part]) => part);
    expect(read.length).toBeGreaterThan(1);
    for (const { ids, offsets } of read) expect(offsets.length === 2 || ids.length <= 12).toBe(true);
    expect(read.flatMap(({ ids }) => [...ids])).toEqual(inputs.flatMap((ids) => [...ids]));
    vi.restoreAllMocks();
    expect(listOf(parts)).toEqual(listOf(await generateTokens(model, request)));
  });

  it('decodes every kind of model: plain, LoRA, learned modules', async () => {
    const rows = Array.from({ length: 5 }, (_, i) => Int32Array.of(10 + i, 70 * i + 3, 1));
    const task = Int32Array.of(5, 6, 7, 1);
    for (const hint of [
      null,
      FULL_HINT,
      { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false },
    ]) {
      const other = randomModel(device, tinyConfig(hint));
      const request = {
        ...(other.hypernetwork?.readsInstruction ? { instructions: [task] } : {}),
        maxTokens: 6,
      };
      const together = listOf(await generateTokens(other, { ...request, inputs: rows }));
      const alone = await Promise.all(
        rows.map(async (input) => listOf(await generateTokens(other, { ...request, inputs: [input] }))),
      );
      expect(together).toEqual(alone.flat());
      other.dispose();
    }
  });

  it('returns nothing for no inputs', async () => {
    expect(await generateTokens(model, { instructions, inputs: [] })).toEqual([]);
  });

  it('gives its memory back', async () => {
    const { inputs: all, taskIndex } = manyRows();
    const run = async (): Promise<number> => {
      await generateTokens(model, { instructions, inputs: all, taskIndex, maxTokens: 70, batchSize: 16 });
      // Memory comes back in the order of the stream, behind the last answer.
      await device.synchronize();
      return device.statistics().bytesInUse;
    };
    const first = await run();
    for (let i = 0; i < 3; i++) await run();
    expect(await run()).toBeLessThanOrEqual(first);
  });
});

describe('bad input', () => {
  it('names the bad option, token, task or empty input', async () => {
    const one = { instructions: instructions.slice(0, 1), inputs: inputs.slice(0, 1) };
    const failing: [object, string, RegExp][] = [
      [{ ...one, maxTokens: 0 }, 'INVALID_ARGUMENT', /maxTokens is 0/],
      [{ ...one, batchSize: 1.5 }, 'INVALID_ARGUMENT', /batchSize is 1.5/],
      [{ ...one, taskIndex: [1] }, 'INVALID_ARGUMENT', /taskIndex\[0\] is 1/],
      [{ ...one, taskIndex: [] }, 'INVALID_ARGUMENT', /0 entries for 1 inputs/],
      [{ ...one, inputs: [Int32Array.of(200, 1)] }, 'INVALID_TOKEN', /200 at position 0/],
      [
        { ...one, inputs: [Int32Array.of(5, 1), new Int32Array()] },
        'INVALID_DATA',
        /Input number 1 has no token/,
      ],
      [{ ...one, instructions: [new Int32Array()] }, 'INVALID_DATA', /instruction number 0/],
      [{ inputs: one.inputs }, 'INVALID_DATA', /instruction/],
    ];
    for (const [request, code, message] of failing) {
      await expect(generateTokens(model, request as never)).rejects.toMatchObject({ code });
      await expect(generateTokens(model, request as never)).rejects.toThrow(message);
    }
  });

  it('a model that yields NaN is an error, not a wrong answer', async () => {
    const broken = randomModel(device, tinyConfig(null));
    device.write(broken.parameters.get('lm_head.weight'), Float32Array.of(NaN));
    await expect(generateTokens(broken, { inputs: [Int32Array.of(5, 1)] })).rejects.toMatchObject({
      code: 'NUMERIC',
    });
    broken.dispose();
  });

  it('an abort ends the wait at once and leaves the device usable', async () => {
    const controller = new AbortController();
    const work = generateTokens(model, {
      instructions,
      ...manyRows(),
      maxTokens: 4096,
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 20);
    await expect(work).rejects.toMatchObject({ code: 'ABORTED' });
    const again = await generateTokens(model, {
      instructions,
      inputs,
      taskIndex: inputs.map((_, i) => i),
      maxTokens: fixture.max_tokens,
    });
    expect(listOf(again)).toEqual(expected);
  });
});
