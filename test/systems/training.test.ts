import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { toBfloat16 } from '../../src/formats/safetensors/file.js';
import { findSystem, SYSTEMS } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { contentOf, readOptimizerState, writeContent } from '../../src/training/run/checkpoint.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { createModel } from '../../src/training/run/prepare.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { valuesOf } from '../training/tiny.js';
import { floatsOf, tinyConfig, tinyExamples, tinyRun, train, trainerOf } from './tiny-systems.js';

const FIXTURES = join(import.meta.dirname, '../fixtures/original');
const device = new Device({ threads: 1 });
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-systems-'));
});
afterAll(async () => {
  device.close();
  await rm(scratch, { recursive: true, force: true });
});

/**
 * The cases of `hint verify` that hold each system's forward pass and every gradient to the original code; of a system
 * that the original does not have, the cases of what it is made of.
 */
const PARITY: Record<string, string[]> = {
  hint: [
    'hint',
    'training',
    'greedy',
    'hint-lora-all',
    'hint-no-bias',
    'hint-tanh-norm',
    'hint-unmasked-padding',
  ],
  'hint-no-fusion': ['hint-no-fusion'],
  'hint-no-peft': ['hint-fusion-only'],
  'hint-decoder': ['hint-decoder-per-layer', 'hint-decoder'],
  'hint-untied': ['hint-separate-hyperencoder'],
  'adapters-only': ['hint-adapters-only', 'hint-no-fusion'],
  'prefixes-only': ['hint-prefixes-only', 'hint-no-fusion'],
  lora: ['hint-lora'],
  'tk-instruct': ['t5-plain'],
  'tk-instruct-peft': ['peft-embedding', 'peft-static'],
  'no-instruct': ['t5-plain'],
  t0: ['t5-plain'],
  't0-peft': ['peft-embedding', 'peft-static'],
  'no-prompt': ['t5-plain'],
  hypter: ['hypter'],
  hypertune: ['hypertune', 'hint-separate-hyperencoder'],
};

/** Decoder-only systems have tests of their own, in test/model/decoder-only*.test.ts. */
const T5_SYSTEMS = SYSTEMS.filter(({ family }) => family === 't5');

describe.each(T5_SYSTEMS.map((system) => ({ name: system.name, system, cases: PARITY[system.name] })))(
  '$name (forward and backward: hint verify $cases)',
  ({ system, cases }) => {
    it('learns, and changes what it trains and nothing else', async () => {
      expect(
        cases,
        `PARITY in this file has no entry for ${system.name}: name the cases of hint verify that hold its parts to the original`,
      ).toBeDefined();
      for (const name of cases!)
        expect(existsSync(join(FIXTURES, name)), `a case ${name} in test/fixtures/original`).toBe(true);
      const { model, trainer } = await tinyRun(device, system, { steps: 6 });
      const before = await valuesOf(model);
      const reports = await train(trainer);
      expect(reports.at(-1)!.loss).toBeLessThan(reports[0]!.loss - 0.01);
      const after = await valuesOf(model);
      const trained = (name: string): boolean => system.groups.some(({ takes }) => takes(name));
      for (const [name, hash] of after) {
        expect([name, hash !== before.get(name)]).toEqual([name, trained(name)]);
      }
    });

    it('computes gradients of what it trains only', async () => {
      const { model, optimizer } = await tinyRun(device, system);
      const gradients = new Gradients(device);
      const { sums } = await accumulateGradients(model, buildBatch(tinyExamples(system)), gradients, {
        parameters: optimizer.parameters(),
        zLoss: 1e-4,
      });
      const { crossEntropy } = await sums;
      expect(crossEntropy).toBeGreaterThan(0);
      for (const [name, tensor] of model.parameters.entries()) {
        const trained = system.groups.some(({ takes }) => takes(name));
        expect([name, gradients.get(tensor) !== undefined]).toEqual([name, trained]);
      }
      gradients.dispose();
    });

    it('goes on from a checkpoint to the bit', async () => {
      const whole = await tinyRun(device, system, { dropout: 0.1 });
      const wholeReports = await train(whole.trainer);
      const half = await tinyRun(device, system, { dropout: 0.1 });
      for await (const { step } of half.trainer.steps({ settleAt: (at) => at === 2 })) if (step === 2) break;
      const folder = join(scratch, system.name);
      await writeContent(folder, contentOf(half.model, half.optimizer));
      const model = await loadModel(device, folder, { dropoutRate: 0.1 });
      const { optimizer, trainer } = await trainerOf(model, half.config, system);
      await readOptimizerState(folder, optimizer);
      await trainer.restore(half.trainer.state);
      const reports = await train(trainer);
      expect(reports.map(({ step, loss }) => [step, loss])).toEqual(
        wholeReports.slice(2).map(({ step, loss }) => [step, loss]),
      );
      expect(await valuesOf(model)).toEqual(await valuesOf(whole.model));
    });
  },
);

