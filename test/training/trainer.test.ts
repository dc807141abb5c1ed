import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { ADAFACTOR, Optimizer } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { trainOnBatch } from '../../src/training/step/train-on-batch.js';
import { PoolSource } from '../../src/training/sources/example-source.js';
import { Trainer, type StepReport } from '../../src/training/step/trainer.js';
import type { StepsOptions } from '../../src/training/step/trainer-arguments.js';
import { FIXTURES, SETTINGS, tinyPool, tinyTrainer, valuesOf } from './tiny.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

async function reportsOf(trainer: Trainer, options: StepsOptions = {}): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for await (const report of trainer.steps(options)) reports.push(report);
  return reports;
}

/** What must be equal in equal runs: everything but times and memory. */
function numbersOf(reports: StepReport[]): unknown[] {
  return reports.map(({ step, loss, total, gradientNorm, tokens }) => ({
    step,
    loss,
    total,
    gradientNorm,
    tokens,
  }));
}

describe('trainOnBatch', () => {
  it('loses what the original Adafactor loses over ten updates of HINT', async () => {
    const folder = join(FIXTURES, 'original', 'hint');
    const json = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));
    const { examples } = json('inputs.json') as {
      examples: { instruction: number[]; input: number[]; target: number[] }[];
    };
    const expected = JSON.parse(
      readFileSync(join(FIXTURES, 'original', 'training', 'expected.json'), 'utf8'),
    ) as { before_update: { ce_mean: number; total_mean: number }[] };
    const model = await loadModel(device, folder);
    const groups = assignGroups(model.parameters.entries(), findSystem('hint').groups, {
      firstStep: 0,
      multiplyByParameterScale: true,
    });
    const batch = buildBatch(
      examples.map(({ instruction, input, target }, i) => ({
        id: `${i}`,
        task: `${i}`,
        instruction: Int32Array.from(instruction),
        input: Int32Array.from(input),
        target: Int32Array.from(target),
        references: [],
      })),
    );
    const losses = await trainOnBatch(model, batch, new Optimizer(device, ADAFACTOR, groups), {
      updates: 10,
      learningRate: 3e-3,
      zLoss: 1e-4,
    });
    expect(losses).toHaveLength(expected.before_update.length);
    expected.before_update.forEach(({ ce_mean, total_mean }, i) => {
      expect(Math.abs(losses[i]!.crossEntropyMean / ce_mean - 1)).toBeLessThan(2e-6);
      expect(Math.abs(losses[i]!.totalMean / total_mean - 1)).toBeLessThan(2e-6);
    });
  });
});

