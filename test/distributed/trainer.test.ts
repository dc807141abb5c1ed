import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import { SETTINGS, tinyTrainer } from '../training/tiny.js';
import {
  numbersOf,
  OPTIMIZERS,
  trainAsRanks,
  weightsOf,
  worstOf,
  type RankResult,
  type RankSettings,
  type StepNumbers,
} from './rank-runs.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-ranks-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Tasks that several microbatches have, and a batch that ranks do not divide. */
const SHARED = {
  batchSize: 13,
  tokenBudget: 20,
  dropout: 0.1,
  schedule: { ...SETTINGS.schedule, steps: 50 },
};

interface Alone {
  reports: StepNumbers[];
  weights: Record<string, number[]>;
  moments: number;
}

async function trainAlone({ settings, optimizer: name }: Omit<RankSettings, 'output'>): Promise<Alone> {
  using device = new Device({ threads: 1 });
  const { model, trainer, optimizer } = tinyTrainer(device, settings, () => true, {
    optimizer: OPTIMIZERS[name],
  });
  const reports: StepNumbers[] = [];
  for await (const report of trainer.steps()) reports.push(numbersOf(report));
  const moments = [...optimizer.state().values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return { reports, weights: await weightsOf(model), moments };
}

let made = 0;
function asRanks(count: number, settings: Omit<RankSettings, 'output'>): Promise<RankResult> {
  return trainAsRanks(count, { ...settings, output: join(scratch, `${made++}.json`) });
}

/** Without MPI nothing here can run; what needs no other process is tested beside this. */
const hasMpi = ((): boolean => {
  try {
    execFileSync('mpirun', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe.runIf(hasMpi)('ranks that train together', () => {
  const adafactor = { settings: SHARED, optimizer: 'adafactor' } as const;
  let alone: Alone, two: RankResult;
  beforeAll(async () => {
    [alone, two] = [await trainAlone(adafactor), await asRanks(2, adafactor)];
  });

  it('end with the weights of one process after 50 updates, and all with the same bits', () => {
    expect(alone.reports[0]!.microbatches).toBeGreaterThan(3);
    expect(worstOf(two.weights, alone.weights)).toBeLessThan(1e-5);
    expect(two.all[1]!.values).toEqual(two.all[0]!.values);
  });

  it('report the losses, norms and tokens of one process, the first of them to the bit', () => {
    for (const { reports } of two.all) {
      expect(reports).toHaveLength(50);
      expect(reports[0]!.loss).toBe(alone.reports[0]!.loss);
      reports.forEach((report, i) => {
        const { loss, gradientNorm, tokens, microbatches } = alone.reports[i]!;
        expect({ ...report, loss: 0, total: 0, gradientNorm: 0 }).toEqual({
          ...{ step: i + 1, tokens, microbatches },
          ...{ loss: 0, total: 0, gradientNorm: 0 },
        });
        expect(report.loss / loss).toBeCloseTo(1, 5);
        expect(report.gradientNorm / gradientNorm).toBeCloseTo(1, 4);
      });
    }
  });

  it('keep each moment at one rank', () => {
    const held = two.all.map(({ moments }) => moments);
    expect(held.reduce((sum, bytes) => sum + bytes)).toBe(alone.moments);
    expect(Math.max(...held)).toBeLessThan(0.55 * alone.moments);
  });

  it('take the same steps to the bit when they run again', async () => {
    const again = await asRanks(2, adafactor);
    expect(again.all).toEqual(two.all);
  });

  it('agree with one process as three ranks too, with clipping, and where a rank has nothing to do', async () => {
    const adamw = {
      settings: {
        ...SHARED,
        // Two microbatches a step at most.
        tokenBudget: 60,
        clipNorm: 0.5,
        schedule: { ...SHARED.schedule, learningRate: 1e-3 },
      },
      optimizer: 'adamw',
    } as const;
    const one = await trainAlone(adamw);
    expect(one.reports.some(({ gradientNorm, tokens }) => gradientNorm / tokens > 0.5)).toBe(true);
    expect(Math.min(...one.reports.map(({ microbatches }) => microbatches))).toBeLessThan(3);
    const three = await asRanks(3, adamw);
    expect(worstOf(three.weights, one.weights)).toBeLessThan(1e-5);
    expect(three.all.map(({ values }) => values)).toEqual(three.all.map(() => three.all[0]!.values));
  });
});
