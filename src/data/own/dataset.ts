import { HintError, throwIfAborted } from '../../util/errors.js';
import {
  callback,
  checked,
  choice,
  integer,
  list,
  name,
  number,
  optional,
  options as optionsOf,
  path,
  signal as signalKind,
} from '../../util/arguments.js';
import { sha256 } from '../../util/hash.js';
import type { Notices } from '../../util/notices.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { TokenizedExample } from '../batch.js';
import {
  checkPromptSetting,
  PROMPT_FORMATS,
  PROMPT_TOKENS,
  type PromptSetting,
} from '../natural-instructions/prompts.js';
import { DistinctIds, NOTICED, NOTICES } from '../noticed.js';
import { unpackExamples } from '../token-cache.js';
import { TOKENIZING, type TokenLimits } from '../tokenizing/job.js';
import { tokenizePacked } from '../tokenizing/tokenize-ahead.js';
import { findOwnFiles } from './files.js';
import { notARecord, readOwnRecord, type OwnRecord } from './record.js';
import { OWN_RECORDS, type OwnJob, type OwnRow } from './tokenize.js';
import { readOwnValues } from './values.js';

/** What a record is in a split with: itself, or all records of its task. */
export const SPLIT_UNITS = ['example', 'task'] as const;
export type SplitUnit = (typeof SPLIT_UNITS)[number];

/** How own data are split, the same for training and evaluation. */
export interface OwnSplitting {
  /** The field that says which split a record is in (default `split`); records without it are split by fraction. */
  splitField?: string | undefined;
  /** Share of the records that is `test`, by a hash of their content (default 0.1). */
  testFraction?: number | undefined;
  /** `task`: tasks are in one split with all their records (default `example`). */
  splitBy?: SplitUnit | undefined;
}

/** Options of {@link readOwnRecords}. */
export interface OwnRecordsOptions extends OwnSplitting {
  /** Files, folders and glob patterns. */
  files: readonly string[];
  /** `train`, `test`, one that the split field names, or `all`. */
  split: string;
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
}

/** Options of {@link loadOwnDataset}. */
export interface OwnDatasetOptions extends OwnRecordsOptions, Partial<TokenLimits> {
  setting: PromptSetting;
  tokenizer: Tokenizer;
  /** Seed of the choice among several outputs (default 0). */
  seed?: number | undefined;
  cacheDirectory?: string | undefined;
  threads?: number | undefined;
  onProgress?: ((progress: { examples: number }) => void) | undefined;
}

const READING = {
  files: list(path, 'a list of files, folders and glob patterns such as ["tasks.jsonl"]'),
  split: name,
  splitField: optional(name),
  testFraction: optional(number(0, 1)),
  splitBy: optional(choice(...SPLIT_UNITS)),
  notices: NOTICES,
  signal: optional(signalKind),
};
const READ = optionsOf<OwnRecordsOptions>(READING);
const LOAD = optionsOf<OwnDatasetOptions>(
  {
    ...TOKENIZING,
    ...READING,
    setting: optionsOf<PromptSetting>({
      format: choice(...PROMPT_FORMATS),
      positives: integer(0, 2 ** 31 - 1),
    }),
    seed: optional(integer(0)),
    onProgress: optional(callback()),
  },
  'an object such as { files, split, setting, tokenizer }',
);

/** The default name of the field that says which split a record is in. */
export const SPLIT_FIELD = 'split';
export const TEST_FRACTION = 0.1;

/** The name of the task that an instruction is, where the data name none. */
export function taskOf({ task, instruction }: OwnRecord): string {
  return task ?? `task-${sha256(instruction).toString('hex', 0, 4)}`;
}

/** The split of a record. */
export function splitOf(
  record: OwnRecord,
  { testFraction = TEST_FRACTION, splitBy = 'example' }: OwnSplitting,
): string {
  if (record.split !== undefined) return record.split;
  const { instruction, input, outputs } = record;
  const hash = splitBy === 'task' ? sha256(taskOf(record)) : sha256(instruction, input, ...outputs);
  return hash.readUInt32LE(0) / 2 ** 32 < testFraction ? 'test' : 'train';
}

