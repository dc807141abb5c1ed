import type { HintError } from '../../util/errors.js';
import { instance, integer, optional, path } from '../../util/arguments.js';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';

/** A tokenizer that may not have been loaded yet: what is in the cache needs none. */
export interface LazyTokenizer {
  /** {@link Tokenizer.idsKey}: names what texts become, in the keys of caches. */
  idsKey: string;
  get: () => Promise<Tokenizer>;
}

/** Token limits of the three features (method §7.4). */
export interface TokenLimits {
  maxInstructionTokens: number;
  maxInputTokens: number;
  maxTargetTokens: number;
}

/** Worker threads that may be asked for. */
export const MOST_TOKENIZER_THREADS = 4096;

/** What a caller may say about tokenising data. */
export const TOKENIZING = {
  tokenizer: instance(Tokenizer, 'a Tokenizer, such as await Tokenizer.load(path)'),
  maxInstructionTokens: optional(integer(1, 2 ** 31 - 1)),
  maxInputTokens: optional(integer(1, 2 ** 31 - 1)),
  maxTargetTokens: optional(integer(1, 2 ** 31 - 1)),
  cacheDirectory: optional(path),
  threads: optional(integer(0, MOST_TOKENIZER_THREADS)),
};

/**
 * A kind of job that a worker thread does, or the calling thread where there are none. Each stands beside what it does;
 * worker/tokenize-worker.ts lists them.
 */
export interface JobKind<Job, Result> {
  name: string;
  run: (job: Job, tokenizer: LazyTokenizer, signal?: AbortSignal) => Promise<Result>;
}

/** The packed examples of a job. */
export interface TokenizeResult {
  packed: Uint8Array<ArrayBuffer>;
  /** False when it was tokenised now and the cache does not have it yet. */
  cached: boolean;
}

/** What a worker is started with. */
export interface TokenizerWorkerData {
  tokenizerFile: string;
  fingerprint: string;
  idsKey: string;
}

/** A worker's answer to a job. Errors cross as code and sentence, since a clone loses their class. */
export type WorkerAnswer = { result: unknown } | { code: HintError['code']; message: string };
