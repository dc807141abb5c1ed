import { throwIfAborted } from '../errors.js';
import type { TokenizedExample } from './batch.js';
import { unpackExamples, writeTokenCache } from './token-cache.js';
import {
  runTokenizeJob,
  type TokenizeJob,
  type TokenizeResult,
  type TokenizerSource,
} from './tokenize-job.js';
import type { Tokenizer } from './tokenizer.js';
import { TokenizerCrew, tokenizerThreads } from './tokenizer-crew.js';

/** Options of {@link tokenizeAhead}. */
export interface TokenizeAheadOptions {
  tokenizer: Tokenizer;
  /** Worker threads (default: one fewer than the cores, at most 8); 0 works in the calling thread. */
  threads?: number;
  /** Tasks that may be done or under way before they are asked for (default twice the threads). */
  lookAhead?: number;
  signal?: AbortSignal | undefined;
}

/** A kind of job whose result is packed examples, and what does it in the calling thread. */
export interface TokenizeKind<Job> {
  name: 'sni-task' | 'p3-block';
  run: (job: Job, tokenizer: TokenizerSource, signal?: AbortSignal) => Promise<TokenizeResult>;
}

const SNI_TASKS: TokenizeKind<TokenizeJob> = { name: 'sni-task', run: runTokenizeJob };

/**
 * Reads, formats and tokenises task files ahead of their use, in worker threads, and yields the examples of each
 * in the order of the jobs. The calling thread only hands results on and writes the cache. However the iteration
 * ends (all done, `break`, an error, an abort), no thread is left when it has.
 *
 * @throws HintError `ABORTED`; `NOT_FOUND` when the compiled worker is missing; `IO` when the cache cannot be written;
 *   as {@link runTokenizeJob} for a bad task file
 */
export async function* tokenizeAhead(
  jobs: Iterable<TokenizeJob>,
  options: TokenizeAheadOptions,
): AsyncGenerator<TokenizedExample[], void, undefined> {
  for await (const packed of tokenizePacked(SNI_TASKS, jobs, options)) yield unpackExamples(packed);
}

/**
 * {@link tokenizeAhead} for jobs of any kind, which may be streamed, with the results as they were packed.
 *
 * @throws HintError as {@link tokenizeAhead}; what the job and the stream of jobs throw
 */
export async function* tokenizePacked<Job extends { cacheDirectory: string | null }>(
  { name, run }: TokenizeKind<Job>,
  jobs: Iterable<Job> | AsyncIterable<Job>,
  options: TokenizeAheadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { tokenizer, signal } = options;
  const threads = tokenizerThreads(options.threads);
  const lookAhead = Math.max(1, options.lookAhead ?? 2 * threads);
  throwIfAborted(signal);
  const crew = threads === 0 ? undefined : new TokenizerCrew(threads, tokenizer, signal);
  const source = { fingerprint: tokenizer.fingerprint, get: () => Promise.resolve(tokenizer) };
  const underWay: Promise<Uint8Array>[] = [];
  try {
    for await (const job of jobs) {
      const result = crew ? crew.run(name, job as never) : run(job, source, signal);
      const packed = result.then((done) => deliver(job, done));
      // It is awaited later; until then a failure must not count as unhandled.
      packed.catch(() => undefined);
      underWay.push(packed);
      if (underWay.length >= lookAhead) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    await crew?.close();
    await Promise.allSettled(underWay);
  }
}

/** The cache is written here and not in the worker, so that stopping a worker never interrupts a write. */
async function deliver(
  { cacheDirectory }: { cacheDirectory: string | null },
  { packed, cached }: TokenizeResult,
): Promise<Uint8Array> {
  if (!cached && cacheDirectory !== null) await writeTokenCache(cacheDirectory, packed);
  return packed;
}
