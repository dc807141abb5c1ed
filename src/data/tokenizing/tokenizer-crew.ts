import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { workerScript } from '../../util/worker-script.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { JobKind, TokenizerWorkerData, WorkerAnswer } from './job.js';

const MOST_THREADS = 8;

/**
 * The number of worker threads to use: what is asked for, else one fewer than the cores, at most 8.
 *
 * @throws HintError `INVALID_ARGUMENT` unless it is an integer ≥ 0
 */
export function tokenizerThreads(asked: number | undefined): number {
  const threads = asked ?? Math.min(MOST_THREADS, Math.max(1, availableParallelism() - 1));
  if (!Number.isInteger(threads) || threads < 0)
    throw new HintError('INVALID_ARGUMENT', `threads is ${threads}; give an integer ≥ 0.`);
  return threads;
}

interface QueuedJob {
  kind: string;
  job: unknown;
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

/**
 * Worker threads that share a tokenizer and each do one job at a time, of the kinds that tokenize-worker.ts lists.
 * They are started when there is work for them.
 */
export class TokenizerCrew {
  private readonly size: number;
  private readonly data: TokenizerWorkerData;
  private readonly script: string;
  private readonly signal: AbortSignal | undefined;
  private readonly onAbort = (): void => void this.close();
  private readonly busy = new Map<Worker, QueuedJob | undefined>();
  private readonly waiting: QueuedJob[] = [];
  private closing: Promise<void> | undefined;

  /**
   * @param size threads at most, ≥ 1
   * @param signal stops all threads, as {@link TokenizerCrew.close} does
   * @throws HintError `NOT_FOUND` when the compiled worker is missing
   */
  constructor(size: number, tokenizer: Tokenizer, signal?: AbortSignal) {
    this.size = size;
    this.data = {
      tokenizerFile: tokenizer.file,
      fingerprint: tokenizer.fingerprint,
      idsKey: tokenizer.idsKey,
    };
    this.script = workerScript('tokenize');
    this.signal = signal;
    signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /**
   * Does a job in the next free thread, jobs in the order they were given.
   *
   * @throws HintError what the job throws; `ABORTED` when the crew is closed before it is done
   */
  run<Job, Result>(kind: JobKind<Job, Result>, job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.closing) return reject(this.stopped());
      this.waiting.push({ kind: kind.name, job, resolve, reject });
      this.assign();
    });
  }

  /** Stops all threads, finished or not; resolves when they are gone. */
  close(): Promise<void> {
    this.closing ??= this.stop();
    return this.closing;
  }

  private async stop(): Promise<void> {
    this.signal?.removeEventListener('abort', this.onAbort);
    const unfinished = [...this.waiting.splice(0), ...this.busy.values()];
    const workers = [...this.busy.keys()];
    this.busy.clear();
    for (const task of unfinished) task?.reject(this.stopped());
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  private stopped(): HintError {
    return new HintError('ABORTED', 'The operation was aborted.', { cause: this.signal?.reason });
  }

  private assign(): void {
    if (this.waiting.length === 0) return;
    let idle = [...this.busy].find(([, task]) => task === undefined)?.[0];
    if (idle === undefined && this.busy.size < this.size) idle = this.start();
    if (idle === undefined) return;
    const task = this.waiting.shift()!;
    this.busy.set(idle, task);
    idle.postMessage({ kind: task.kind, job: task.job });
  }

  private start(): Worker {
    const worker = new Worker(this.script, { workerData: this.data, execArgv: [] });
    worker.on('message', (answer: WorkerAnswer) => {
      const task = this.busy.get(worker);
      if (!this.busy.has(worker)) return;
      this.busy.set(worker, undefined);
      if ('result' in answer) task?.resolve(answer.result as never);
      else task?.reject(new HintError(answer.code, answer.message));
      this.assign();
    });
    worker.on('error', (cause) => this.lose(worker, cause));
    worker.on('exit', (code) => this.lose(worker, new Error(`exit code ${code}`)));
    return worker;
  }

  private lose(worker: Worker, cause: Error): void {
    const task = this.busy.get(worker);
    this.busy.delete(worker);
    task?.reject(
      new HintError('INTERNAL', `A tokenising thread died at a job of ${task.kind}: ${cause.message}.`, {
        cause,
      }),
    );
    if (!this.closing) this.assign();
  }
}
