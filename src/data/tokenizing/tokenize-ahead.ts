import { throwIfAborted } from '../../util/errors.js';
import { writeTokenCache } from '../token-cache.js';
import type { JobKind, TokenizeResult } from './job.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { TokenizerCrew, tokenizerThreads } from './tokenizer-crew.js';

/** Options of {@link tokenizePacked}. */
export interface TokenizeAheadOptions {
  tokenizer: Tokenizer;
  /** Worker threads (default: one fewer than the cores, at most 8); 0 works in the calling thread. */
  threads?: number;
  /** Tasks that may be done or under way before they are asked for (default twice the threads). */
  lookAhead?: number;
  signal?: AbortSignal | undefined;
}

/**
 * Does jobs ahead of their use, in worker threads, and yields their packed examples in the order of the jobs, which may be
 * streamed. The calling thread only hands results on and writes the cache. However the iteration ends (all done, `break`,
 * an error, an abort), no thread is left when it has.
 *
 * @throws HintError `ABORTED`; `NOT_FOUND` when the compiled worker is missing; `IO` when the cache cannot be written;
 *   what the job and the stream of jobs throw
 */
export async function* tokenizePacked<Job extends { cacheDirectory: string | null }>(
  kind: JobKind<Job, TokenizeResult>,
  jobs: Iterable<Job> | AsyncIterable<Job>,
  options: TokenizeAheadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { tokenizer, signal } = options;
  const threads = tokenizerThreads(options.threads);
  const lookAhead = Math.max(1, options.lookAhead ?? 2 * threads);
  throwIfAborted(signal);
  const crew = threads === 0 ? undefined : new TokenizerCrew(threads, tokenizer, signal);
  const source = { idsKey: tokenizer.idsKey, get: () => Promise.resolve(tokenizer) };
  const underWay: Promise<Uint8Array>[] = [];
  try {
    for await (const job of jobs) {
      const result = crew ? crew.run(kind, job) : kind.run(job, source, signal);
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
