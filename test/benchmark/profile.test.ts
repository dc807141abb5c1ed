import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { profileLatency, type ProfileOptions } from '../../src/benchmark/profile/profile-latency.js';
import { profileTraining } from '../../src/benchmark/profile/profile-training.js';
import { nameInferencePhases, nameTrainingPhases, REST } from '../../src/benchmark/profile/phases.js';
import {
  profileMarkdown,
  profileOf,
  type Profile,
  type ProfilePart,
} from '../../src/benchmark/profile/profile-table.js';
import { ProfileRecorder, type ProfiledCall } from '../../src/benchmark/profile/recorder.js';
import { endless, randomModel, randomTokens, uniforms } from '../../src/benchmark/random-model.js';
import { drawBatch } from '../../src/benchmark/training-examples.js';
import { EngineSteps } from '../../src/benchmark/training-steps.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { plainModel } from '../../src/model/hint/plain-model.js';
import { Device } from '../../src/tensor/device.js';
import { native } from '../../src/tensor/native.js';
import { FULL_HINT, tinyConfig } from '../inference/models.js';

const config = endless(tinyConfig(FULL_HINT));
const uniform = uniforms(11);
const rows = (count: number, length: number): Int32Array[] =>
  Array.from({ length: count }, () => randomTokens(uniform, length, config.vocabSize));

let device: Device;
let model: EncoderDecoderModel;
beforeAll(async () => {
  device = new Device({ threads: 1 });
  model = await randomModel(device, config);
});
afterAll(() => device.close());

const total = (calls: readonly ProfiledCall[], of: (call: ProfiledCall) => number): number =>
  calls.reduce((sum, call) => sum + of(call), 0);

async function counted(work: () => Promise<unknown>): Promise<{ commands: number; flops: number }> {
  await device.synchronize();
  const before = device.statistics();
  await work();
  await device.synchronize();
  const after = device.statistics();
  return { commands: after.commands - before.commands, flops: after.flops - before.flops };
}

