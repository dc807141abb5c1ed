import { resolve } from 'node:path';
import type { TokenizedExample } from '../../data/batch.js';
import { loadSniDataset } from '../../data/natural-instructions/dataset.js';
import { loadOwnDataset } from '../../data/own/dataset.js';
import { P3Source } from '../../data/p3/source.js';
import type { Notices } from '../../util/notices.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { System } from '../../systems/index.js';
import type {
  DataConfig,
  DataSettings,
  OwnDataConfig,
  P3DataConfig,
  SniDataConfig,
} from '../config/data-config.js';
import type { SeedSettings } from '../config/parts.js';
import { PoolSource, type ExampleSource } from './example-source.js';
import { openText, resolveTextPaths } from './text-data.js';

/** What long preparations report to. */
export interface PrepareOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Gathers what is passed over, repeated or ambiguous in the data. */
  notices?: Notices | undefined;
}

/** What a run draws its examples from, and in which order. */
export interface ExampleSettings extends DataSettings, SeedSettings {}

/** What examples are made for. */
export interface Context extends PrepareOptions {
  system: System;
  tokenizer: Tokenizer;
  seed: number;
}

/**
 * The training examples of a configuration, of whatever kind its data are, as the system is shown them.
 *
 * @throws HintError INVALID_CONFIG when the system cannot be shown the data as asked; as loadSniDataset and P3Source.open
 */
export function openSource(
  { data, seed }: ExampleSettings,
  system: System,
  tokenizer: Tokenizer,
  options: PrepareOptions,
): Promise<ExampleSource> {
  const context = { ...options, system, tokenizer, seed };
  switch (data.kind) {
    case 'sni':
      return openSni(data, context);
    case 'p3':
      return openP3(data, context);
    case 'own':
      return openOwn(data, context);
    case 'text':
      return openText(data, context);
  }
}

async function openSni(data: SniDataConfig, context: Context): Promise<ExampleSource> {
  return PoolSource.of(await loadSni(data, context), context.seed, context.signal);
}

function loadSni(
  data: SniDataConfig,
  { system, tokenizer, seed, notices, signal, onProgress }: Context,
): Promise<TokenizedExample[]> {
  return loadSniDataset({
    directory: data.directory,
    split: data.split,
    track: data.track,
    setting: system.setting(data.positives),
    tokenizer,
    instancesPerTask: data.instancesPerTask,
    maxInstructionTokens: data.maxInstructionTokens,
    maxInputTokens: data.maxInputTokens,
    maxTargetTokens: data.maxTargetTokens,
    seed,
    cacheDirectory: data.cache,
    notices,
    signal,
    onProgress: ({ tasksDone, tasksTotal }) => onProgress?.(tasksDone, tasksTotal),
  });
}

function openP3(
  data: P3DataConfig,
  { system, tokenizer, seed, notices, signal, onProgress }: Context,
): Promise<ExampleSource> {
  const { form, shots, directory, split, datasets, mixture, cap } = data;
  const { maxInstructionTokens, maxInputTokens, maxTargetTokens } = data;
  return P3Source.open({
    ...{ directory, split, datasets, mixture, cap },
    ...{ maxInstructionTokens, maxInputTokens, maxTargetTokens },
    setting: system.p3Setting({ form, shots }),
    tokenizer,
    seed,
    cacheDirectory: data.cache,
    notices,
    signal,
    onProgress: ({ filesDone, filesTotal }) => onProgress?.(filesDone, filesTotal),
  });
}

async function openOwn(data: OwnDataConfig, context: Context): Promise<ExampleSource> {
  return PoolSource.of(await loadOwn(data, context), context.seed, context.signal);
}

function loadOwn(
  data: OwnDataConfig,
  { system, tokenizer, seed, notices, signal, onProgress }: Context,
): Promise<TokenizedExample[]> {
  const { files, split, splitField, testFraction, splitBy, positives } = data;
  const { maxInstructionTokens, maxInputTokens, maxTargetTokens } = data;
  return loadOwnDataset({
    ...{ files, split, splitField, testFraction, splitBy },
    ...{ maxInstructionTokens, maxInputTokens, maxTargetTokens },
    setting: system.setting(positives),
    tokenizer,
    seed,
    cacheDirectory: data.cache,
    notices,
    signal,
    // How many records there are is known when all are read.
    onProgress: ({ examples }) => onProgress?.(examples, examples),
  });
}

/**
 * All examples of a dataset that fits in memory, as the system is shown them.
 *
 * @throws HintError as loadSniDataset and loadOwnDataset
 */
export function loadExamples(
  data: SniDataConfig | OwnDataConfig,
  context: Context,
): Promise<TokenizedExample[]> {
  return data.kind === 'sni' ? loadSni(data, context) : loadOwn(data, context);
}

/** The same data with absolute paths. */
export function resolveDataPaths<Data extends DataConfig>(data: Data): Data;
export function resolveDataPaths(data: DataConfig): DataConfig {
  if (data.kind === 'text') return resolveTextPaths(data);
  const cache = data.cache === undefined ? {} : { cache: resolve(data.cache) };
  if (data.kind === 'own') return { ...data, files: data.files.map((file) => resolve(file)), ...cache };
  return { ...data, directory: resolve(data.directory), ...cache };
}

/** What a trained model remembers of how it was shown its data: evaluation shows them alike. */
export function dataMetadata(data: DataConfig): Record<string, string> {
  switch (data.kind) {
    case 'sni':
      return { positives: String(data.positives) };
    case 'p3':
      return {
        shots: String(data.shots),
        ...(data.form === undefined ? {} : { form: data.form }),
      };
    case 'own':
      return {
        positives: String(data.positives),
        splitField: data.splitField,
        testFraction: String(data.testFraction),
        splitBy: data.splitBy,
      };
    case 'text':
      return { objective: data.objective };
  }
}

/** What a run reads, for messages. */
export function describeData(data: DataConfig): string {
  if (!('files' in data)) return data.directory;
  return data.files.length > 3
    ? `${data.files.length} files and folders`
    : data.files.join(', ') || 'no text';
}
