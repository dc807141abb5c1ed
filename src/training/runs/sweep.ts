import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { doneOnce, foundOnce, isAnyAborted, isOfAllRanks } from '../../distributed/agreement.js';
import { Group } from '../../distributed/group.js';
import { callback, checked, instance, optional, options as optionsOf, signal as signalKind } from '../../util/arguments.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { HintError } from '../../util/errors.js';
import { sha256Hex } from '../../util/hash.js';
import { takeLock } from '../../util/lock.js';
import { makeFolder } from '../../util/write-error.js';
import { parseTrainingConfig, type TrainingConfig } from '../config/config.js';
import { applyOverrides } from '../config/overrides.js';
import { validationOf, type ValidationMetric } from '../config/validation-config.js';
import { flattenedSettings, PLACES } from '../run/changes.js';
import type { TrainingEvent } from '../run/events.js';
import { continueRun } from '../run/lineage.js';
import { resolvePaths } from '../run/prepare.js';
import { RunDirectory } from '../run/run-directory.js';
import { trainFromConfig } from '../run/run.js';
import { isBetter } from '../validation/best.js';
import { spreadOf, type Spread } from './compare-runs.js';
import { isRun, readRun, resultsOf } from './read-run.js';

/** A setting and the values it takes in a sweep. */
export interface SweepAxis {
  /** Dots between nested keys. */
  readonly key: string;
  readonly values: readonly unknown[];
}

/** What a sweep runs: every combination of its axes' values, under several seeds. */
export interface SweepSettings {
  /** JSON of a run; its output is left out. */
  readonly config: unknown;
  readonly axes: readonly SweepAxis[];
  /** Runs of each combination, with the seeds from that of the configuration on. */
  readonly seeds: number;
  readonly output: string;
  /** Names the configuration in errors. */
  readonly source?: string | undefined;
}

/** A run of a sweep before it is run. */
export interface PlannedRun {
  /** Folder below the sweep's output. */
  readonly name: string;
  /** Which combination of values. */
  readonly point: number;
  readonly config: TrainingConfig;
}

/** A sweep before it is run. */
export interface SweepPlan {
  readonly output: string;
  /** Per combination, its values by key. */
  readonly points: readonly Readonly<Record<string, unknown>>[];
  readonly runs: readonly PlannedRun[];
  /** What combinations are ranked by: that of the validation, or `training loss` without one. */
  readonly metric: ValidationMetric | 'training loss';
}

/** What became of a combination. */
export interface SweepPoint {
  /** 1 is the best; undefined where no run of it has a score. */
  readonly rank: number | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Over its seeds. */
  readonly score: Spread | undefined;
  readonly runs: readonly SweptRun[];
}