describe('optimizer groups', () => {
  const hint = findSystem('hint');

  it('frozen, a group gets no gradients and no state, and its weights stay', async () => {
    const { model, optimizer, trainer } = await tinyRun(device, hint, {
      optimizer: { name: 'adafactor', groups: { t5: { frozen: true } } },
    });
    const before = await valuesOf(model);
    await train(trainer);
    const after = await valuesOf(model);
    for (const [name, hash] of after) {
      expect([name, hash === before.get(name)]).toEqual([name, !name.startsWith('hypernetwork.')]);
    }
    expect([...optimizer.state().keys()].every((name) => name.includes('.hypernetwork.'))).toBe(true);
  });

  it('at a rate of 0, a group keeps its weights but not its moments', async () => {
    const { model, optimizer, trainer } = await tinyRun(device, hint, {
      optimizer: { name: 'adafactor', groups: { t5: { learningRateScale: 0 } } },
    });
    const before = await valuesOf(model);
    await train(trainer);
    const after = await valuesOf(model);
    for (const [name, hash] of after) {
      expect([name, hash === before.get(name)]).toEqual([name, !name.startsWith('hypernetwork.')]);
    }
    const moment = optimizer.state().get('full.encoder.final_layer_norm.weight')!;
    expect(Math.max(...new Float32Array(await moment.readBytes()))).toBeGreaterThan(0);
  });

  it('single: the hypernetwork follows T5’s schedule, and groups of two are an error', async () => {
    const single = { name: 'adafactor', grouping: 'single' } as const;
    const { optimizer, model } = await tinyRun(device, hint, { firstStep: 1_100_000, optimizer: single });
    expect(optimizer.groups.map(({ name, stepOffset }) => [name, stepOffset])).toEqual([['all', 0]]);
    expect(optimizer.parameters()).toHaveLength(model.parameters.all().length);
    const frozen = { ...single, groups: { hyper: { frozen: true } } };
    await expect(tinyRun(device, hint, { optimizer: frozen })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/group hyper; this system has all/),
    });
  });

  it('everything frozen is an error, also where the system freezes a part itself', async () => {
    const groups = { hyper: { frozen: true } };
    await expect(
      tinyRun(device, findSystem('hypertune'), { optimizer: { name: 'adafactor', groups } }),
    ).rejects.toMatchObject({ message: expect.stringMatching(/trains no parameter.*hyper.*frozen/) });
  });
});

describe('bf16 parameters', () => {
  it('are rounded after every update, those of a group that stays f32 are not', async () => {
    const { model, trainer } = await tinyRun(device, findSystem('hint'), {
      paramDtype: 'bf16',
      optimizer: { name: 'adafactor', groups: { hyper: { paramDtype: 'f32' } } },
    });
    const reports = await train(trainer);
    expect(reports.at(-1)!.loss).toBeLessThan(reports[0]!.loss);
    for (const [name, tensor] of model.parameters.entries()) {
      const isRounded = new Uint32Array(await tensor.readBytes()).every((bits) => (bits & 0xffff) === 0);
      expect([name, isRounded]).toEqual([name, !name.startsWith('hypernetwork.')]);
    }
  });

  it('start as what restoring them into bf16 gives, frozen ones too', async () => {
    const system = findSystem('hypertune');
    const config = tinyConfig(system, {
      paramDtype: 'bf16',
      optimizer: { name: 'adafactor', groups: { hyper: { paramDtype: 'f32' } } },
    });
    const model = (await createModel(device, config, system, {})) as EncoderDecoderModel;
    const before = new Map<string, Float32Array>();
    for (const name of model.parameters.names()) before.set(name, await floatsOf(model, name));
    await trainerOf(model, config, system);
    for (const [name, values] of before) {
      // The upper halves of the float32 words, rounded by the checkpoint writer's own code.
      const halves = new Uint16Array(toBfloat16(values).buffer);
      const rounded = new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
      const expected = name.startsWith('hypernetwork.') ? values : rounded;
      expect([name, await floatsOf(model, name)]).toEqual([name, expected]);
    }
  });

  it('are part of what a run is: it cannot be resumed in another precision', async () => {
    const output = join(scratch, 'precision');
    const config = { ...tinyConfig(findSystem('hint')), output };
    await new RunDirectory(output).create(config);
    await expect(trainFromConfig({ ...config, paramDtype: 'bf16' }, { resume: true })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/paramDtype "bf16".*started with "f32"/),
    });
  });
});
