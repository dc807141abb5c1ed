import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFolder } from '../../src/cli/support/model-name.js';
import { readSettings, type TrainingRunOptions } from '../../src/cli/support/run-settings.js';
import { parseTrainingConfig, type TrainingConfigInput } from '../../src/training/config/config.js';
import { changesOf, checkNamed } from '../../src/training/run/changes.js';
import type { TrainingEvent, TrainingSummary } from '../../src/training/run/events.js';
import { continueRun } from '../../src/training/run/lineage.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { tinyRun } from './run-setup.js';
import { FIXTURES } from './tiny.js';

let scratch: string;
let whole: string;
let summary: TrainingSummary;
beforeAll(async () => {
  await ensureCompiledWorker();
  scratch = await mkdtemp(join(tmpdir(), 'hint-changes-'));
  whole = join(scratch, 'whole');
  summary = await trainFromConfig(tinyRun(whole, { steps: 4 }));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function copyOf(name: string): Promise<string> {
  await cp(whole, join(scratch, name), { recursive: true });
  return join(scratch, name);
}

const options = (given: Partial<TrainingRunOptions>): TrainingRunOptions => ({
  set: [],
  resume: false,
  json: false,
  ...given,
});

const keysOf = (
  before: Partial<TrainingConfigInput>,
  now: Partial<TrainingConfigInput>,
  taken = 3,
): string[] => changesOf(tinyRun('run', before), tinyRun('run', now), taken).map(({ key }) => key);

describe('what makes a resumed run another one', () => {
  it.each([
    ['learningRate', {}, { learningRate: 3 }],
    ['batchSize', {}, { batchSize: 5 }],
    ['dropout', {}, { dropout: 0 }],
    ['tokenBudget', {}, { tokenBudget: 99 }],
    ['schedule', {}, { schedule: 'cosine' }],
    ['clipNorm', {}, { clipNorm: 1 }],
    ['optimizer.decayRate', {}, { optimizer: { name: 'adafactor', decayRate: 0.7 } }],
    [
      'optimizer.groups.t5.frozen',
      {},
      { optimizer: { name: 'adafactor', groups: { t5: { frozen: true } } } },
    ],
    ['steps', { schedule: 'linear' }, { schedule: 'linear', steps: 9 }],
    ['epochs', { schedule: 'linear', epochs: 1 }, { schedule: 'linear', epochs: 2 }],
    [
      'validation.patience',
      { validation: { split: 'test' } },
      { validation: { split: 'test', patience: 2 } },
    ],
  ] as [string, Partial<TrainingConfigInput>, Partial<TrainingConfigInput>][])('%s', (key, before, now) => {
    expect(keysOf(before, now)).toEqual([key]);
  });

  it('is not where it computes, reads and writes, nor how long it is while the rate does not depend on it', () => {
    const elsewhere = {
      device: 'cuda',
      threads: 3,
      saveEvery: 7,
      logEvery: 2,
      recompute: true,
      output: 'b',
    } as const;
    expect(keysOf({}, { ...elsewhere, memoryBudget: '2GiB', steps: 9 })).toEqual([]);
    // All steps so far were in the warm-up.
    const linear = { schedule: 'linear', warmupSteps: 5 } as const;
    expect(keysOf(linear, { ...linear, steps: 9 })).toEqual([]);
    expect(keysOf({ epochs: 1, steps: 6 }, { epochs: 2, steps: 1000 })).toEqual([]);
  });

  it('is refused with both values unless it is named, which one key of a validation does for all of them', () => {
    const changes = changesOf(tinyRun('run'), tinyRun('run', { learningRate: 3, batchSize: 5 }), 3);
    expect(() => checkNamed('run', changes, ['batchSize'])).toThrow(
      /learningRate 3 in place of 0.01: from here on it would be another run.*--set learningRate=3/,
    );
    expect(() => checkNamed('run', changes, [])).toThrow(
      /batchSize 5 in place of 4, learningRate 3|learningRate 3.*batchSize 5/,
    );
    expect(() => checkNamed('run', changes, ['learningRate', 'batchSize'])).not.toThrow();
    const validated = changesOf(tinyRun('run'), tinyRun('run', { validation: { split: 'test' } }), 3);
    expect(() => checkNamed('run', validated, ['validation.split'])).not.toThrow();
    const grouped = changesOf(
      tinyRun('run'),
      tinyRun('run', { optimizer: { name: 'adafactor', groups: { t5: { frozen: true } } } }),
      3,
    );
    expect(() => checkNamed('run', grouped, ['optimizer.groups'])).not.toThrow();
  });

  it('is not a token budget that the plan of its memory made smaller', () => {
    const planned = { ...tinyRun('run'), tokenBudget: 70, recompute: 'none' } as const;
    expect(continueRun(tinyRun('run'), planned, 70).tokenBudget).toBe(70);
    expect(continueRun(tinyRun('run', { tokenBudget: 60 }), planned, 70).tokenBudget).toBe(60);
    expect(continueRun(tinyRun('run'), planned, undefined).tokenBudget).toBe(80);
  });
});

describe('a resumed run', () => {
  it('needs nothing but its folder, wherever that is and whatever became of its tokenizer', async () => {
    const moved = join(scratch, 'moved');
    await rename(await copyOf('to-move'), moved);
    const settings = await readSettings(options({ resume: moved, set: ['steps=5'] }), []);
    const config = parseTrainingConfig(settings);
    expect(config).toEqual({ ...(await new RunDirectory(whole).readConfig()), output: moved, steps: 5 });
    const lost = { ...config, model: { ...config.model, tokenizer: join(scratch, 'nowhere') } };
    expect(await trainFromConfig(lost, { resume: true })).toMatchObject({ step: 5, stepsTaken: 1 });
  });

  it('is told apart from an output that is another folder, and from none', async () => {
    const both = readSettings(options({ resume: whole, output: join(scratch, 'else') }), []);
    await expect(both).rejects.toThrow(/two folders/);
    await expect(readSettings(options({ resume: true }), [])).rejects.toThrow(/needs the folder of the run/);
    expect(await readSettings(options({ resume: true, output: whole }), [])).toMatchObject({
      output: whole,
      steps: 4,
    });
  });

  it('has the length that is said last', async () => {
    const run = await copyOf('epochs');
    const directory = new RunDirectory(run);
    await directory.writeConfig({ ...(await directory.readConfig()), epochs: 2 });
    expect(await readSettings(options({ resume: run }), [])).toHaveProperty('epochs', 2);
    expect(await readSettings(options({ resume: run, steps: '9' }), [])).not.toHaveProperty('epochs');
    expect(await readSettings(options({ resume: run, set: ['warmupSteps=9'] }), [])).toHaveProperty(
      'epochs',
      2,
    );
  });

  it('that has finished says so, and counts no rate', async () => {
    const run = await copyOf('finished');
    const events: TrainingEvent[] = [];
    const again = await trainFromConfig(tinyRun(run, { steps: 4 }), {
      resume: true,
      onEvent: (event) => events.push(event),
    });
    expect(again).toMatchObject({ status: 'finished', stepsTaken: 0, tokensPerSecond: undefined });
    expect(events).toContainEqual({
      kind: 'phase',
      phase: 'train',
      message: 'The run has finished: 4 of 4 steps are done',
    });
  });

  it('takes back no step, so that no score of more steps passes for one of fewer', async () => {
    const run = await copyOf('shorter');
    const before = await readFile(join(run, 'config.json'), 'utf8');
    for (const [length, message] of [
      [{ steps: 3 }, /with steps 3: it has taken 4 steps, and none is taken back/],
      [{ epochs: 0.1 }, /with epochs 0\.1, which are 1 steps: it has taken 4/],
    ] as const)
      await expect(trainFromConfig(tinyRun(run, length), { resume: true })).rejects.toMatchObject({
        code: 'INVALID_CONFIG',
        message: expect.stringMatching(message),
      });
    expect(await readFile(join(run, 'config.json'), 'utf8')).toBe(before);
  });

  it('starts from what it started from: another new model is refused, and the order of its fields is no matter', async () => {
    const run = await copyOf('other-start');
    const { model, ...rest } = tinyRun(run, { steps: 4 });
    const { config } = model.init as { config: Record<string, unknown> };
    const resumed = (init: typeof model.init): Promise<TrainingSummary> =>
      trainFromConfig({ ...rest, model: { ...model, init } }, { resume: true });
    for (const init of [
      { config: { ...config, d_ff: 64 } },
      { size: 'base' } as const,
      join(FIXTURES, 'families', 't5-v1.0'),
    ])
      await expect(resumed(init)).rejects.toThrow(/with model\.init .*; the run was started with/);
    const backwards = Object.fromEntries(Object.entries(config).reverse());
    expect(await resumed({ config: backwards })).toMatchObject({ step: 4, stepsTaken: 0 });
  });

  it('has the rate of this call, not of all its tokens in the time of this call', async () => {
    const run = await copyOf('rate');
    const longer = await trainFromConfig(tinyRun(run, { steps: 5 }), { resume: true });
    const [last] = (await new RunDirectory(run).readMetrics()).slice(-1);
    expect(longer.tokensPerSecond! * longer.seconds).toBeCloseTo(last!.tokens, 3);
    expect(longer.tokens).toBe(summary.tokens + last!.tokens);
    expect(summary.tokensPerSecond! * summary.seconds).toBeCloseTo(summary.tokens, 3);
  });

  it('takes what is named, tells what that means, and writes it down', async () => {
    const run = await copyOf('changed');
    const config = tinyRun(run, { steps: 6, learningRate: 3e-3 });
    await expect(trainFromConfig(config, { resume: true })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('learningRate 0.003 in place of 0.01'),
    });
    expect((await new RunDirectory(run).readConfig()).learningRate).toBe(1e-2);
    const warnings: string[] = [];
    await trainFromConfig(config, {
      resume: true,
      changes: ['learningRate'],
      onEvent: (event) => event.kind === 'warning' && warnings.push(event.message),
    });
    expect(warnings).toEqual([expect.stringMatching(/^From step 4 on .*no run from the start/)]);
    const [line] = (await readFile(join(run, 'changes.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(line!)).toMatchObject({
      step: 4,
      changes: [{ key: 'learningRate', before: 0.01, now: 0.003 }],
    });
  });
});

describe('the model of a run', () => {
  it('is its best, else its last, else its latest checkpoint, each with a tokenizer', async () => {
    expect(modelFolder(whole)).toBe(join(whole, 'model'));
    const run = await copyOf('unfinished');
    await rm(join(run, 'model'), { recursive: true });
    expect(modelFolder(run)).toBe(join(run, 'checkpoints', 'step-4'));
    await cp(join(whole, 'model'), join(run, 'best'), { recursive: true });
    expect(modelFolder(run)).toBe(join(run, 'best'));
    const model = join(FIXTURES, 'families', 't5-v1.0');
    expect(modelFolder(model)).toBe(model);
  });
});
