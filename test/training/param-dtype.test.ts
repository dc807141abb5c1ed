import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { Gradients } from '../../src/tensor/tape.js';
import { contentOf, readOptimizerState, writeContent } from '../../src/training/run/checkpoint.js';
import type { TrainingConfigInput } from '../../src/training/config/config.js';
import { ADAFACTOR, Optimizer, type OptimizerSettings } from '../../src/training/step/optimizer.js';
import { keepParameters } from '../../src/training/step/param-dtype.js';
import { assignGroups, type ParamRounding } from '../../src/training/step/parameter-groups.js';
import { createModel } from '../../src/training/run/prepare.js';
import type { StepReport } from '../../src/training/step/trainer.js';
import { tinyConfig, tinyRun, train, trainerOf } from '../systems/tiny-systems.js';
import { valuesOf } from './tiny.js';

const hint = findSystem('hint');
const device = new Device({ threads: 1 });
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-param-dtype-'));
});
afterAll(async () => {
  device.close();
  await rm(scratch, { recursive: true, force: true });
});

/** Weights of which hardly any are norms. */
const WIDE = {
  model: {
    init: { config: { vocab_size: 800, d_model: 64, d_kv: 16, d_ff: 128, num_layers: 1, num_heads: 4 } },
    hint: { adapterSize: 4, prefixLength: 2 },
  },
} as const;

async function bytesOf(own: Device): Promise<number> {
  await own.synchronize();
  return own.statistics().bytesInUse;
}

const sizeOf = (model: EncoderDecoderModel): number =>
  model.parameters.storedEntries().reduce((sum, [, { size }]) => sum + size, 0);

/** What a step's losses and gradients were, to the bit. */
const numbersOf = (reports: readonly StepReport[]): unknown[] =>
  reports.map(({ loss, total, gradientNorm }) => ({ loss, total, gradientNorm }));

describe('parameters kept in bf16', () => {
  it('take half the memory', async () => {
    using own = new Device({ threads: 1 });
    const config = tinyConfig(hint, { ...WIDE, paramDtype: 'bf16' });
    const before = await bytesOf(own);
    const model = (await createModel(own, config, hint, {})) as EncoderDecoderModel;
    const wide = (await bytesOf(own)) - before;
    expect(wide).toBeGreaterThanOrEqual(4 * sizeOf(model));
    const groups = assignGroups(model.parameters.storedEntries(), hint.groups, {
      firstStep: 0,
      multiplyByParameterScale: true,
      paramDtype: 'bf16',
    });
    await own.inSlices(keepParameters(model.parameters, groups, 'bf16'));
    const narrow = (await bytesOf(own)) - before;
    // Norms stay f32, and small tensors take whole blocks.
    expect(narrow / wide).toBeGreaterThan(0.49);
    expect(narrow / wide).toBeLessThan(0.53);
  });

  it('need no copies to compute in bf16 with', async () => {
    const held = async (changes: Partial<TrainingConfigInput>): Promise<{ bytes: number; size: number }> => {
      using own = new Device({ threads: 1 });
      const { model, trainer } = await tinyRun(own, hint, { ...WIDE, ...changes, steps: 2 });
      model.parameters.computeDtype = 'bf16';
      const reports = await train(trainer);
      return { bytes: reports.at(-1)!.peakBytes, size: sizeOf(model) };
    };
    const wide = await held({});
    const narrow = await held({ paramDtype: 'bf16' });
    // At a step's peak: instead of a f32 weight and its bf16 copy, one bf16 weight; tables are not copied either way.
    expect((wide.bytes - narrow.bytes) / wide.size).toBeGreaterThan(3);
  });

  it.each(['f32', 'bf16'] as const)(
    'rounded to the nearest, compute in %s what f32 weights compute that are rounded after every update',
    async (computeDtype) => {
      const stored = await tinyRun(device, hint, { dropout: 0.1, paramDtype: 'bf16' });
      expect(stored.model.parameters.stored('shared.weight').dtype).toBe('bf16');
      stored.model.parameters.computeDtype = computeDtype;
      const rounded = await tinyRun(device, hint, { dropout: 0.1 });
      rounded.model.parameters.computeDtype = computeDtype;
      const round = (): void => {
        for (const tensor of rounded.model.parameters.all())
          device.tidy(() => device.assign(tensor, ops.cast(ops.cast(tensor, 'bf16'), 'f32')));
      };
      round();
      const expected: StepReport[] = [];
      for await (const report of rounded.trainer.steps({ settleAt: () => true })) {
        expected.push(report);
        round();
      }
      expect(numbersOf(await train(stored.trainer))).toEqual(numbersOf(expected));
      expect(await valuesOf(stored.model)).toEqual(await valuesOf(rounded.model));
    },
  );

  it.each([
    ['adafactor', 'f32'],
    ['adamw', 'bf16'],
  ] as const)(
    'rounded by chance, go on from a checkpoint to the bit (%s, computing in %s)',
    async (name, computeDtype) => {
      const changes = {
        dropout: 0.1,
        paramDtype: 'bf16',
        paramRounding: 'stochastic',
        optimizer: { name },
      } as const;
      const start = async (): ReturnType<typeof tinyRun> => {
        const run = await tinyRun(device, hint, { ...changes, learningRate: 1e-2 });
        run.model.parameters.computeDtype = computeDtype;
        return run;
      };
      const whole = await start();
      const wholeReports = await train(whole.trainer);
      const half = await start();
      for await (const { step } of half.trainer.steps({ settleAt: (at) => at === 2 })) if (step === 2) break;
      const folder = join(scratch, name);
      await writeContent(folder, contentOf(half.model, half.optimizer));
      const model = await loadModel(device, folder, { dropoutRate: 0.1 });
      const { optimizer, trainer } = await trainerOf(model, half.config, hint);
      model.parameters.computeDtype = computeDtype;
      await readOptimizerState(folder, optimizer);
      await trainer.restore(half.trainer.state);
      expect(numbersOf(await train(trainer))).toEqual(numbersOf(wholeReports.slice(2)));
      expect(await valuesOf(model)).toEqual(await valuesOf(whole.model));
    },
  );

  it('learn when they are rounded by chance, each time with the same draws', async () => {
    const losses = async (paramRounding: ParamRounding): Promise<number[]> => {
      const { trainer } = await tinyRun(device, hint, { paramDtype: 'bf16', paramRounding, steps: 6 });
      return (await train(trainer)).map(({ loss }) => loss);
    };
    const first = await losses('stochastic');
    expect(first.at(-1)).toBeLessThan((first[0] as number) - 0.01);
    expect(await losses('stochastic')).toEqual(first);
    expect(await losses('nearest')).not.toEqual(first);
  });

  it('lend f32 copies that stay out of the way: nothing is left of them after a step', async () => {
    using own = new Device({ threads: 1 });
    const { trainer, model } = await tinyRun(own, hint, { ...WIDE, paramDtype: 'bf16', steps: 3 });
    const held: number[] = [];
    for await (const { settled } of trainer.steps({ settleAt: () => true }))
      if (settled) held.push(await bytesOf(own));
    expect(held[2]).toBe(held[1]);
    expect(model.parameters.stored('lm_head.weight').dtype).toBe('bf16');
  });
});

