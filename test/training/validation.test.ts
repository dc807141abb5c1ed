import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTrainingConfig, type TrainingConfigInput } from '../../src/training/config/config.js';
import { validationOf } from '../../src/training/config/validation-config.js';
import type { TrainingEvent, TrainingSummary } from '../../src/training/run/events.js';
import { RunDirectory, type ValidationLine } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { afterValidation } from '../../src/training/validation/best.js';
import { holdOut } from '../../src/training/validation/held-out.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { tinyRun } from './run-setup.js';
import { FIXTURES, tinyPool } from './tiny.js';

let scratch: string;
beforeAll(async () => {
  await ensureCompiledWorker();
  scratch = await mkdtemp(join(tmpdir(), 'hint-validation-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

type Changes = Partial<TrainingConfigInput>;

/** A run that is validated on the fixture's unseen task after every second step. */
const validated = (name: string, changes: Changes = {}) =>
  tinyRun(join(scratch, name), { validation: { split: 'test', every: 2, instancesPerTask: 3 }, ...changes });

/** What must be equal in equal runs: everything but times. */
async function validationsOf(output: string): Promise<unknown[]> {
  const lines: ValidationLine[] = await new RunDirectory(output).readValidations();
  return lines.map(({ step, validation }) => ({ step, ...validation, seconds: 0 }));
}

async function lossesOf(output: string): Promise<number[]> {
  return (await new RunDirectory(output).readMetrics()).map(({ loss }) => loss);
}

function stopAt(when: (event: TrainingEvent) => boolean) {
  const controller = new AbortController();
  const onEvent = (event: TrainingEvent): void => {
    if (when(event)) controller.abort();
  };
  return { signal: controller.signal, onEvent };
}

describe('a run that is validated', () => {
  let summary: TrainingSummary;
  const events: TrainingEvent[] = [];
  const output = () => join(scratch, 'whole');
  beforeAll(async () => {
    summary = await trainFromConfig(validated('whole'), { onEvent: (event) => events.push(event) });
  });

  it('logs loss and ROUGE-L by task, tells them, and keeps the best model with its tokenizer', async () => {
    const lines = await new RunDirectory(output()).readValidations();
    expect(lines.map(({ step }) => step)).toEqual([2, 4, 6]);
    const [task] = Object.keys(lines[0]!.validation.perTask);
    expect(task).toBe('task2012_trec_question_type_classification');
    expect(lines[0]!.validation).toMatchObject({ metric: 'rougeL', examples: 3, isBest: true });
    expect(lines[0]!.validation.perTask[task!]).toMatchObject({
      examples: 3,
      rougeL: lines[0]!.validation.rougeL,
      exactMatch: lines[0]!.validation.exactMatch,
    });
    expect(lines[0]!.validation.perTask[task!]!.loss).toBeCloseTo(lines[0]!.validation.loss, 10);
    const told = events.flatMap((event) => (event.kind === 'validation' ? [event.report.step] : []));
    expect(told).toEqual([2, 4, 6]);
    expect(summary).toMatchObject({
      stoppedEarly: false,
      best: { metric: 'rougeL', path: join(output(), 'best') },
    });
    const best = JSON.parse(await readFile(join(output(), 'best', 'validation.json'), 'utf8')) as object;
    expect(best).toMatchObject({ step: summary.best!.step, score: summary.best!.score });
    await readFile(join(output(), 'best', 'tokenizer.json'));
  });

  it('trains to the bits of one that is not', async () => {
    await trainFromConfig(tinyRun(join(scratch, 'bare')));
    expect(await lossesOf(join(scratch, 'bare'))).toEqual(await lossesOf(output()));
    const weights = (name: string) => readFile(join(scratch, name, 'checkpoints/step-6/model.safetensors'));
    expect((await weights('bare')).equals(await weights('whole'))).toBe(true);
  });

  it.each([
    ['between steps', (event: TrainingEvent) => event.kind === 'step' && event.report.step === 3],
    [
      'in the middle of a validation',
      (event: TrainingEvent) => event.kind === 'progress' && event.phase === 'validate',
    ],
    ['between a validation and its checkpoint', (event: TrainingEvent) => event.kind === 'validation'],
  ])('goes on bit for bit after a stop %s, best score and patience included', async (when, isThen) => {
    const stopped = validated(`stopped ${when}`);
    expect(await trainFromConfig(stopped, stopAt(isThen))).toMatchObject({ status: 'stopped' });
    const resumed = await trainFromConfig(stopped, { resume: true });
    expect(resumed.best).toEqual({ ...summary.best, path: join(stopped.output, 'best') });
    expect(await validationsOf(stopped.output)).toEqual(await validationsOf(output()));
    expect(await lossesOf(stopped.output)).toEqual(await lossesOf(output()));
    const states = [output(), stopped.output].map(
      async (run) => (await new RunDirectory(run).latestCheckpoint())!.state.validation,
    );
    expect(await states[1]).toEqual(await states[0]);
  });

  it('writes the best model again where a kill came between it and its checkpoint', async () => {
    const stopped = validated('no-best', { steps: 2 });
    await trainFromConfig(stopped);
    await rm(join(stopped.output, 'best'), { recursive: true });
    await trainFromConfig(validated('no-best', { steps: 3 }), { resume: true });
    expect(await new RunDirectory(stopped.output).bestStep()).toBe(2);
  });

  it('ends when its patience is over, says so, and stays ended', async () => {
    // Weights that do not move: no validation after the first is better.
    const still = { learningRate: 1e-30, saveEvery: 100 };
    const config = validated('patient', {
      ...still,
      steps: 20,
      validation: { split: 'test', every: 2, patience: 2, metric: 'loss' },
    });
    const ended = await trainFromConfig(config);
    expect(ended).toMatchObject({ status: 'finished', stoppedEarly: true, step: 6, best: { step: 2 } });
    expect(await trainFromConfig(config, { resume: true })).toMatchObject({ step: 6, stoppedEarly: true });
    expect(await new RunDirectory(config.output).checkpointSteps()).toEqual([6, 2]);
  });

  it('holds examples out of training, the same for every seed', async () => {
    const config = validated('held-out', {
      validation: { fraction: 0.25, every: 6, metric: 'loss' },
      steps: 1,
    });
    const summary = await trainFromConfig(config);
    const [line] = await new RunDirectory(config.output).readValidations();
    const { examples, metric } = line!.validation;
    expect(metric).toBe('loss');
    expect(examples).toBe(Math.round(0.25 * (summary.examples! + examples)));
    expect(line!.validation).not.toHaveProperty('rougeL');
  });

  it('refuses to compare scores of other examples', async () => {
    const file = join(scratch, 'validation.jsonl');
    const records = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        JSON.stringify({ instruction: 'Say it again.', input: `word ${i}`, output: `word ${i}` }),
      ).join('\n');
    await writeFile(file, records(3));
    const own = { data: { kind: 'own', files: file }, every: 2, metric: 'loss' } as const;
    const config = validated('other-examples', { validation: own, steps: 2 });
    await trainFromConfig(config);
    await writeFile(file, records(4));
    await expect(
      trainFromConfig(validated('other-examples', { validation: own, steps: 4 }), { resume: true }),
    ).rejects.toMatchObject({ code: 'INVALID_DATA', message: expect.stringContaining('best score so far') });
  });

  it('finds its validation data from any working directory, as it does its training data', async () => {
    const file = join(scratch, 'elsewhere.jsonl');
    await writeFile(file, `${JSON.stringify({ instruction: 'Say it again.', input: 'a', output: 'a' })}\n`);
    const data = { kind: 'own', files: relative('', file) } as const;
    const config = validated('elsewhere', { validation: { data, metric: 'loss' }, steps: 1 });
    await trainFromConfig(config);
    const { validation } = await new RunDirectory(config.output).readConfig();
    expect(validation?.data).toMatchObject({ files: [file] });
  });

  it('is validated on P3 by rank classification', async () => {
    const config = validated('p3', {
      data: { kind: 'p3', directory: join(FIXTURES, 'p3'), maxInputTokens: 64, maxTargetTokens: 8 },
      validation: { split: 'eval', instancesPerTask: 2 },
      steps: 1,
    });
    await trainFromConfig(config);
    const [line] = await new RunDirectory(config.output).readValidations();
    expect(line!.validation).toMatchObject({ metric: 'accuracy', accuracy: line!.validation.score });
    const ranked = Object.entries(line!.validation.perTask).filter(
      ([, { accuracy }]) => accuracy !== undefined,
    );
    expect(ranked.length).toBeGreaterThan(0);
  });
});

describe('what a run is validated on', () => {
  const parse = (changes: Changes) => parseTrainingConfig({ ...tinyRun('run'), ...changes });
  const p3 = { kind: 'p3', directory: 'p3' } as const;

  it.each([
    [{ validation: {} }, /says nothing of what is validated on; set one of/],
    [{ validation: { split: 'test', fraction: 0.1 } }, /validation.split and validation.fraction each say/],
    [{ validation: { split: 'train' } }, /holds what the run trains on/],
    [{ validation: { split: 'dev' } }, /the splits of this dataset are train, test/],
    [{ validation: { fraction: 0.1 }, data: p3 }, /set validation.split to eval/],
    [{ validation: { split: 'eval', metric: 'rougeL' }, data: p3 }, /choose one of accuracy, loss/],
    [{ validation: { split: 'test', metric: 'accuracy' } }, /choose one of rougeL, exactMatch, loss/],
    [
      { validation: { split: 'x' }, data: { kind: 'own', files: 'a.jsonl', split: 'all' } },
      /holds what the run/,
    ],
    [{ validation: { fraction: 0.1 }, data: { kind: 'text', files: 'a.txt' } }, /plain text has no examples/],
    [{ validation: { split: 'test', evry: 3 } }, /validation.evry is unknown; did you mean every\?/],
    [{ validation: { fraction: 1 } }, /validation.fraction is 1/],
    [{ validation: { data: { kind: 'text', files: 'a.txt' } } }, /validation.data.*sni, p3, own/],
  ] as unknown as [Changes, RegExp][])('refuses %j', (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });

  it('is shown as the training data of its kind are, and is their other split', () => {
    const own = parse({
      data: { directory: 'sni', positives: 2, maxInputTokens: 100 },
      validation: { data: { directory: 'more' } },
    });
    expect(validationOf(own)).toMatchObject({
      set: { kind: 'data', data: { directory: 'more', split: 'test', positives: 2, maxInputTokens: 100 } },
      metric: 'rougeL',
      every: 2,
    });
    const other = parse({ data: { kind: 'own', files: 'a' }, validation: { split: 'test' } });
    expect(validationOf(other)?.set).toMatchObject({ data: { files: ['a'], split: 'test' } });
    expect(parseTrainingConfig(JSON.parse(JSON.stringify(own)))).toEqual(own);
  });
});

describe('holding out', () => {
  it('takes whole tasks, or examples, as many as the fraction says, and loses none', () => {
    const pool = tinyPool(48);
    const tasks = holdOut(pool, { fraction: 0.3, by: 'task' });
    const names = (examples: typeof pool) => new Set(examples.map(({ task }) => task));
    expect(names(tasks.heldOut).size).toBe(2);
    expect([...names(tasks.training)].some((name) => names(tasks.heldOut).has(name))).toBe(false);
    const examples = holdOut(pool, { fraction: 0.25, by: 'example' });
    expect(examples.heldOut).toHaveLength(12);
    expect(
      [...examples.heldOut, ...examples.training].sort((a, b) => pool.indexOf(a) - pool.indexOf(b)),
    ).toEqual(pool);
  });

  it('never takes all or nothing, and says when it has to', () => {
    const pool = tinyPool(3);
    expect(holdOut(pool, { fraction: 0.01, by: 'example' }).heldOut).toHaveLength(1);
    expect(holdOut(pool, { fraction: 0.99, by: 'example' }).training).toHaveLength(1);
    expect(() => holdOut(pool.slice(0, 1), { fraction: 0.5, by: 'task' })).toThrow(/1 task, of which/);
  });
});

describe('the best score', () => {
  const found = { metric: 'rougeL', fingerprint: 'f', step: 4, score: 50 } as const;
  const before = {
    metric: 'rougeL',
    fingerprint: 'f',
    step: 2,
    bestStep: 2,
    bestScore: 50,
    sinceBest: 0,
  } as const;

  it('stays with the earlier of two equal ones, and goes up or down with the metric', () => {
    expect(afterValidation(before, found)).toEqual({ ...before, step: 4, sinceBest: 1 });
    expect(afterValidation(before, { ...found, score: 51 })).toMatchObject({ bestStep: 4, sinceBest: 0 });
    const loss = { ...before, metric: 'loss' } as const;
    expect(afterValidation(loss, { ...found, metric: 'loss', score: 51 })).toMatchObject({ bestStep: 2 });
    expect(afterValidation(loss, { ...found, metric: 'loss', score: 49 })).toMatchObject({ bestStep: 4 });
  });

  it('is never NaN', () => {
    expect(() => afterValidation(before, { ...found, score: NaN })).toThrow(
      /after step 4 has the rougeL NaN/,
    );
  });
});
