import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import { HintError } from '../../src/util/errors.js';
import type { Task, TaskExample, TaskTrainingProgress } from '../../src/inference/task/task.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const definition = 'Say the colour.';
const examples: TaskExample[] = [
  { input: 'a red hat', output: 'red' },
  { input: 'two blue shoes and one very old coat', output: 'blue or so' },
  { input: 'x', output: 'y' },
];
const inputs = ['a red hat', 'a green tree', 'x'];

const directories: string[] = [];
let folder: string;
let engine: Engine;
let task: Task;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-train-task-'));
  directories.push(folder, await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[1] as string, { threads: 1 });
  task = await engine.compile({ definition });
});

afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

const textsOf = async (of: Task): Promise<string[]> =>
  (await of.generate(inputs, { maxTokens: 6 })).map(({ text }) => text);

async function lossesOf(of: Task, options: Parameters<Task['train']>[1]): Promise<number[]> {
  const losses: number[] = [];
  const trained = await of.train(examples, { ...options, onStep: ({ loss }) => losses.push(loss) });
  trained.dispose();
  return losses;
}

describe('training a task on examples', () => {
  it('fits the examples and leaves model and task as they were', async () => {
    const before = await textsOf(task);
    const told: TaskTrainingProgress[] = [];
    const options = {
      steps: 60,
      learningRate: 0.03,
      onStep: (step: TaskTrainingProgress) => void told.push(step),
    };
    using trained = await task.train(examples, options);
    expect(told.map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect(told.at(-1)!.loss).toBeLessThan(told[0]!.loss / 2);
    expect(trained.training).toEqual({ examples: 3, steps: 60, batchSize: 3, learningRate: 0.03, seed: 0 });
    expect(trained.origin).toEqual(task.origin);
    const after = await textsOf(trained);
    expect(after).not.toEqual(before);
    expect(await textsOf(task)).toEqual(before);
    expect(task.training).toBeUndefined();
  });

  it('begins at the loss that the compiled task has', async () => {
    const [first] = await lossesOf(task, { steps: 1 });
    const choices = examples.map(({ output }) => [output as string]);
    const scores = await task.scoreChoices(examples.map(({ input }) => input) as string[], choices);
    const tokens = examples.map(({ output }) => engine.tokenizer!.encode(output as string).length);
    const total = scores.reduce((sum, { scores: [score] }) => sum + (score as number), 0);
    const mean = total / tokens.reduce((sum, count) => sum + count, 0);
    expect(Math.abs(first!) / Math.abs(mean)).toBeCloseTo(1, 4);
  });

  it('gives the same bits again, and the same to rounding when computed in pieces', async () => {
    const whole = await lossesOf(task, { steps: 5, seed: 3 });
    expect(await lossesOf(task, { steps: 5, seed: 3 })).toEqual(whole);
    const pieces = await lossesOf(task, { steps: 5, seed: 3, tokenBudget: 1 });
    pieces.forEach((loss, step) => expect(loss / whole[step]!).toBeCloseTo(1, 4));
  });

  it('is saved as a task file, and does not stand in for what its definition compiles to', async () => {
    const path = join(folder, 'trained.safetensors');
    using trained = await task.train(examples, { steps: 20, learningRate: 0.03 });
    const texts = await textsOf(trained);
    await trained.save(path);
    using loaded = await engine.loadTask(path);
    expect(await textsOf(loaded)).toEqual(texts);
    expect(loaded.training).toEqual(trained.training);
    using ofFile = await engine.tasks.load(path);
    expect(await textsOf(ofFile)).toEqual(texts);
    expect(engine.tasks.list()).toEqual([]);
    using compiled = await engine.tasks.get({ definition });
    expect(await textsOf(compiled)).toEqual(await textsOf(task));
    engine.tasks.clear();
  });

  it('goes on from a trained task', async () => {
    using once = await task.train(examples, { steps: 20, learningRate: 0.03 });
    const [before] = await lossesOf(task, { steps: 1 });
    const [after] = await lossesOf(once, { steps: 1 });
    expect(after).toBeLessThan(before!);
    using twice = await once.train(examples.slice(0, 1), { steps: 1 });
    expect(twice.training?.examples).toBe(4);
  });

  it('runs in common batches beside other tasks, and while those are answered', async () => {
    const before = await textsOf(task);
    const training = task.train(examples, { steps: 20, learningRate: 0.03 });
    expect(await textsOf(task)).toEqual(before);
    using trained = await training;
    const alone = await textsOf(trained);
    const requests = inputs.flatMap((input) => [
      { task, input },
      { task: trained, input },
    ]);
    const mixed = await engine.generate(requests, { maxTokens: 6 });
    expect(mixed.map(({ text }) => text)).toEqual(
      inputs.flatMap((_, index) => [before[index], alone[index]]),
    );
  });

  it('gives all memory back', async () => {
    await lossesOf(task, { steps: 2 });
    await engine.model.device.synchronize();
    const { bytes } = engine.memory;
    await lossesOf(task, { steps: 2 });
    await engine.model.device.synchronize();
    expect(engine.memory.bytes).toBeLessThanOrEqual(bytes);
  });
});

describe('what cannot be trained', () => {
  it('is refused with what to do', async () => {
    await expect(task.train([])).rejects.toThrow(/no example to train on/);
    await expect(task.train([{ input: ' ', output: 'red' }])).rejects.toThrow(/Input number 0 is empty/);
    await expect(task.train([{ input: 'a', output: new Int32Array(0) }])).rejects.toThrow(/Output number 0/);
    await expect(task.train(examples, { maxOutputTokens: 1 })).rejects.toThrow(/raise maxOutputTokens/);
    await expect(task.train(examples, { learningRate: 0 })).rejects.toThrow(/options\.learningRate is 0/);
    await expect(task.train([{ input: Int32Array.of(9999), output: 'a' }])).rejects.toThrow(/9999/);
  });

  it('ends when it is aborted, and gives its memory back', async () => {
    await lossesOf(task, { steps: 1 });
    await engine.model.device.synchronize();
    const { bytes } = engine.memory;
    const controller = new AbortController();
    const onStep = ({ step }: TaskTrainingProgress): void => {
      if (step === 2) controller.abort();
    };
    await expect(task.train(examples, { signal: controller.signal, onStep })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await engine.model.device.synchronize();
    expect(engine.memory.bytes).toBeLessThanOrEqual(bytes);
  });

  it('gives its memory back wherever the device refuses to make or compute a tensor', async () => {
    await lossesOf(task, { steps: 1 });
    const { device } = engine.model;
    const apply = device.apply.bind(device);
    const train = async (failing: number): Promise<number> => {
      let calls = 0;
      const spy = vi.spyOn(device, 'apply').mockImplementation((...call) => {
        if (calls++ === failing) throw new HintError('OUT_OF_MEMORY', 'There is no memory left.');
        return apply(...call);
      });
      const training = task.train(examples, { steps: 1 });
      if (failing < Infinity) await expect(training).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
      else (await training).dispose();
      spy.mockRestore();
      return calls;
    };
    const calls = await train(Infinity);
    await device.synchronize();
    const { bytes } = engine.memory;
    // The first make copies and moments, the last the trained task.
    const failing = [...Array(16).keys(), ...Array.from({ length: 16 }, (_, i) => calls - 16 + i)];
    const leaking: number[] = [];
    for (const call of failing) {
      const before = engine.memory.bytes;
      await train(call);
      await device.synchronize();
      if (engine.memory.bytes > Math.max(before, bytes)) leaking.push(call);
    }
    expect(leaking).toEqual([]);
  });

  it.each([
    ['a T5 without hypernetwork', null],
    ['a HINT without modules', { adapter_size: 0, prefix_length: 0 }],
    [
      'learned modules',
      { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false },
    ],
  ])('says so of %s', async (_, hint) => {
    const directory = await writeModel(tinyConfig(hint));
    directories.push(directory);
    await using plain = await Engine.open(directory, { threads: 1 });
    using of = hint && 'generator' in hint ? await plain.plain() : await plain.compile({ definition });
    await expect(of.train(examples)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});
