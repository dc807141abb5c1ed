import { HintError, throwIfAborted } from '../../util/errors.js';
import {
  callback,
  checked,
  choice,
  integer,
  integerOrAll,
  name,
  optional,
  options as optionsOf,
  path,
  signal,
} from '../../util/arguments.js';
import type { Notices } from '../../util/notices.js';
import type { TokenizedExample } from '../batch.js';
import { DistinctIds, NOTICES } from '../noticed.js';
import { checkPromptSetting, PROMPT_FORMATS, PROMPT_TOKENS, type PromptSetting } from './prompts.js';
import { INSTANCES_PER_TASK, readSniTaskNames, sniTaskFile, SNI_SPLITS, type SniSplit } from './tasks.js';
import { TOKENIZING, type TokenLimits } from '../tokenizing/job.js';
import { tokenizeAhead, type TokenizeJob } from './tokenize.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';

/** How far the loading of a dataset is. */
export interface DatasetProgress {
  /** Task files whose examples are tokenised. */
  tasksDone: number;
  /** Task files of the split. */
  tasksTotal: number;
  /** Examples made so far, of all tasks done. */
  examples: number;
}

/** Options of {@link streamSniDataset} and {@link loadSniDataset}. */
export interface SniDatasetOptions extends Partial<TokenLimits> {
  /** A Super-NaturalInstructions checkout: the folder that holds `tasks/` and `splits/`. */
  directory: string;
  /** Which list of tasks is read, from `splits/` of the directory. */
  split: SniSplit;
  /** Folder under `splits/` (default `default`). */
  track?: string;
  /** How instruction and examples become prompts. */
  setting: PromptSetting;
  /** Of the model that reads the examples. */
  tokenizer: Tokenizer;
  /** Default 100. */
  instancesPerTask?: number;
  /** Seed of the choice among several references (default 0). */
  seed?: number;
  /** Keeps tokenised tasks here; a later call with equal content and settings only reads them. */
  cacheDirectory?: string | undefined;
  /** Worker threads; 0 works in the calling thread (default: by the number of cores). */
  threads?: number;
  /** Gathers what is ambiguous or repeated. */
  notices?: Notices | undefined;
  /** Ends the reading, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called after each task file. */
  onProgress?: ((progress: DatasetProgress) => void) | undefined;
}

const SNI_DATASET = optionsOf<SniDatasetOptions>(
  {
    ...TOKENIZING,
    directory: path,
    split: choice(...SNI_SPLITS),
    track: optional(name),
    setting: optionsOf<PromptSetting>({
      format: choice(...PROMPT_FORMATS),
      positives: integer(0, 2 ** 31 - 1),
    }),
    instancesPerTask: optional(integerOrAll(1)),
    seed: optional(integer(0)),
    notices: NOTICES,
    signal: optional(signal),
    onProgress: optional(callback()),
  },
  'an object such as { directory, split, setting, tokenizer }',
);

/**
 * The tokenised examples of a split, task by task in the order of the split list, tokenised ahead in worker threads.
 * Instructions and inputs are cut at 1,024 tokens and targets at 256 unless the options say otherwise, after EOS was
 * appended (method §7.4). Ids are distinct: one that comes again gets a number.
 *
 * @throws HintError `INVALID_ARGUMENT`, `NOT_FOUND`, `INVALID_JSON`, `INVALID_DATA`, `IO`, `ABORTED`
 */
export async function* streamSniDataset(
  given: SniDatasetOptions,
): AsyncGenerator<TokenizedExample[], void, undefined> {
  const options = checked(SNI_DATASET, given, 'options');
  const { directory, split, track, setting, tokenizer, threads, notices, signal, onProgress } = options;
  checkPromptSetting(setting);
  const { instancesPerTask = INSTANCES_PER_TASK, seed = 0 } = options;
  const shared: Omit<TokenizeJob, 'file'> = {
    split,
    setting: { format: setting.format, positives: setting.positives },
    instancesPerTask,
    seed,
    cacheDirectory: options.cacheDirectory ?? null,
    maxInstructionTokens: options.maxInstructionTokens ?? PROMPT_TOKENS,
    maxInputTokens: options.maxInputTokens ?? PROMPT_TOKENS,
    maxTargetTokens: options.maxTargetTokens ?? 256,
  };
  throwIfAborted(signal);
  const names = await readSniTaskNames(directory, split, track, notices);
  const jobs = names.map((name) => ({ ...shared, file: sniTaskFile(directory, name) }));
  const ids = new DistinctIds(notices);
  const progress: DatasetProgress = { tasksDone: 0, tasksTotal: names.length, examples: 0 };
  for await (const examples of tokenizeAhead(jobs, {
    tokenizer,
    notices,
    signal,
    ...(threads === undefined ? {} : { threads }),
  })) {
    for (const example of examples) example.id = ids.of(example.id);
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
export async function loadSniDataset(given: SniDatasetOptions): Promise<TokenizedExample[]> {
  const options = checked(SNI_DATASET, given, 'options');
  const pool: TokenizedExample[] = [];
  for await (const examples of streamSniDataset(options)) for (const example of examples) pool.push(example);
  if (pool.length === 0)
    throw new HintError(
      'INVALID_DATA',
      `The ${options.split} tasks of ${options.directory} have no instances; check that the checkout is complete.`,
    );
  return pool;
}
