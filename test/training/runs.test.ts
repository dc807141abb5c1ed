import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrainingConfigInput } from '../../src/training/config/config.js';
import { compareRuns, spreadOf } from '../../src/training/runs/compare-runs.js';
import { drawCurves } from '../../src/training/runs/curves.js';
import { findRuns, nameOfGroup, namesOfRuns, readRun, resultsOf } from '../../src/training/runs/read-run.js';
import { writeChart } from '../../src/util/plot/png.js';
import { tinyRun } from './run-setup.js';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-runs-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Logged {
  config?: Partial<TrainingConfigInput>;
  losses?: readonly number[];
  /** By step. */
  scores?: Readonly<Record<number, number>>;
}

/** A folder as a run leaves it, without its weights. */
async function logged(
  path: string,
  { config = {}, losses = [3, 2, 1], scores = {} }: Logged = {},
): Promise<string> {
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'config.json'), JSON.stringify(tinyRun(path, config)));
  let best = -Infinity;
  const lines = losses.flatMap((loss, i) => {
    const step = i + 1;
    const rates = { tokensPerSecond: 1000 * step, examplesPerSecond: 5, bytesInUse: 10, peakBytes: 20 + i };
    const line = {
      step,
      loss,
      total: loss,
      learningRate: 0.01,
      gradientNorm: 2,
      tokens: 9,
      targetTokens: 3,
      ...rates,
    };
    const score = scores[step];
    if (score === undefined) return [line];
    const isBest = score > best;
    best = Math.max(best, score);
    const scored = { metric: 'rougeL', score, isBest, rougeL: score };
    const validation = { ...scored, loss: loss + 0.5, examples: 3, perTask: {} };
    return [line, { step, validation }];
  });
  const text = lines.map((line) => `${JSON.stringify({ ...line, time: '2026-11-29T12:00:00Z' })}\n`).join('');
  // And a line that a kill has cut off.
  await writeFile(join(path, 'metrics.jsonl'), `${text}{"step": 9, "lo`);
  return path;
}

const recordOf = async (name: string, given?: Logged) => readRun(await logged(join(scratch, name), given));