describe('an update smaller than half a step of bf16', () => {
  const ADAMW: OptimizerSettings = { name: 'adamw', beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0 };

  /** The mean after twenty updates by 1e-4 of weights that are 1, whose steps are 2^-8 below and 2^-7 above. */
  async function meanAfter(settings: OptimizerSettings, paramRounding: ParamRounding): Promise<number> {
    const size = 256 * 256;
    const wide = device.full([256, 256], 1);
    const parameter = ops.cast(wide, 'bf16');
    const group = {
      name: 'all',
      parameters: new Map([['weight', parameter]]),
      stepOffset: 0,
      multiplyByParameterScale: true,
      paramDtype: 'bf16',
      paramRounding,
    } as const;
    const optimizer = new Optimizer(device, settings, [group]);
    const gradients = new Gradients(device);
    ops.fill(gradients.target(parameter.id, parameter.shape).gradient, 1);
    for (let update = 0; update < 20; update++)
      await optimizer.apply(gradients, { update, step: update, learningRate: 1e-4, seed: 7 });
    const mean = await ops.sum(ops.cast(parameter, 'f32'), 1 / size).item();
    gradients.dispose();
    return mean;
  }

  it.each([
    ['adafactor', ADAFACTOR],
    ['adamw', ADAMW],
  ] as const)(
    'is lost by rounding to the nearest and kept in the mean by rounding by chance (%s)',
    async (_, settings) => {
      expect(await meanAfter(settings, 'nearest')).toBe(1);
      // A weight's deviation after twenty draws with p = 0.0256 is 0.0028; that of the mean, 1.1e-5.
      const mean = await meanAfter(settings, 'stochastic');
      expect(Math.abs(mean - (1 - 20e-4))).toBeLessThan(5e-5);
    },
  );
});

describe('stochastic rounding of weights that stay f32', () => {
  it('is refused, for a run as for a group', async () => {
    await expect(tinyRun(device, hint, { paramRounding: 'stochastic' })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/paramRounding is stochastic.*kept in f32.*paramDtype to bf16/),
    });
    const groups = { hyper: { paramDtype: 'f32', paramRounding: 'stochastic' } } as const;
    await expect(
      tinyRun(device, hint, { paramDtype: 'bf16', optimizer: { name: 'adafactor', groups } }),
    ).rejects.toMatchObject({ message: expect.stringMatching(/of group hyper/) });
  });
});
