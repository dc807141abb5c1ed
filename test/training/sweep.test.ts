import { mkdtemp, readFile, rm, utimes, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAxis } from '../../src/cli/commands/sweep.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { planSweep, runSweep, type SweepEvent, type SweepSettings } from '../../src/training/runs/sweep.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { tinyRun } from './run-setup.js';

let scratch: string;
beforeAll(async () => {
  await ensureCompiledWorker();
  scratch = await mkdtemp(join(tmpdir(), 'hint-sweep-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Two learning rates under two seeds, three steps each. */
const sweepOf = (name: string, changes: Partial<SweepSettings> = {}): SweepSettings => ({
  config: { ...tinyRun(join(scratch, 'unused'), { steps: 3 }) },
  axes: [{ key: 'learningRate', values: [1e-30, 1e-2] }],
  seeds: 2,
  output: join(scratch, name),
  ...changes,
});

const NAMES = ['learningRate=1e-30', 'learningRate=0.01'].flatMap((name) => [
  `${name}/seed-5`,
  `${name}/seed-6`,
]);

async function lossesOf(output: string): Promise<number[][]> {
  const all = NAMES.map(async (name) =>
    (await new RunDirectory(join(output, name)).readMetrics()).map(({ loss }) => loss),
  );
  return Promise.all(all);
}

describe('a sweep', () => {
  const output = () => join(scratch, 'whole');

  it('runs every combination under every seed, and ranks by the mean over seeds', async () => {
    const result = await runSweep(planSweep(sweepOf('whole')));
    expect(result).toMatchObject({ metric: 'training loss', interrupted: false });
    expect(result.ranking.map(({ rank, settings, score }) => [rank, settings, score?.count])).toEqual([
      [1, { learningRate: 1e-2 }, 2],
      [2, { learningRate: 1e-30 }, 2],
    ]);
    const [best] = result.ranking;
    expect(best!.runs.map(({ path, seed, status }) => [path, seed, status])).toEqual(
      [5, 6].map((seed) => [join(output(), `learningRate=0.01/seed-${seed}`), seed, 'done']),
    );
    expect(best!.score!.mean).toBeCloseTo((best!.runs[0]!.score! + best!.runs[1]!.score!) / 2, 10);
    expect(JSON.parse(await readFile(join(output(), 'sweep.json'), 'utf8'))).toMatchObject({
      version: 1,
      metric: 'training loss',
    });
  });

  it('touches nothing of a run that is done', async () => {
    const model = join(output(), NAMES[0]!, 'model', 'model.safetensors');
    await utimes(model, 1, 1);
    const states: string[] = [];
    const onEvent = (event: SweepEvent) => event.kind === 'run' && states.push(event.state);
    await runSweep(planSweep(sweepOf('whole')), { onEvent });
    expect(states).toEqual(Array(4).fill('skipped'));
    expect((await stat(model)).mtimeMs).toBe(1000);
  });

  it('that is stopped in the middle of a run goes on to the same bits', async () => {
    const controller = new AbortController();
    const plan = planSweep(sweepOf('stopped'));
    const stopped = await runSweep(plan, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === 'training' && event.name === NAMES[1] && event.event.kind === 'step')
          controller.abort();
      },
    });
    expect(stopped.interrupted).toBe(true);
    expect(stopped.ranking.flatMap(({ runs }) => runs.map(({ status }) => status)).sort()).toEqual([
      'done',
      'pending',
      'pending',
      'pending',
    ]);
    const whole = await runSweep(plan);
    expect(whole.interrupted).toBe(false);
    expect(await lossesOf(plan.output)).toEqual(await lossesOf(output()));
  });

  it('does not take a run of other settings for one of its own, nor end with a run that fails', async () => {
    const other = sweepOf('whole', { config: { ...tinyRun('unused', { steps: 3, batchSize: 5 }) } });
    const result = await runSweep(planSweep(other));
    const outcomes = result.ranking.flatMap(({ runs }) => runs);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('failed'));
    expect(outcomes[3]!.error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('batchSize 5 in place of 4'),
    });
    expect(result.ranking.map(({ rank }) => rank)).toEqual([undefined, undefined]);
    const config = { ...tinyRun(join(scratch, 'unused'), { steps: 2 }) };
    const shorter = sweepOf('whole', { config });
    const { ranking } = await runSweep(planSweep(shorter));
    expect(ranking.flatMap(({ runs }) => runs.map(({ status, score }) => [status, score]))).toEqual(
      Array(4).fill(['failed', undefined]),
    );
  });

  it('does not take a run for done that had other settings at first', async () => {
    const run = new RunDirectory(join(output(), NAMES[3]!));
    await run.appendChanges(2, [{ key: 'learningRate', before: 1, now: 1e-2 }]);
    const { ranking } = await runSweep(planSweep(sweepOf('whole')));
    expect(ranking.map(({ runs }) => runs.map(({ status }) => status))).toEqual([
      ['done', 'failed'],
      ['done', 'done'],
    ]);
  });

  it('does not lie inside a run, where its runs would not be found', async () => {
    const inside = runSweep(planSweep(sweepOf(join('whole', NAMES[0]!))));
    await expect(inside).rejects.toThrow(/holds a training run, and a sweep has a folder of its own/);
  });
});

describe('the plan of a sweep', () => {
  it.each([
    [{ axes: [{ key: 'seed', values: [1] }] }, /seed is no axis; say how many seeds/],
    [{ axes: [{ key: 'steps', values: [] }] }, /make 0 runs; a sweep has 1 to 10000/],
    [{ seeds: 100_000 }, /make 200000 runs/],
    [{ axes: [{ key: 'steps', values: [1] }, { key: 'steps', values: [2] }] }, /steps stands in two axes/], // prettier-ignore
    [{ axes: [{ key: 'steps', values: [1, 1] }] }, /steps=1 comes twice/],
    [{ axes: [{ key: 'stepz', values: [1] }] }, /stepz is unknown; did you mean steps\?/],
    [{ axes: [{ key: 'validation', values: [{ split: 'test' }, { split: 'test', metric: 'loss' }] }] }, /scored by rougeL and loss/], // prettier-ignore
  ] as [Partial<SweepSettings>, RegExp][])('refuses %j before anything is run', (changes, message) => {
    expect(() => planSweep(sweepOf('refused', changes))).toThrow(message);
  });

  it('gives each run a folder of its own, whatever its values are called', () => {
    const values = ['a/b', 'a_b', { config: { d_model: 8 } }, '../../up'];
    const { runs } = planSweep(sweepOf('names', { axes: [{ key: 'model.init', values }], seeds: 1 }));
    expect(new Set(runs.map(({ name }) => name)).size).toBe(4);
    for (const { config, name } of runs) {
      expect(config.output).toBe(join(scratch, 'names', name));
      expect(name).toMatch(/^init=[\w.,=+-]+\/seed-5$/);
    }
  });
});

describe('--grid', () => {
  it('reads JSON values between commas, and text where they are none', () => {
    expect(parseAxis('learningRate=1e-3,3e-3')).toEqual({ key: 'learningRate', values: [1e-3, 3e-3] });
    expect(parseAxis('schedule=constant, cosine')).toEqual({
      key: 'schedule',
      values: ['constant', 'cosine'],
    });
    expect(parseAxis('validation={"split":"test","every":2},{"fraction":0.1}').values).toHaveLength(2);
    expect(parseAxis('recompute=true,both').values).toEqual([true, 'both']);
    for (const text of ['learningRate', '=1', 'learningRate='])
      expect(() => parseAxis(text)).toThrow(/--grid is/);
  });
});