describe('runs', () => {
  it('are found at every depth, but not inside of one another, and are named so that they are told apart', async () => {
    const folder = join(scratch, 'deep');
    const paths = [join(folder, 'a'), join(folder, 'b', 'c', 'a')];
    for (const path of paths) await logged(path);
    await logged(join(paths[0]!, 'checkpoints', 'inner'));
    expect(await findRuns(folder)).toEqual(paths);
    expect(await findRuns(paths[0]!)).toEqual([paths[0]]);
    expect(new Set(namesOfRuns(paths)).size).toBe(2);
    expect(namesOfRuns([join('x', 'one'), join('y', 'two')])).toEqual(['one', 'two']);
    expect(namesOfRuns(['runs/sweep/a=1/seed-0', './runs/sweep/a=2/seed-0'])).toEqual([
      'a=1/seed-0',
      'a=2/seed-0',
    ]);
    expect(nameOfGroup(['a=1/seed-0', 'a=1/seed-1'])).toBe('a=1');
    expect(nameOfGroup(['a=1/seed-0', 'a=2/seed-0'])).toBe('a=1/seed-0, a=2/seed-0');
    expect(nameOfGroup(['a=1/seed-0'])).toBe('a=1/seed-0');
    expect(nameOfGroup(['x', 'y'])).toBe('x, y');
    expect(namesOfRuns(['/x/a', '/y/a'])).toEqual(['x/a', 'y/a']);
    expect(namesOfRuns(['runs/a', 'runs/a'])).toEqual(['a', 'a']);
    await expect(findRuns(join(scratch, 'nowhere'))).rejects.toMatchObject({ code: expect.any(String) });
    await expect(readRun(folder)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(findRuns(folder, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('are summed up by the mean of their last steps and their best validation', async () => {
    const losses = [50, ...Array<number>(10).fill(2)];
    const run = await recordOf('summed', { losses, scores: { 2: 40, 4: 60, 6: 60 } });
    expect(resultsOf(run)).toEqual({
      step: 11,
      loss: 2,
      best: { metric: 'rougeL', score: 60, step: 4 },
      tokensPerSecond: 6000,
      peakBytes: 30,
    });
    expect(resultsOf(await recordOf('empty', { losses: [] }))).toEqual({ step: 0 });
    // From step 6 on it is validated on other examples, so that its first scores are no matter.
    const { validations, ...rest } = run;
    const other = validations.map((line) => ({
      ...line,
      validation: { ...line.validation, ...(line.step === 6 ? { score: 30, isBest: true } : {}) },
    }));
    expect(resultsOf({ ...rest, validations: other }).best).toMatchObject({ score: 30, step: 6 });
  });
});

describe('a comparison of runs', () => {
  it('takes runs of several seeds together, with the spread, and names what else differs', async () => {
    const runs = [
      await recordOf('s0', { config: { seed: 0 }, scores: { 3: 10 } }),
      await recordOf('fast', { config: { seed: 0, learningRate: 0.5, clipNorm: 1 }, scores: { 3: 50 } }),
      await recordOf('s1', { config: { seed: 1 }, scores: { 3: 20 } }),
    ];
    const { groups, settings } = compareRuns(runs);
    expect(groups.map(({ runs: own, seeds }) => [own, seeds])).toEqual([
      [
        [0, 2],
        [0, 1],
      ],
      [[1], [0]],
    ]);
    expect(groups[0]!.results['best rougeL']).toEqual({ mean: 15, deviation: Math.sqrt(50), count: 2 });
    expect(groups[1]!.results['best rougeL']).toEqual({ mean: 50, deviation: undefined, count: 1 });
    expect(settings).toEqual([
      { key: 'learningRate', values: [0.01, 0.5] },
      { key: 'clipNorm', values: [undefined, 1] },
    ]);
    expect(spreadOf([])).toBeUndefined();
  });

  it('that were changed on their way are none of those that had their last settings from the start', async () => {
    const changed = await logged(join(scratch, 'changed'), { config: { seed: 1 } });
    const line = {
      step: 2,
      changes: [{ key: 'dropout', before: 0.3, now: 0.1 }],
      time: '2026-11-29T12:00:00Z',
    };
    await writeFile(join(changed, 'changes.jsonl'), `${JSON.stringify(line)}\n{"step": 3, "cha`);
    const { groups, settings } = compareRuns([await recordOf('unchanged'), await readRun(changed)]);
    expect(groups).toHaveLength(2);
    expect(settings).toEqual([
      { key: 'changes', values: [undefined, ['from step 2 on dropout 0.1 in place of 0.3']] },
    ]);
  });

  it('that differ only in where they computed and how often they wrote are one group', async () => {
    const names = ['here', 'there'];
    const changes = [{}, { device: 'cuda', threads: 3, saveEvery: 1, logEvery: 2, keepCheckpoints: 9 }];
    const runs = await Promise.all(
      names.map((name, i) => recordOf(name, { config: { seed: i, ...changes[i] } })),
    );
    expect(compareRuns(runs)).toMatchObject({ groups: [{ runs: [0, 1] }], settings: [] });
  });
});

describe('the curves of runs', () => {
  it('are a chart for each kind of number that was logged, and a line for each run', async () => {
    const runs = [
      await recordOf('curve-a', { losses: [3, 2, 1], scores: { 2: 40 } }),
      await recordOf('curve-b', { losses: [4, 3, 2] }),
    ];
    const svg = drawCurves(runs);
    for (const title of ['Loss', 'Validation: rougeL', 'Learning rate', 'Gradient norm', 'Speed', 'Memory'])
      expect(svg).toContain(`>${title}</text>`);
    expect(svg.match(/>curve-b<\/text>/g)).toHaveLength(5);
    expect(svg).toContain('>curve-a, validation</text>');
    expect(drawCurves(runs, { curves: ['memory'] }).match(/<svg /g)).toHaveLength(2);
    for (const name of ['curves.svg', 'curves.png']) await writeChart(join(scratch, name), svg);
    expect((await readFile(join(scratch, 'curves.png'))).subarray(1, 4).toString()).toBe('PNG');
  });

  it('of validations by several metrics are a chart for each, because a percentage and a loss share no axis', async () => {
    const one = await recordOf('by-rouge', { scores: { 1: 40, 2: 50 } });
    const byLoss = one.validations.map(({ validation, ...line }) => ({
      ...line,
      validation: { ...validation, metric: 'loss' as const, score: validation.loss },
    }));
    const other = { ...one, path: join(scratch, 'by-loss'), validations: byLoss };
    const svg = drawCurves([one, other], { curves: ['validation'] });
    for (const metric of ['rougeL', 'loss']) expect(svg).toContain(`>Validation: ${metric}</text>`);
    for (const name of ['by-rouge', 'by-loss'])
      expect(svg.match(new RegExp(`>${name}</text>`, 'g'))).toHaveLength(1);
  });

  it('of many steps are means of neighbours, so that a long run is drawn as fast as a short one', async () => {
    const losses = Array.from({ length: 6000 }, (_, i) => 5 + (i % 2));
    const svg = drawCurves([await recordOf('long', { losses })], { curves: ['loss'] });
    expect(svg).toContain('>means of 20 logged steps</text>');
    const [path] = svg.match(/d="M[^"]*L[^"]*"/g)!;
    expect(path!.split('L')).toHaveLength(300);
  });

  it('of nothing are refused with a sentence', async () => {
    const runs = [await recordOf('nothing', { losses: [] })];
    expect(() => drawCurves(runs)).toThrow(/nothing logged nothing to draw;/);
    const some = [await recordOf('no-validation')];
    expect(() => drawCurves(some, { curves: ['validation'] })).toThrow(/nothing to draw of validation/);
  });
});
