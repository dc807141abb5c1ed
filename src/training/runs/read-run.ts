import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';
import type { TrainingConfig } from '../config/config.js';
import type { ChangesLine } from '../run/changes-log.js';
import { RunDirectory, type MetricsLine, type ValidationLine } from '../run/run-directory.js';

/** A training run as its folder tells of it. */
export interface RunRecord {
  readonly path: string;
  readonly config: TrainingConfig;
  /** The logged steps in order. */
  readonly steps: readonly MetricsLine[];
  readonly validations: readonly ValidationLine[];
  /** Settings that it was gone on with, other than those that it had begun with. */
  readonly changes: readonly ChangesLine[];
  /** Whether it has taken all its steps, or as many as its patience allows, and written its model. */
  readonly isFinished: boolean;
}

/**
 * Reads what a run has logged.
 *
 * @throws HintError NOT_FOUND where there is no run, INVALID_JSON, INVALID_CONFIG, IO, LIMIT_EXCEEDED
 */
export async function readRun(path: string): Promise<RunRecord> {
  const directory = new RunDirectory(path);
  if (!(await isRun(path)))
    throw new HintError(
      'NOT_FOUND',
      `${path} holds no training run (config.json and metrics.jsonl); give the output directory of one.`,
    );
  const [config, steps] = [await directory.readConfig(), await directory.readMetrics()];
  const [validations, changes] = [await directory.readValidations(), await directory.readChanges()];
  // A run that goes on with more steps still has the model of its earlier end.
  const isAtEnd = (steps.at(-1)?.step ?? 0) >= config.steps || isOutOfPatience(config, validations);
  const isFinished = isAtEnd && (await isThere(join(directory.modelPath, 'config.json')));
  return { path, config, steps, validations, changes, isFinished };
}

function isOutOfPatience({ validation }: TrainingConfig, lines: readonly ValidationLine[]): boolean {
  const { patience } = validation ?? {};
  if (patience === undefined) return false;
  const best = lines.findLastIndex((line) => line.validation.isBest);
  return lines.length - 1 - best >= patience;
}

// Folders below a folder of runs that are looked into: runs of a table of the paper lie four deep.
const DEEPEST = 4;

/**
 * The folders of runs that lie in a folder, the folder itself included, in the order of their paths. What lies inside a run
 * is not looked into.
 *
 * @throws HintError NOT_FOUND, INVALID_ARGUMENT where it is a file, IO, ABORTED
 */
export async function findRuns(folder: string, signal?: AbortSignal, depth = 0): Promise<string[]> {
  throwIfAborted(signal);
  if (await isRun(folder)) return [folder];
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTDIR') throw readError(folder, cause);
    throw new HintError('INVALID_ARGUMENT', `${folder} is a file; give a folder of training runs.`, { cause });
  });
  if (depth === DEEPEST) return [];
  const found: string[] = [];
  const inner = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  for (const { name } of inner.sort((a, b) => (a.name < b.name ? -1 : 1)))
    found.push(...(await findRuns(join(folder, name), signal, depth + 1)));
  return found;
}

/** Names that tell runs apart: their last folders, or their paths from the first folder on in which they differ. */
export function namesOfRuns(paths: readonly string[]): string[] {
  const parts = paths.map((path) => resolve(path).split(sep));
  const last = parts.map((one) => one.at(-1) as string);
  if (new Set(last).size === last.length) return last;
  const [first = []] = parts;
  const shared = first.findIndex((part, i) => parts.some((one) => one[i] !== part));
  return shared < 0 ? last : parts.map((one) => one.slice(shared).join('/'));
}

/** A name for runs that are taken together: the folder that holds them all and no others, else their names. */
export function nameOfGroup(names: readonly string[]): string {
  const folders = new Set(names.map((name) => dirname(name)));
  const [folder = '.'] = folders;
  return names.length > 1 && folders.size === 1 && folder !== '.' ? folder : names.join(', ');
}

// Steps whose mean is a run's last loss: one alone is that of a single batch.
const LAST_STEPS = 10;

/** What a run has come to. */
export interface RunResults {
  /** Steps that are logged. */
  step: number;
  /** Mean training loss of its last ten logged steps. */
  loss: number | undefined;
  /** The best score of its validations. */
  best: { metric: string; score: number; step: number } | undefined;
  /** Median over its logged steps. */
  tokensPerSecond: number | undefined;
  peakBytes: number | undefined;
}

/** Sums up what a run has logged. */
export function resultsOf({ steps, validations }: RunRecord): RunResults {
  const last = steps.slice(-LAST_STEPS).map(({ loss }) => loss);
  const rates = steps.map((line) => line.tokensPerSecond).sort((a, b) => a - b);
  // That of best/: a run that goes on with other examples to validate on begins with a new best score.
  const best = validations.findLast(({ validation }) => validation.isBest);
  return {
    step: steps.at(-1)?.step ?? 0,
    loss: last.length > 0 ? last.reduce((sum, loss) => sum + loss, 0) / last.length : undefined,
    best: best && { metric: best.validation.metric, score: best.validation.score, step: best.step },
    tokensPerSecond: rates[rates.length >> 1],
    peakBytes: steps.length > 0 ? steps.reduce((most, line) => Math.max(most, line.peakBytes), 0) : undefined,
  };
}

/** Whether a training run lies in a folder. */
export async function isRun(path: string): Promise<boolean> {
  return (await isThere(join(path, 'metrics.jsonl'))) && (await isThere(join(path, 'config.json')));
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
