import { throwIfAborted } from '../../util/errors.js';
import {
  boolean,
  callback,
  checked,
  choice,
  integer,
  list,
  map,
  name,
  number,
  optional,
  options as optionsOf,
  path,
  signal,
  text,
} from '../../util/arguments.js';
import type { Notices } from '../../util/notices.js';
import { readLineBlocks } from '../line-blocks.js';
import { NOTICED, NOTICES } from '../noticed.js';
import { TOKENIZING, type TokenLimits } from '../tokenizing/job.js';
import { tokenizePacked } from '../tokenizing/tokenize-ahead.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { p3Files, P3_SPLITS, readP3Templates, type P3Split, type P3Template } from './format.js';
import { checkP3Setting, P3_FORMS, P3_LIMITS, type P3Setting, type P3Shot } from './forms.js';
import { P3_BLOCKS, type P3Job, type P3TaskUse } from './tokenize.js';

/** How far the reading of P3 is. */
export interface P3Progress {
  /** Folders of the dataset that have been read. */
  filesDone: number;
  /** Folders that are to be read. */
  filesTotal: number;
}

/** Options of {@link streamP3}. */
export interface P3Options extends Partial<TokenLimits> {
  /** The folder that holds templates.json, splits.json and train/. */
  directory: string;
  split: P3Split;
  /** Only these datasets; all of the split by default. */
  datasets?: readonly string[] | undefined;
  setting: P3Setting;
  tokenizer: Tokenizer;
  /** Seed of the choice of shots, and of rows above the cap (default 0). */
  seed?: number | undefined;
  /** Share of a task's rows that is used, by task name (default 1; 0 leaves the task out). */
  keep?: ReadonlyMap<string, number> | undefined;
  /** The worked examples of a task, by task name; by default they are drawn from the rows around each row. */
  shots?: ReadonlyMap<string, readonly P3Shot[]> | undefined;
  /** Also tokenise the answer choices (default false). */
  withChoices?: boolean | undefined;
  /** Keeps tokenised lines here; a later call with equal content and settings only reads them. */
  cacheDirectory?: string | undefined;
  /** Worker threads; 0 works in the calling thread (default: by the number of cores). */
  threads?: number | undefined;
  /** Gathers what is left out or repeated. */
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: P3Progress) => void) | undefined;
}

/** What a caller may say about reading P3. */
export const P3_READING = {
  ...TOKENIZING,
  directory: path,
  split: choice(...P3_SPLITS),
  datasets: optional(list(name)),
  setting: optionsOf<P3Setting>({ form: choice(...P3_FORMS), shots: integer(0, 2 ** 31 - 1) }),
  seed: optional(integer(0)),
  notices: NOTICES,
  signal: optional(signal),
  onProgress: optional(callback<(progress: P3Progress) => void>()),
};

const STREAM = optionsOf<P3Options>(
  {
    ...P3_READING,
    keep: optional(map(number(0, 1))),
    shots: optional(
      map(list(optionsOf<P3Shot>({ input: text, target: text }, 'a worked example { input, target }'))),
    ),
    withChoices: optional(boolean),
  },
  'an object such as { directory, split, setting, tokenizer }',
);

/**
 * The tokenised rows of a split, in blocks of a few hundred, in the order of the files, tokenised ahead in worker
 * threads; see token-cache.ts for their form. Only blocks under way are held.
 *
 * @throws HintError INVALID_ARGUMENT, NOT_FOUND, INVALID_JSON, INVALID_DATA (naming file and line), IO, ABORTED
 */
export async function* streamP3(given: P3Options): AsyncGenerator<Uint8Array, void, undefined> {
  const options = checked(STREAM, given, 'options');
  const { directory, split, datasets, setting, tokenizer, threads, notices, signal } = options;
  checkP3Setting(setting);
  const { seed = 0 } = options;
  const limits = { ...P3_LIMITS, ...limitsOf(options) };
  throwIfAborted(signal);
  const templates = await readP3Templates(directory);
  const files = await p3Files(directory, split, datasets, notices);
  const jobs = async function* (): AsyncGenerator<P3Job, void, undefined> {
    for (const [filesDone, { dataset, file }] of files.entries()) {
      options.onProgress?.({ filesDone, filesTotal: files.length });
      const tasks = tasksOf(dataset, templates, options);
      if (Object.keys(tasks).length === 0) notices?.add(NOTICED.noTemplates, dataset);
      if (Object.values(tasks).every(({ keep }) => keep === 0)) continue;
      for await (const block of readLineBlocks(file, 'the P3 data', { notices, signal })) {
        yield {
          ...block,
          file,
          setting: { form: setting.form, shots: setting.shots },
          tasks,
          seed,
          withChoices: options.withChoices ?? false,
          ...limits,
          cacheDirectory: options.cacheDirectory ?? null,
        };
      }
    }
    options.onProgress?.({ filesDone: files.length, filesTotal: files.length });
  };
  yield* tokenizePacked(P3_BLOCKS, jobs(), {
    tokenizer,
    signal,
    ...(threads === undefined ? {} : { threads }),
  });
}

function tasksOf(
  dataset: string,
  templates: ReadonlyMap<string, P3Template>,
  { keep, shots }: P3Options,
): Record<string, P3TaskUse> {
  const own = [...templates].filter(([, template]) => template.dataset === dataset);
  return Object.fromEntries(
    own.map(([task, { instructions }]) => [
      task,
      {
        text: instructions[0] ?? null,
        keep: keep?.get(task) ?? 1,
        shots: shots ? [...(shots.get(task) ?? [])] : null,
      },
    ]),
  );
}

function limitsOf(options: Partial<TokenLimits>): Partial<TokenLimits> {
  const names = ['maxInstructionTokens', 'maxInputTokens', 'maxTargetTokens'] as const;
  return Object.fromEntries(
    names.flatMap((limit) => (options[limit] === undefined ? [] : [[limit, options[limit]] as const])),
  );
}