describe('a profile', () => {
  it('of inference has every call that the device runs, with the work that the device counts', async () => {
    const instruction = randomTokens(uniform, 9, config.vocabSize);
    const inputs = rows(5, 7);
    for (const dtype of ['f32', 'bf16', 'int8'] as const) {
      model.releaseInference();
      model.inferenceDType = dtype;
      await model.prepareInference();
      const engine = new Engine(model);
      const run = async (recorder?: ProfileRecorder): Promise<Int32Array[]> => {
        if (recorder) recorder.phase = 'compile';
        using task = await engine.compileTokens(instruction);
        if (recorder) recorder.phase = REST;
        return (await task.generate(inputs, { maxTokens: 4 })).map(({ tokens }) => tokens);
      };
      const expected = await run();
      const plain = await counted(run);
      let tokens: Int32Array[] = [];
      let calls: ProfiledCall[] = [];
      const during = await counted(async () => {
        ({ calls } = await ProfileRecorder.record(device, REST, async (recorder) => {
          const restore = nameInferencePhases(model, recorder);
          tokens = await run(recorder);
          restore();
        }));
      });
      expect(tokens).toEqual(expected);
      expect(during).toEqual(plain);
      expect(calls).toHaveLength(plain.commands);
      expect(total(calls, ({ flops }) => flops)).toBeCloseTo(plain.flops, 0);
      // What a task keeps in fewer bits is widened before its inputs are read, where attention reads f32.
      const widening = dtype !== 'f32' && model.t5.computeDtype === 'f32' ? [REST] : [];
      expect(new Set(calls.map(({ phase }) => phase))).toEqual(new Set(['compile', ...widening, 'encoder', 'cross keys', 'decode step'])); // prettier-ignore
      expect(calls.every(({ bytes, seconds }) => bytes >= 0 && seconds >= 0)).toBe(true);
      // A processor without products in a dtype may hold f32 instead.
      const wanted = { f32: 'f32', bf16: 'bf16', int8: 'i8' }[dtype];
      for (const { op, dtype: held } of calls)
        if (op === 'packed_linear') expect(['f32', 'bf16', wanted]).toContain(held);
    }
    model.releaseInference();
  });

  it('of plain T5 with several batches counts the same work, too', async () => {
    const plainT5 = plainModel(model);
    const inputs = [...rows(3, 6), ...rows(4, 11)];
    const run = () => generateTokens(plainT5, { inputs, maxTokens: 5, batchSize: 3 });
    await run();
    const plain = await counted(run);
    const { calls } = await ProfileRecorder.record(device, REST, run);
    expect(calls).toHaveLength(plain.commands);
    expect(total(calls, ({ flops }) => flops)).toBeCloseTo(plain.flops, 0);
    plainT5.releaseInference();
  });

  it.each(['none', 'layers', 'both'] as const)(
    'of training has forward, backward and update, with the work that the device counts (run again: %s)',
    async (backward) => {
      const steps = await EngineSteps.create(await randomModel(device, config), {
        ...{ tokenBudget: 120, computeDtype: 'f32', paramDtype: 'f32', backward },
      });
      const batch = drawBatch(uniforms(3), { batchSize: 4, tasks: 2, vocabSize: config.vocabSize }).hint;
      await steps.step(batch);
      const plain = await counted(() => steps.step(batch));
      const { calls } = await ProfileRecorder.record(device, 'forward', async (recorder) => {
        const restore = nameTrainingPhases(recorder);
        await steps.step(batch);
        restore();
      });
      expect(calls).toHaveLength(plain.commands);
      expect(total(calls, ({ flops }) => flops) / plain.flops).toBeCloseTo(1, 9);
      expect([...new Set(calls.map(({ phase }) => phase))]).toEqual(['forward', 'backward', 'update']);
      for (const { phase, pass, op } of calls) {
        if (pass === 'backward') expect(phase).toBe('backward');
        if (op === 'adafactor') expect(phase).toBe('update');
      }
      expect(calls.some(({ phase, op, pass }) => phase === 'backward' && op === 'linear' && pass === 'forward')).toBe(backward !== 'none'); // prettier-ignore
    },
  );

  it('leaves nothing behind, also when the work fails', async () => {
    const before = native();
    const fault = ProfileRecorder.record(device, REST, () => Promise.reject(new Error('a fault')));
    await expect(fault).rejects.toThrow('a fault');
    expect(native()).toBe(before);
    expect(Object.hasOwn(device, 'apply')).toBe(false);
  });

  it('adds up: shares to those of phases, roofs by the slower of products and memory', () => {
    const call = (phase: string, op: string, more: Partial<ProfiledCall>): ProfiledCall => ({
      ...{ phase, op, pass: 'forward', dtype: 'f32', seconds: 1, waitSeconds: 0, cpuSeconds: 1 },
      ...{ flops: 0, bytes: 0, ...more },
    });
    const calls = [
      call('encoder', 'packed_linear', { flops: 50, bytes: 1, seconds: 2, cpuSeconds: 4 }),
      call('encoder', 'rms_norm', { bytes: 5 }),
      call('decode step', 'packed_linear', { flops: 80, bytes: 2, dtype: 'i8', waitSeconds: 1 }),
    ];
    const roofs = { products: { f32: 100, int8: 200 }, memory: 10 };
    const { phases, ops, seconds } = profileOf(
      'x',
      [
        { calls, seconds: 5 },
        { calls, seconds: 5 },
      ],
      4,
      roofs,
      2,
    );
    expect(seconds).toBe(5);
    expect(phases.map(({ phase, share, calls: count }) => [phase, share, count])).toEqual([
      ['encoder', 0.6, 2],
      ['decode step', 0.2, 1],
    ]);
    expect(
      ops.map(({ op, phase, shareOfRoof, bound, idle }) => [op, phase, shareOfRoof, bound, idle]),
    ).toEqual([
      ['packed_linear', 'encoder', 0.25, 'products', 0],
      ['rms_norm', 'encoder', 0.5, 'memory', 0.5],
      ['packed_linear', 'decode step', 0.4, 'products', 0.75],
    ]);
    expect(phases[0]).toMatchObject({ flops: 50, bytes: 6, shareOfRoof: 1 / 3, seconds: 3 });
  });
});

