import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { HintError, throwIfAborted } from '../errors.js';
import { packageRoot } from '../util/package-root.js';
import type { TokenizedExample } from './batch.js';
import { unpackExamples, writeTokenCache } from './token-cache.js';
import { runTokenizeJob, type TokenizeJob, type TokenizeResult } from './tokenize-job.js';
import type { Tokenizer } from './tokenizer.js';
import type { TokenizeAnswer, TokenizeWorkerData } from './tokenize-worker.js';

const MOST_THREADS = 8;

/** Options of {@link tokenizeAhead}. */
export interface TokenizeAheadOptions {
  tokenizer: Tokenizer;
  /** Worker threads (default: one fewer than the cores, at most 8); 0 works in the calling thread. */
  threads?: number;
  /** Tasks that may be done or under way before they are asked for (default twice the threads). */
  lookAhead?: number;
  signal?: AbortSignal | undefined;
}

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
  const { tokenizer, signal } = options;
  const threads = options.threads ?? Math.min(MOST_THREADS, Math.max(1, availableParallelism() - 1));
  if (!Number.isInteger(threads) || threads < 0)
    throw new HintError('INVALID_ARGUMENT', `threads is ${threads}; give an integer ≥ 0.`);
  const lookAhead = Math.max(1, options.lookAhead ?? 2 * threads);
  throwIfAborted(signal);
  const crew = threads === 0 ? undefined : new Crew(threads, tokenizer, signal);
  const source = { fingerprint: tokenizer.fingerprint, get: () => Promise.resolve(tokenizer) };
  const underWay: Promise<TokenizedExample[]>[] = [];
  try {
    for (const job of jobs) {
      const result = crew ? crew.run(job) : runTokenizeJob(job, source, signal);
      const examples = result.then((done) => deliver(job, done));
      // It is awaited later; until then a failure must not count as unhandled.
      examples.catch(() => undefined);
      underWay.push(examples);
      if (underWay.length >= lookAhead) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    await crew?.close();
    await Promise.allSettled(underWay);
  }
}

/** The cache is written here and not in the worker, so that stopping a worker never interrupts a write. */
async function deliver(job: TokenizeJob, { packed, cached }: TokenizeResult): Promise<TokenizedExample[]> {
  if (!cached && job.cacheDirectory !== null) await writeTokenCache(job.cacheDirectory, packed);
  return unpackExamples(packed);
}

interface Task {
  job: TokenizeJob;
  resolve: (result: TokenizeResult) => void;
  reject: (error: Error) => void;
}

/** Worker threads that each do one job at a time. They are started when there is work for them. */
class Crew {
  readonly #size: number;
  readonly #data: TokenizeWorkerData;
  readonly #script: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.close();
  readonly #busy = new Map<Worker, Task | undefined>();
  readonly #waiting: Task[] = [];
  #closing: Promise<void> | undefined;

  constructor(size: number, tokenizer: Tokenizer, signal: AbortSignal | undefined) {
    this.#size = size;
    this.#data = { tokenizerFile: tokenizer.file, fingerprint: tokenizer.fingerprint };
    this.#script = workerScript();
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  run(job: TokenizeJob): Promise<TokenizeResult> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(this.#stopped());
      this.#waiting.push({ job, resolve, reject });
      this.#assign();
    });
  }

  /** Stops all threads, finished or not; resolves when they are gone. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #stop(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    const unfinished = [...this.#waiting.splice(0), ...this.#busy.values()];
    const workers = [...this.#busy.keys()];
    this.#busy.clear();
    for (const task of unfinished) task?.reject(this.#stopped());
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #stopped(): HintError {
    return new HintError('ABORTED', 'The operation was aborted.', { cause: this.#signal?.reason });
  }

  #assign(): void {
    if (this.#waiting.length === 0) return;
    let idle = [...this.#busy].find(([, task]) => task === undefined)?.[0];
    if (idle === undefined && this.#busy.size < this.#size) idle = this.#start();
    if (idle === undefined) return;
    const task = this.#waiting.shift()!;
    this.#busy.set(idle, task);
    idle.postMessage(task.job);
  }

  #start(): Worker {
    const worker = new Worker(this.#script, { workerData: this.#data, execArgv: [] });
    worker.on('message', (answer: TokenizeAnswer) => {
      const task = this.#busy.get(worker);
      if (!this.#busy.has(worker)) return;
      this.#busy.set(worker, undefined);
      if ('packed' in answer) task?.resolve(answer);
      else task?.reject(new HintError(answer.code, answer.message));
      this.#assign();
    });
    worker.on('error', (cause) => this.#lose(worker, cause));
    worker.on('exit', (code) => this.#lose(worker, new Error(`exit code ${code}`)));
    return worker;
  }

  #lose(worker: Worker, cause: Error): void {
    const task = this.#busy.get(worker);
    this.#busy.delete(worker);
    task?.reject(
      new HintError('INTERNAL', `A tokenising thread died at ${task.job.file}: ${cause.message}.`, { cause }),
    );
    if (!this.#closing) this.#assign();
  }
}

/** A worker runs compiled JavaScript only, also when this file runs from source. */
function workerScript(): string {
  const script = join(packageRoot(), 'dist', 'data', 'tokenize-worker.js');
  if (existsSync(script)) return script;
  throw new HintError('NOT_FOUND', `No compiled worker ${script}; run \`npm run build:ts\` and start again.`);
}