/**
 * The records of a split, in the order of the files, with a task and an id each.
 *
 * @throws HintError INVALID_ARGUMENT, NOT_FOUND, INVALID_DATA and INVALID_JSON naming file, line and field, INVALID_FILE, IO,
 *   LIMIT_EXCEEDED, ABORTED
 */
export async function* readOwnRecords(given: OwnRecordsOptions): AsyncGenerator<OwnRow, void, undefined> {
  const options = checked(READ, given, 'options');
  const { files: patterns, split: wanted, splitField = SPLIT_FIELD, notices, signal } = options;
  const ids = new DistinctIds(notices);
  const seen = new Set<string>();
  const splits = new Map<string, number>();
  for (const file of await findOwnFiles(patterns, notices, signal)) {
    let number = 0;
    for await (const found of readOwnValues(file, { splitField, notices, signal })) {
      if ('error' in found) throw found.error;
      const { record, faults, others } = readOwnRecord(found.value, splitField);
      for (const other of others) notices?.addOnce(NOTICED.otherFields, other);
      if (!record) throw notARecord(found.where, faults);
      number++;
      const split = splitOf(record, options);
      splits.set(split, (splits.get(split) ?? 0) + 1);
      if (wanted !== 'all' && split !== wanted) continue;
      const content = sha256(record.instruction, record.input, ...record.outputs).toString('base64');
      if (seen.has(content)) notices?.add(NOTICED.repeated, found.where);
      seen.add(content);
      if (record.outputs.every((output) => output.trim() === ''))
        notices?.add(NOTICED.emptyOutputs, found.where);
      const task = taskOf(record);
      yield { ...record, task, id: ids.of(record.id ?? `${task}-${number}`) };
    }
  }
  if (wanted === 'all' ? splits.size > 0 : splits.has(wanted)) return;
  const there = Array.from(
    splits,
    ([split, count]) => `${split} (${count === 1 ? '1 record' : `${count} records`})`,
  ).slice(0, 20);
  throw new HintError(
    'INVALID_DATA',
    there.length === 0
      ? `${patterns.join(', ')} holds no record; each is an object with instruction, input and output.`
      : `${patterns.join(', ')} has no record in the split ${JSON.stringify(wanted)}; its splits are ${there.join(', ')}. Name one of them, or all, or another field or fraction to split by.`,
  );
}

// Records that a worker thread tokenises at a time.
const BLOCK = 256;

/**
 * The tokenised examples of a split of own data, tokenised ahead in worker threads and held in memory.
 *
 * @throws HintError as {@link readOwnRecords}
 */
export async function loadOwnDataset(given: OwnDatasetOptions): Promise<TokenizedExample[]> {
  const options = checked(LOAD, given, 'options');
  const { setting, tokenizer, threads, notices, signal, onProgress } = options;
  checkPromptSetting(setting);
  const { files, split, splitField, testFraction, splitBy } = options;
  const shared: Omit<OwnJob, 'rows'> = {
    setting: { format: setting.format, positives: setting.positives },
    seed: options.seed ?? 0,
    cacheDirectory: options.cacheDirectory ?? null,
    maxInstructionTokens: options.maxInstructionTokens ?? PROMPT_TOKENS,
    maxInputTokens: options.maxInputTokens ?? PROMPT_TOKENS,
    maxTargetTokens: options.maxTargetTokens ?? 256,
  };
  const jobs = async function* (): AsyncGenerator<OwnJob, void, undefined> {
    let rows: OwnRow[] = [];
    for await (const row of readOwnRecords({
      files,
      split,
      splitField,
      testFraction,
      splitBy,
      notices,
      signal,
    })) {
      if (row.examples.length > 0 && setting.positives === 0) notices?.add(NOTICED.unshown, row.id);
      rows.push(row);
      if (rows.length < BLOCK) continue;
      yield { ...shared, rows };
      rows = [];
    }
    if (rows.length > 0) yield { ...shared, rows };
  };
  const pool: TokenizedExample[] = [];
  for await (const packed of tokenizePacked(OWN_RECORDS, jobs(), {
    tokenizer,
    signal,
    ...(threads === undefined ? {} : { threads }),
  })) {
    throwIfAborted(signal);
    for (const example of unpackExamples(packed, notices)) pool.push(example);
    onProgress?.({ examples: pool.length });
  }
  return pool;
}