describe('hint bench --profile', () => {
  const options: ProfileOptions = {
    model: resolve(import.meta.dirname, '../fixtures/original/greedy'),
    ...{ adapterSize: 8, shots: [0], examples: 3, rounds: 2, dtypes: ['f32', 'int8'], roofSide: 64 },
    systems: ['hint', 't5', 'hf'],
  };
  const isWhole = ({ seconds, phases, ops }: Profile): void => {
    const all = (of: Profile['ops']): number =>
      of.reduce((sum, row) => sum + row.seconds + row.waitSeconds, 0);
    expect(all(ops)).toBeCloseTo(all(phases), 9);
    expect(all(ops)).toBeLessThanOrEqual(seconds);
    for (const { idle, shareOfRoof, calls } of ops) {
      expect(idle).toBeGreaterThanOrEqual(0);
      expect(idle).toBeLessThanOrEqual(1);
      expect(shareOfRoof).toBeGreaterThanOrEqual(0);
      expect(Number.isInteger(calls)).toBe(true);
    }
  };

  it('tells inference by system, dtype, phase and op', async () => {
    const part = await profileLatency(options);
    expect(part.profiles.map(({ name }) => name)).toEqual([
      'HINT in f32, 0 shots',
      'plain T5 in f32, 0 shots',
      'HINT in int8, 0 shots',
      'plain T5 in int8, 0 shots',
    ]);
    part.profiles.forEach(isWhole);
    // Engines of int8 multiply bf16, too.
    expect(Object.keys(part.roofs.products)).toEqual(['f32', 'bf16', 'int8']);
    const text = profileMarkdown(JSON.parse(JSON.stringify(part)) as ProfilePart);
    for (const word of [
      'compile',
      'encoder',
      'cross keys',
      'decode step',
      'gated\\_activation',
      'threads idle',
    ])
      expect(text).toContain(word);
    expect(text).not.toMatch(/NaN|undefined/);
  });

  it('tells training by phase and op', async () => {
    const part = await profileTraining({
      ...{ config, systems: ['hint', 't5', 'hf'], batchSize: 4, tasks: 2, tokenBudget: 300, rounds: 1 },
      ...{ threads: 1, roofSide: 64 },
    });
    expect(part.profiles.map(({ name }) => name)).toEqual(['HINT', 'plain T5']);
    part.profiles.forEach(isWhole);
    expect(profileMarkdown(part)).toMatch(/linear backward/);
  });

  it.each([
    [{ device: 'cuda' }, /CPU, not of cuda/],
    [{ onnx: 'exported' }, /leave --onnx out/],
    [{ systems: ['hf', 'ctranslate2'] }, /not of hf, ctranslate2; give hint or t5/],
    [{ rounds: 0 }, /rounds is 0/],
  ] as const)('refuses %j before it measures', async (wrong, message) => {
    await expect(profileLatency({ ...options, ...wrong })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    [{ device: 'cuda:1' }, /CPU, not of cuda:1/],
    [{ systems: ['hf'] }, /not of hf; give hint or t5/],
    [{ autocast: 'bf16' }, /leave --autocast out/],
    [{ peerBatch: 2 }, /leave --peer-batch out/],
    [{ hintPeer: 'hint.py' }, /leave --hint-peer out/],
  ] as const)('of training refuses %j before it measures', async (wrong, message) => {
    const training = {
      config,
      batchSize: 4,
      tasks: 2,
      tokenBudget: 300,
      rounds: 1,
      systems: ['t5'],
    } as const;
    await expect(profileTraining({ ...training, ...wrong })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });
});
