import { HintError, throwIfAborted } from '../errors.js';
import type { TokenizedExample } from './batch.js';
import { checkPromptSetting, PROMPT_TOKENS, type PromptSetting } from './formats.js';
import {
  checkInstancesPerTask,
  INSTANCES_PER_TASK,
  readSniTaskNames,
  sniTaskFile,
  type SniSplit,
} from './natural-instructions.js';
import { tokenizeAhead } from './tokenize-ahead.js';
import type { TokenizeJob, TokenLimits } from './tokenize-job.js';
import type { Tokenizer } from './tokenizer.js';

/** How far the loading of a dataset is. */
export interface DatasetProgress {
  tasksDone: number;
  tasksTotal: number;
  examples: number;
}

/** Options of {@link streamSniDataset} and {@link loadSniDataset}. */
export interface SniDatasetOptions extends Partial<TokenLimits> {
  /** A Super-NaturalInstructions checkout: the folder that holds `tasks/` and `splits/`. */
  directory: string;
  split: SniSplit;
  /** Folder under `splits/` (default `default`). */
  track?: string;
  setting: PromptSetting;
  tokenizer: Tokenizer;
  /** Default 100. */
  instancesPerTask?: number;
  /** Seed of the choice among several references (default 0). */
  seed?: number;
  /** Keeps tokenised tasks here; a later call with equal content and settings only reads them. */
  cacheDirectory?: string | undefined;
  /** Worker threads; 0 works in the calling thread (default: by the number of cores). */
  threads?: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: DatasetProgress) => void) | undefined;
}

/**
 * The tokenised examples of a split, task by task in the order of the split list, tokenised ahead in worker threads.
 * Instructions and inputs are cut at 1,024 tokens and targets at 256 unless the options say otherwise, after EOS was
 * appended (method document §7.4).
 *
 * @throws HintError `INVALID_ARGUMENT`, `NOT_FOUND`, `INVALID_JSON`, `INVALID_DATA`, `IO`, `ABORTED`
 */
export async function* streamSniDataset(
  options: SniDatasetOptions,
): AsyncGenerator<TokenizedExample[], void, undefined> {
  const { directory, split, track, setting, tokenizer, threads, signal, onProgress } = options;
  checkPromptSetting(setting);
  const { instancesPerTask = INSTANCES_PER_TASK, seed = 0 } = options;
  checkInstancesPerTask(instancesPerTask);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new HintError('INVALID_ARGUMENT', `The seed is ${seed}; give a non-negative integer.`);
  const shared: Omit<TokenizeJob, 'file'> = {
    split,
    setting: { format: setting.format, positives: setting.positives },
    instancesPerTask,
    seed,
    cacheDirectory: options.cacheDirectory ?? null,
    maxInstructionTokens: checkLimit('maxInstructionTokens', options.maxInstructionTokens ?? PROMPT_TOKENS),
    maxInputTokens: checkLimit('maxInputTokens', options.maxInputTokens ?? PROMPT_TOKENS),
    maxTargetTokens: checkLimit('maxTargetTokens', options.maxTargetTokens ?? 256),
  };
  throwIfAborted(signal);
  const names = await readSniTaskNames(directory, split, track);
  const jobs = names.map((name) => ({ ...shared, file: sniTaskFile(directory, name) }));
  const progress: DatasetProgress = { tasksDone: 0, tasksTotal: names.length, examples: 0 };
  for await (const examples of tokenizeAhead(jobs, {
    tokenizer,
    signal,
    ...(threads === undefined ? {} : { threads }),
  })) {
    progress.tasksDone++;
    progress.examples += examples.length;
    onProgress?.({ ...progress });
    yield examples;
  }
}

/**
 * All examples of {@link streamSniDataset} in one pool, as mixed-task training and evaluation need them.
 *
 * @throws HintError as {@link streamSniDataset}, and `INVALID_DATA` when the split has no instance at all
 */
export async function loadSniDataset(options: SniDatasetOptions): Promise<TokenizedExample[]> {
  const pool: TokenizedExample[] = [];
  for await (const examples of streamSniDataset(options)) for (const example of examples) pool.push(example);
  if (pool.length === 0)
    throw new HintError(
      'INVALID_DATA',
      `The ${options.split} tasks of ${options.directory} have no instances; check that the checkout is complete.`,
    );
  return pool;
}

function checkLimit(name: string, limit: number): number {
  if (Number.isInteger(limit) && limit >= 1) return limit;
  throw new HintError('INVALID_ARGUMENT', `${name} is ${limit}; give an integer ≥ 1.`);
}