describe('Trainer', () => {
  it('learns: the loss of a small pool falls far below that of guessing', async () => {
    const { trainer } = tinyTrainer(device, {
      dropout: 0,
      schedule: { ...SETTINGS.schedule, learningRate: 3e-2, steps: 60 },
    });
    const reports = await reportsOf(trainer);
    expect(reports[0]!.loss).toBeGreaterThan(Math.log(200) / 2);
    expect(reports.at(-1)!.loss).toBeLessThan(reports[0]!.loss / 3);
  });

  it('takes the same steps to the bit when it is run again, whatever runs ahead', async () => {
    const [a, b] = [tinyTrainer(device), tinyTrainer(device)];
    const first = await reportsOf(a.trainer);
    const second = await reportsOf(b.trainer, { settleAt: () => true });
    expect(first.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(numbersOf(second)).toEqual(numbersOf(first));
    expect(await valuesOf(b.model)).toEqual(await valuesOf(a.model));
  });

  it('draws other examples and masks under another seed', async () => {
    const [a, b] = [tinyTrainer(device), tinyTrainer(device, { seed: 4 })];
    expect(numbersOf(await reportsOf(b.trainer))).not.toEqual(numbersOf(await reportsOf(a.trainer)));
  });

  it('gives the same sums however a batch is cut into microbatches', async () => {
    const oneStep = { dropout: 0, schedule: { ...SETTINGS.schedule, steps: 1 } };
    const [whole] = await reportsOf(tinyTrainer(device, oneStep).trainer);
    const [cut] = await reportsOf(tinyTrainer(device, { ...oneStep, tokenBudget: 20 }).trainer);
    expect(whole!.microbatches).toBe(1);
    expect(cut!.microbatches).toBeGreaterThan(2);
    expect(cut!.targetTokens).toBe(whole!.targetTokens);
    expect(cut!.total / whole!.total).toBeCloseTo(1, 5);
    expect(cut!.gradientNorm / whole!.gradientNorm).toBeCloseTo(1, 5);
  });

  it('makes gradients as long as they may be together and no shorter, in the units of the mean loss', async () => {
    const once = { ...SETTINGS, dropout: 0, schedule: { ...SETTINGS.schedule, steps: 1 } };
    /** One step, and the length of the gradients that the optimizer was given: AdamW's first moments, a tenth of them. */
    const stepWith = async (clipNorm?: number): Promise<{ report: StepReport; used: number }> => {
      const { model } = tinyTrainer(device);
      const groups = assignGroups(model.parameters.entries(), findSystem('hint').groups, {
        firstStep: 0,
        multiplyByParameterScale: true,
      });
      const adamw = { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;
      const optimizer = new Optimizer(device, adamw, groups);
      const source = new PoolSource(tinyPool(), 3, 'tiny');
      const settings = clipNorm === undefined ? once : { ...once, clipNorm };
      const [report] = await reportsOf(new Trainer({ model, source, optimizer }, settings));
      let squares = 0;
      for (const [name, moment] of optimizer.state())
        if (name.startsWith('first.')) for (const value of await moment.read()) squares += (10 * value) ** 2;
      return { report: report!, used: Math.sqrt(squares) };
    };
    const free = await stepWith();
    const mean = free.report.gradientNorm / free.report.targetTokens;
    expect(free.used / free.report.gradientNorm).toBeCloseTo(1, 4);
    const clipped = await stepWith(mean / 4);
    expect(clipped.used / free.used).toBeCloseTo(1 / 4, 4);
    expect(clipped.report.gradientNorm).toBe(free.report.gradientNorm);
    expect((await stepWith(mean * 4)).used).toBe(free.used);
  });

  it('draws other masks for every microbatch and step', async () => {
    const still = { schedule: { ...SETTINGS.schedule, learningRate: 1e-30, steps: 8 }, batchSize: 48 };
    const reports = await reportsOf(tinyTrainer(device, { ...still, dropout: 0.3 }).trainer);
    expect(new Set(reports.map(({ loss }) => loss)).size).toBe(8);
  });

  it('recomputing activations changes memory, not the numbers', async () => {
    const [plain, recomputed] = [tinyTrainer(device), tinyTrainer(device, { backward: 'layers' })];
    expect(numbersOf(await reportsOf(recomputed.trainer))).toEqual(numbersOf(await reportsOf(plain.trainer)));
    expect(await valuesOf(recomputed.model)).toEqual(await valuesOf(plain.model));
  });

  it('leaves what the system does not train as it was, to the bit', async () => {
    const { model, trainer } = tinyTrainer(device, {}, (group) => group === 'hyper');
    const before = await valuesOf(model);
    await reportsOf(trainer);
    const after = await valuesOf(model);
    const changed = [...after].filter(([name, hash]) => hash !== before.get(name));
    expect(changed.length).toBeGreaterThan(5);
    expect(changed.every(([name]) => name.startsWith('hypernetwork.'))).toBe(true);
  });

  it('gives each step its own time, also where two of them are reported at once', async () => {
    const schedule = { ...SETTINGS.schedule, steps: 16 };
    const { trainer } = tinyTrainer(device, { schedule, clipNorm: 1 });
    const reports = await reportsOf(trainer, { settleAt: (step) => step % 2 === 0 });
    const fastest = (isSettled: boolean): number =>
      Math.max(...reports.filter(({ settled }) => settled === isSettled).map((one) => one.tokensPerSecond));
    // The second of two reports came at once, and had a thousand times the rate of the first.
    expect(fastest(true) / fastest(false)).toBeLessThan(20);
  });

  it('gives back all memory of its steps', async () => {
    const { trainer } = tinyTrainer(device, { schedule: { ...SETTINGS.schedule, steps: 12 }, batchSize: 48 });
    const bytes: number[] = [];
    for await (const { settled } of trainer.steps({ settleAt: () => true })) {
      expect(settled).toBe(true);
      await device.synchronize();
      bytes.push(device.statistics().bytesInUse);
    }
    expect(bytes[11]).toBeLessThanOrEqual(bytes[2]!);
  });

  it('stops with the step and the rate when weights are no numbers, instead of training on', async () => {
    const { model, trainer } = tinyTrainer(device);
    const weight = model.parameters.get('lm_head.weight');
    device.write(weight, new Float32Array(weight.size).fill(NaN));
    await expect(reportsOf(trainer)).rejects.toMatchObject({
      code: 'NUMERIC',
      message: expect.stringMatching(/step 1 has the loss NaN at learning rate 0\.01.*checkpoint is intact/),
    });
  });

  it('aborted, ends at a whole step and goes on later as if nothing had been', async () => {
    const settings = { tokenBudget: 20, schedule: { ...SETTINGS.schedule, steps: 6 } };
    const [interrupted, whole] = [tinyTrainer(device, settings), tinyTrainer(device, settings)];
    const controller = new AbortController();
    const reports: StepReport[] = [];
    const part = async (signal?: AbortSignal): Promise<void> => {
      for await (const report of interrupted.trainer.steps({ signal })) {
        reports.push(report);
        if (report.step === 2) controller.abort();
      }
    };
    await expect(part(controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    expect(interrupted.trainer.state.step).toBe(reports.at(-1)!.step);
    expect(reports.at(-1)!.settled).toBe(true);
    await part();
    expect(numbersOf(reports)).toEqual(numbersOf(await reportsOf(whole.trainer)));
    expect(await valuesOf(interrupted.model)).toEqual(await valuesOf(whole.model));
  });

  it('lets the event loop turn while it trains', async () => {
    const { trainer } = tinyTrainer(device);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await reportsOf(trainer);
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(SETTINGS.schedule.steps);
  });
});
