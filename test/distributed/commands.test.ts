import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { SweepResult } from '../../src/training/runs/sweep.js';
import { FIXTURES } from '../training/tiny.js';
import {
  configured,
  HAS_MPI,
  metricsOf,
  processOf,
  runHint,
  startHint,
  weightsOf,
  worstOf,
} from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-rank-commands-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const { config } = configured(scratch, 'base', { steps: 3 });
const sweep = (name: string, rates: string, ...more: string[]): string[] => [
  ...['sweep', config, '--grid', `learningRate=${rates}`, '--output', join(scratch, name), '--json', ...more],
];
const scoresOf = (said: string): (number | undefined)[] =>
  (JSON.parse(said) as SweepResult).ranking.map(({ score }) => score?.mean);

describe.runIf(HAS_MPI)('a sweep by ranks', () => {
  it('has the ranking of one process, and does nothing again', async () => {
    const alone = await runHint(1, sweep('alone', '1e-30,1e-2', '--seeds', '2'));
    const two = await runHint(2, sweep('two', '1e-30,1e-2', '--seeds', '2'));
    const [ours, theirs] = [scoresOf(two.stdout), scoresOf(alone.stdout)];
    expect(ours).toHaveLength(2);
    for (const [i, score] of ours.entries()) expect(score! / theirs[i]!).toBeCloseTo(1, 5);
    for (const seed of [5, 6]) {
      const run = `learningRate=0.01/seed-${seed}`;
      const [a, b] = await Promise.all(['two', 'alone'].map((name) => weightsOf(join(scratch, name, run))));
      expect(worstOf(a!, b!)).toBeLessThan(1e-5);
      expect(metricsOf(join(scratch, 'two', run))[0]).toMatchObject({ ranks: 2 });
    }
    const again = await runHint(2, sweep('two', '1e-30,1e-2', '--seeds', '2'));
    expect(JSON.parse(again.stdout)).toEqual(JSON.parse(two.stdout));
    expect(JSON.parse(readFileSync(join(scratch, 'two', 'sweep.json'), 'utf8'))).toMatchObject({
      ...(JSON.parse(two.stdout) as object),
    });
  });

  it('reports a run that diverges and takes the others', async () => {
    const { code, stdout } = await startHint(2, sweep('diverging', '1e30,1e-2')).ended;
    expect(code).toBe(1);
    const { ranking } = JSON.parse(stdout) as SweepResult;
    expect(ranking.map(({ runs }) => runs[0]!.error?.code ?? runs[0]!.status)).toEqual(['done', 'NUMERIC']);
  });

  it('stops as one when one rank is asked to, and goes on with another number of ranks', async () => {
    const { config: long } = configured(scratch, 'long', { steps: 400, saveEvery: 400 });
    const words = ['sweep', long, '--grid', 'dropout=0.1', '--output', join(scratch, 'stopped'), '--json']; // prettier-ignore
    const { ended } = startHint(2, words);
    const metrics = join(scratch, 'stopped', 'dropout=0.1', 'seed-5');
    for (let i = 0; i < 600; i++) {
      await sleep(100);
      try {
        if (metricsOf(metrics).length > 2) break;
      } catch {
        // It has not begun.
      }
    }
    process.kill(Number(processOf(long, 1)), 'SIGTERM');
    const { stdout } = await ended;
    expect(JSON.parse(stdout)).toMatchObject({
      interrupted: true,
      ranking: [{ runs: [{ status: 'pending' }] }],
    });
    const before = metricsOf(metrics).length;
    expect(before).toBeLessThan(400);
    const { stdout: done } = await runHint(1, words);
    expect(JSON.parse(done)).toMatchObject({ interrupted: false, ranking: [{ runs: [{ status: 'done' }] }] });
    expect(metricsOf(metrics).map(({ step }) => step)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
  });
});

const settings = join(scratch, 'model.json');
writeFileSync(
  settings,
  JSON.stringify({ vocab_size: 8128, d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_heads: 2 }),
);
const reproduce = (name: string, ...more: string[]): string[] => [
  ...['reproduce', 'table1', '--row', 'HINT', '--column', 'Def', '--data', join(FIXTURES, 'sni')],
  ...['--text', join(FIXTURES, 'text'), '--model-config', settings, '--tokenizer', join(FIXTURES, 'tokenizer')],
  ...['--steps', '3', '--pretrain-steps', '2', '--adapter-size', '4', '--prefix-length', '2', '--threads', '1'],
  ...['--set', 'batchSize=4', '--set', 'tokenBudget=200', '--set', 'data.instancesPerTask=8'],
  ...['--set-pretraining', 'batchSize=2', '--set-pretraining', 'tokenBudget=80', '--set-pretraining', 'data.segmentTokens=32'],
  ...['--set-pretraining', 'data.documentsPerGroup=2', '--set-pretraining', 'data.lastSegment=pad'],
  ...['--instances', '2', '--max-tokens', '3', '--output', join(scratch, name), '--json', ...more],
]; // prettier-ignore

describe.runIf(HAS_MPI)('a table by ranks', () => {
  interface Report {
    complete: boolean;
    figures: { score: number }[];
  }

  it('has the scores of one process, from trainings and evaluations that the ranks share', async () => {
    const alone = JSON.parse((await runHint(1, reproduce('table'))).stdout) as Report;
    const { stdout } = await runHint(2, reproduce('table-two'));
    const two = JSON.parse(stdout) as Report;
    expect(two.complete).toBe(true);
    expect(two.figures).toEqual(alone.figures);
    expect(two.figures[0]!.score).toBeGreaterThanOrEqual(0);
    const again = await runHint(2, reproduce('table-two'));
    expect((JSON.parse(again.stdout) as Report).figures).toEqual(two.figures);
  });

  it('is refused where it is a measurement of one process', async () => {
    const { code, stderr } = await startHint(2, ['reproduce', 'figure4', '--demo', '--output', join(scratch, 'four')]).ended; // prettier-ignore
    expect(code).toBe(2);
    expect(stderr.match(/figure4 times inference in one process, and 2 were started/g)).toHaveLength(1);
  });
});

describe.runIf(HAS_MPI)('a bench of training by ranks', () => {
  it('has no profile, which is about one process', async () => {
    const { code, stderr } = await startHint(2, ['bench', 'training', '--profile']).ended;
    expect(code).toBe(2);
    expect(stderr.match(/--profile is about one process, and 2 were started/g)).toHaveLength(1);
  });
});