/** What became of a run of a sweep. */
export interface SweptRun {
  readonly path: string;
  readonly seed: number;
  /** `pending`: stopped before its turn was over; what it has is kept. */
  readonly status: 'done' | 'failed' | 'pending';
  readonly score?: number | undefined;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A sweep as far as it has been run. */
export interface SweepResult {
  readonly metric: SweepPlan['metric'];
  /** The best first. */
  readonly ranking: readonly SweepPoint[];
  /** Whether the signal ended it before all runs had their turn. */
  readonly interrupted: boolean;
}

/** What a sweep tells while it runs. */
export type SweepEvent =
  | {
      kind: 'run';
      state: 'started' | 'skipped' | 'finished' | 'failed';
      index: number;
      total: number;
      name: string;
      score?: number | undefined;
      error?: unknown;
    }
  | { kind: 'training'; name: string; event: TrainingEvent };

/** How a sweep is run. */
export interface RunSweepOptions {
  /** Aborting it saves the run under way and returns what there is, as interrupted. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: SweepEvent) => void) | undefined;
  /**
   * Processes that take each run together, all of which call this with the same. Rank 0 writes, and each has the whole result.
   * A run that diverges is reported; another error ends all of them.
   */
  readonly ranks?: Group | undefined;
}

const RUN_SWEEP = optionsOf<RunSweepOptions>({
  signal: optional(signalKind),
  onEvent: optional(callback()),
  ranks: optional(instance(Group, 'a Group')),
});
const MOST_RUNS = 10_000;
const LONGEST_NAME = 100;

/**
 * Checks a sweep and lays out its runs, in the order of the first axis.
 *
 * @throws HintError INVALID_ARGUMENT for a sweep of no or too many runs, or a key twice; INVALID_CONFIG for a combination that
 *   cannot be run
 */
export function planSweep({ config, axes, seeds, output, source }: SweepSettings): SweepPlan {
  const keys = axes.map(({ key }) => key);
  const twice = keys.find((key, i) => keys.indexOf(key) < i);
  const apart = keys.find((key) => key === 'seed' || key === 'output');
  const count = axes.reduce((product, { values }) => product * values.length, seeds);
  if (twice !== undefined) throw refused(`${twice} stands in two axes; give all its values in one`);
  if (apart !== undefined)
    throw refused(`${apart} is no axis; ${apart === 'seed' ? 'say how many seeds there are' : 'every run has its own'}`);
  if (!(count >= 1 && count <= MOST_RUNS))
    throw refused(`its ${axes.length} axes and ${seeds} seeds make ${count} runs; a sweep has 1 to ${MOST_RUNS}`);
  let points: Record<string, unknown>[] = [{}];
  for (const { key, values } of axes)
    points = points.flatMap((point) => values.map((value) => ({ ...point, [key]: value })));
  const names = new Set<string>();
  const runs = points.flatMap((settings, point) => {
    const folder = folderOf(settings);
    if (names.has(folder)) throw refused(`${folder} comes twice; give each value once`);
    names.add(folder);
    const assignments = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const at = (name: string, seed?: number): TrainingConfig =>
      parseTrainingConfig(
        applyOverrides(config, [
          ...assignments,
          `output=${JSON.stringify(join(output, name))}`,
          ...(seed === undefined ? [] : [`seed=${seed}`]),
        ]),
        source,
      );
    const first = at(folder).seed;
    return Array.from({ length: seeds }, (_, i): PlannedRun => {
      const name = join(folder, `seed-${first + i}`);
      return { name, point, config: at(name, first + i) };
    });
  });
  const metrics = [...new Set(runs.map((run) => validationOf(run.config)?.metric ?? 'training loss'))];
  if (metrics.length > 1)
    throw refused(`its runs are scored by ${metrics.join(' and ')}, which cannot be ranked together`);
  return { output, points, runs, metric: metrics[0] as SweepPlan['metric'] };
}

/**
 * Runs a sweep, one run after the other. A finished run is skipped, one that was stopped goes on where it was, one that fails is
 * reported, and the others have their turn; `sweep.json` has the ranking.
 *
 * @throws HintError INVALID_ARGUMENT when another process works on the sweep, or its folder holds a run; INVALID_CONFIG where
 *   ranks have different sweeps, IO; among ranks, what a run throws
 */
export async function runSweep(plan: SweepPlan, options: RunSweepOptions = {}): Promise<SweepResult> {
  const { ranks } = checked(RUN_SWEEP, options, 'options');
  const { output, runs, metric } = plan;
  await ranks?.requireSame(
    {
      'the folder of the sweep': resolve(output),
      'the number of runs': runs.length,
      'the digest of their names': sha256Hex(JSON.stringify(runs.map(({ name }) => name))).slice(0, 16),
    },
    'start all of them alike.',
  );
  const unlock = await lockAtFirst(output, ranks);
  try {
    const swept: SweptRun[] = [];
    for (const [i, planned] of runs.entries()) {
      const told = { kind: 'run', index: i + 1, total: runs.length, name: planned.name } as const;
      swept.push(await runOne(planned, metric, told, options));
    }
    const interrupted = swept.some(({ status }) => status === 'pending');
    const result = { metric, ranking: rank(plan, swept), interrupted };
    const text = `${JSON.stringify({ version: 1, ...result }, null, 2)}\n`;
    await doneOnce(ranks, () => writeFileAtomic(join(output, 'sweep.json'), text), 'have the ranking written');
    return result;
  } finally {
    await unlock?.();
  }
}

/** @returns what gives the folder of the sweep free again, at the process that has it */
async function lockAtFirst(
  output: string,
  ranks: Group | undefined,
): Promise<(() => Promise<void>) | undefined> {
  let unlock: (() => Promise<void>) | undefined;
  const lock = async (): Promise<void> => {
    // Its folders would lie inside the run, where nothing looks for runs.
    if (await isRun(output))
      throw new HintError(
        'INVALID_ARGUMENT',
        `${output} holds a training run, and a sweep has a folder of its own; give another output directory.`,
      );
    await makeFolder(output);
    unlock = await takeLock(join(output, 'lock.json'), {
      doing: `sweeping in ${output}`,
      instead: 'another output directory',
    });
  };
  await doneOnce(ranks, lock, 'have the folder of the sweep locked');
  return unlock;
}

async function runOne(
  { name, config }: PlannedRun,
  metric: SweepPlan['metric'],
  told: Omit<Extract<SweepEvent, { kind: 'run' }>, 'state'>,
  { signal, onEvent, ranks }: RunSweepOptions,
): Promise<SweptRun> {
  const place = { path: config.output, seed: config.seed };
  if (await isAnyAborted(ranks, signal)) return { ...place, status: 'pending' };
  try {
    const { isBegun, isDone } = await foundOnce(ranks, () => stateOf(config), 'learn how far the run is');
    if (!isDone) {
      onEvent?.({ ...told, state: 'started' });
      const { status } = await trainFromConfig(config, {
        resume: isBegun,
        signal,
        onEvent: (event) => onEvent?.({ kind: 'training', name, event }),
        ranks,
      });
      if (status === 'stopped') return { ...place, status: 'pending' };
    }
    const score = await foundOnce(ranks, () => scoreOf(config.output, metric), 'learn the score of the run');
    onEvent?.({ ...told, state: isDone ? 'skipped' : 'finished', score });
    return { ...place, status: 'done', score };
  } catch (error) {
    if (ranks && !isOfAllRanks(error)) throw error;
    if (signal?.aborted && error instanceof HintError && error.code === 'ABORTED')
      return { ...place, status: 'pending' };
    onEvent?.({ ...told, state: 'failed', error });
    const code = error instanceof HintError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    return { ...place, status: 'failed', error: { code, message } };
  }
}

async function stateOf(config: TrainingConfig): Promise<{ isBegun: boolean; isDone: boolean }> {
  const isBegun = existsSync(join(config.output, 'config.json'));
  const [change] = isBegun ? await new RunDirectory(config.output).readChanges() : [];
  if (change)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${config.output} had other settings up to step ${change.step}, as its changes.jsonl says, so that it is no run of the sweep; move it elsewhere.`,
    );
  return { isBegun, isDone: isBegun && (await isFinished(config)) };
}

/** Whether the run is there to its last step, under these settings. Others are left to resuming, which refuses them by name. */
async function isFinished(config: TrainingConfig): Promise<boolean> {
  if (!existsSync(join(config.output, 'metrics.jsonl'))) return false;
  const run = await readRun(config.output);
  if (!run.isFinished || (run.steps.at(-1)?.step ?? 0) < run.config.steps) return false;
  const planned = await new RunDirectory(config.output).plannedTokenBudget();
  const now = flattenedSettings(continueRun(resolvePaths(config), run.config, planned));
  const before = flattenedSettings(run.config);
  const derived = [
    ...(config.epochs === undefined ? [] : ['steps']),
    ...(config.warmupEpochs === undefined ? [] : ['warmupSteps']),
  ];
  const keys = new Set([...now.keys(), ...before.keys()]);
  return [...keys].every((key) => [...PLACES, ...derived].includes(key) || now.get(key) === before.get(key));
}

async function scoreOf(path: string, metric: SweepPlan['metric']): Promise<number | undefined> {
  const { loss, best } = resultsOf(await readRun(path));
  return metric === 'training loss' ? loss : best?.score;
}

function rank({ points, runs, metric }: SweepPlan, swept: readonly SweptRun[]): SweepPoint[] {
  const scored = points.map((settings, point) => {
    const own = swept.filter((_, i) => runs[i]?.point === point);
    return { settings, score: spreadOf(own.flatMap(({ score }) => score ?? [])), runs: own };
  });
  const by = metric === 'training loss' ? 'loss' : metric;
  scored.sort((a, b) => {
    if (!a.score || !b.score) return Number(!a.score) - Number(!b.score);
    if (a.score.mean === b.score.mean) return 0;
    return isBetter(by, a.score.mean, b.score.mean) ? -1 : 1;
  });
  return scored.map((one, i) => ({ rank: one.score ? i + 1 : undefined, ...one }));
}

/** A name of a folder that says the values; where it cannot say them all, a hash tells it from others. */
function folderOf(settings: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(settings).map(([key, value]) => {
    const last = key.split('.').at(-1) as string;
    return `${last}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  if (parts.length === 0) return 'run';
  const whole = parts.join(',');
  const name = whole.replace(/[^\w.,=+-]/g, '_').slice(0, LONGEST_NAME);
  const shortKeys = new Set(Object.keys(settings).map((key) => key.split('.').at(-1)));
  if (name === whole && shortKeys.size === parts.length) return name;
  return `${name}-${sha256Hex(JSON.stringify(settings)).slice(0, 8)}`;
}

function refused(fault: string): HintError {
  return new HintError('INVALID_ARGUMENT', `The sweep cannot be run: ${fault}.`);
}
