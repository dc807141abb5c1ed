import { throwIfAborted } from '../errors.js';
import { instance, integer, optional, path } from '../util/arguments.js';
import { sha256 } from '../util/hash.js';
import { decodeText, readBytes } from '../util/read-file.js';
import type { TokenizedExample } from './batch.js';
import { createPrompt, type PromptSetting } from './formats.js';
import { chooseTarget, parseSniTask, selectInstances, type SniSplit } from './natural-instructions.js';
import { packExamples, readTokenCache, TOKEN_CACHE_VERSION } from './token-cache.js';
import { Tokenizer } from './tokenizer.js';

/** A tokenizer that may not have been loaded yet: what is in the cache needs none. */
export interface TokenizerSource {
  fingerprint: string;
  get: () => Promise<Tokenizer>;
}

/** Token limits of the three features (method document §7.4). */
export interface TokenLimits {
  maxInstructionTokens: number;
  maxInputTokens: number;
  maxTargetTokens: number;
}

/** What a caller may say about tokenising data. */
export const TOKENIZING = {
  tokenizer: instance(Tokenizer, 'a Tokenizer, such as await Tokenizer.load(path)'),
  maxInstructionTokens: optional(integer(1, 2 ** 31 - 1)),
  maxInputTokens: optional(integer(1, 2 ** 31 - 1)),
  maxTargetTokens: optional(integer(1, 2 ** 31 - 1)),
  cacheDirectory: optional(path),
  threads: optional(integer(0, 4096)),
};

/** One task file to be read, formatted and tokenised: what crosses into a worker thread. */
export interface TokenizeJob extends TokenLimits {
  /** The task file. */
  file: string;
  split: SniSplit;
  setting: PromptSetting;
  instancesPerTask: number;
  /** Seed of the choice among several references. */
  seed: number;
  /** Where packed results are kept; null keeps none. */
  cacheDirectory: string | null;
}

/** The packed examples of a job. */
export interface TokenizeResult {
  packed: Uint8Array<ArrayBuffer>;
  /** False when it was tokenised now and the cache does not have it yet. */
  cached: boolean;
}

/**
 * Does one job, or finds it done: the key is a hash of the file's bytes, the tokenizer's fingerprint, the format and
 * the limits, so a renamed file or another folder does not matter and any change does.
 *
 * @throws HintError as the reader and the formats do
 */
export async function runTokenizeJob(
  job: TokenizeJob,
  tokenizer: TokenizerSource,
  signal?: AbortSignal,
): Promise<TokenizeResult> {
  const { file, cacheDirectory, ...settings } = job;
  const bytes = await readBytes(file, 'the task file', signal);
  const name = file.replace(/^.*[/\\]/, '');
  const identity = JSON.stringify(
    [TOKEN_CACHE_VERSION, name, Object.entries(settings).sort()],
    infinityAsText,
  );
  const key = sha256(identity, tokenizer.fingerprint, bytes);
  const stored = cacheDirectory === null ? undefined : await readTokenCache(cacheDirectory, key);
  throwIfAborted(signal);
  if (stored) return { packed: stored, cached: true };
  const examples = tokenizeTask(decodeText(bytes, file), job, await tokenizer.get());
  return { packed: packExamples(examples, key), cached: false };
}

function tokenizeTask(text: string, job: TokenizeJob, tokenizer: Tokenizer): TokenizedExample[] {
  const task = parseSniTask(text, job.file);
  const budget = job.setting.format === 'tk-instruct' ? job.maxInputTokens : job.maxInstructionTokens;
  const prompt = createPrompt(task, job.setting, tokenizer, budget);
  const instruction =
    prompt.instruction === null
      ? new Int32Array(0)
      : tokenizer.encode(prompt.instruction, { maxLength: job.maxInstructionTokens });
  return selectInstances(task.instances, job.split, job.instancesPerTask).map((instance) => ({
    id: instance.id,
    task: task.name,
    instruction,
    input: tokenizer.encode(prompt.formatInput(instance.input), { maxLength: job.maxInputTokens }),
    target: tokenizer.encode(chooseTarget(instance, job.seed), { maxLength: job.maxTargetTokens }),
    references: instance.outputs,
  }));
}

function infinityAsText(_key: string, value: unknown): unknown {
  return value === Infinity ? 'Infinity' : value;
}
