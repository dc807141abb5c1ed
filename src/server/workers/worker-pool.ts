import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { abortable } from '../../util/abortable.js';
import { sha256 } from '../../util/hash.js';
import { dropTemporary, temporaryFolder } from '../../util/temporary.js';
import type { WorkerStart } from './messages.js';
import { WorkerProcess } from './worker-process.js';

/** From so many requests on a worker counts as saturated: the second in line takes some, if it has half as many or fewer. */
const SATURATED = 16;
/** Milliseconds before a worker that ended is started again: at first, doubled with each end, and at most. */
const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 30_000;
/** A worker that served so long has no backoff to remember, in milliseconds. */
const STEADY = 60_000;
/** Paths of Unix sockets have a limit of 104 bytes on some systems, 108 on others. */
const MOST_PATH_BYTES = 100;

/** What each of the workers is started with, besides its socket. */
export type WorkerPlan = readonly Omit<WorkerStart, 'socket'>[];

/** How a worker is chosen. */
export interface Choice {
  /** What tells where a request is warm: the id of its task. */
  readonly key?: string | undefined;
  /** Workers that a request was lost with. */
  readonly without: ReadonlySet<WorkerProcess>;
}

/** The workers of a server, each started again when it ends. */
export class WorkerPool {
  private readonly serving = new Map<number, WorkerProcess>();
  private readonly starting = new Set<WorkerProcess>();
  private readonly waiting = new Set<() => void>();
  private readonly closing = new AbortController();
  private readonly kept: Promise<void>[] = [];
  private restarted = 0;
  private sockets = 0;

  private constructor(
    private readonly plan: WorkerPlan,
    private readonly folder: string,
    private readonly log: (line: string) => void,
  ) {}

  /**
   * Starts all workers and waits until they serve.
   *
   * @returns also what the model's files ask for that is not done
   * @throws HintError what opening the model throws in any of them; INVALID_ARGUMENT, IO, ABORTED
   */
  static async start(
    plan: WorkerPlan,
    log: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<{ pool: WorkerPool; notices: readonly string[] }> {
    throwIfAborted(signal);
    const folder = await temporaryFolder('hint-workers');
    const pool = new WorkerPool(plan, folder, log);
    try {
      const length = Buffer.byteLength(folder);
      if (length > MOST_PATH_BYTES - 10)
        throw new HintError(
          'INVALID_ARGUMENT',
          `The folder of the workers' sockets, ${folder}, has a path of ${length} bytes, the limit is ${MOST_PATH_BYTES - 10}; set TMPDIR to a shorter one.`,
        );
      const started = plan.map((_, number) => pool.launch(number));
      const notices = await abortable(Promise.all(started.map(({ ready }) => ready)), signal);
      for (const { worker } of started) pool.kept.push(pool.keep(worker));
      return { pool, notices: notices[0] ?? [] };
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  /** Those that serve now, by number. */
  get workers(): WorkerProcess[] {
    return [...this.serving.values()].sort((a, b) => a.number - b.number);
  }

  /** Workers that were started again. */
  get restarts(): number {
    return this.restarted;
  }

  /**
   * The worker for a request: that of its key, or the second in line where that one is saturated; without a key, the one with
   * the fewest requests. Waits while none serves.
   *
   * @throws what the signal was aborted with
   */
  async choose({ key, without }: Choice, signal: AbortSignal): Promise<WorkerProcess> {
    for (;;) {
      if (signal.aborted) throw signal.reason;
      const all = this.workers.filter((worker) => worker.isAlive && !without.has(worker));
      const [first, second] = key === undefined ? byLoad(all) : byKey(all, key);
      if (first && second && first.inFlight >= SATURATED && second.inFlight * 2 <= first.inFlight)
        return second;
      if (first) return first;
      await this.change(signal);
    }
  }

  /** Ends all workers. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all([...this.serving.values(), ...this.starting].map((worker) => worker.stop()));
    await Promise.all(this.kept);
    await dropTemporary(this.folder);
  }

  private launch(number: number): { worker: WorkerProcess; ready: Promise<readonly string[]> } {
    const socket = join(this.folder, String(this.sockets++));
    const worker = new WorkerProcess(number, { ...this.plan[number]!, socket }, this.log);
    this.starting.add(worker);
    const ready = worker.ready().then((notices) => {
      this.starting.delete(worker);
      this.serving.set(number, worker);
      for (const wake of this.waiting) wake();
      return notices;
    });
    ready.catch(() => undefined);
    return { worker, ready };
  }

  /** Starts a worker again whenever it ends, until the pool is closed. */
  private async keep(worker: WorkerProcess): Promise<void> {
    const { number } = worker;
    let backoff = FIRST_BACKOFF;
    let current = worker;
    for (;;) {
      const since = performance.now();
      await current.ended;
      this.serving.delete(number);
      if (this.closing.signal.aborted) return;
      if (performance.now() - since > STEADY) backoff = FIRST_BACKOFF;
      this.tell(`Worker ${number} ended; it is started again in ${backoff} ms.`);
      const next = await this.again(number, backoff);
      if (!next) return;
      backoff = Math.min(2 * backoff, LONGEST_BACKOFF);
      current = next;
    }
  }

  /** A new process of a worker, tried until it serves; undefined where the pool is closed. */
  private async again(number: number, first: number): Promise<WorkerProcess | undefined> {
    for (let backoff = first; ; backoff = Math.min(2 * backoff, LONGEST_BACKOFF)) {
      await sleep(backoff, undefined, { signal: this.closing.signal }).catch(() => undefined);
      if (this.closing.signal.aborted) return undefined;
      const { worker, ready } = this.launch(number);
      try {
        await ready;
        this.restarted++;
        return worker;
      } catch (error) {
        await worker.stop();
        this.starting.delete(worker);
        this.tell(`Worker ${number} could not be started again: ${(error as Error).message}`);
      }
    }
  }

  private tell(message: string): void {
    this.log(`${JSON.stringify({ level: 40, time: Date.now(), pid: process.pid, msg: message })}\n`);
  }

  private async change(signal: AbortSignal): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.waiting.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    try {
      await woken;
    } finally {
      this.waiting.delete(wake);
      signal.removeEventListener('abort', wake);
    }
  }
}

function byLoad(workers: readonly WorkerProcess[]): readonly WorkerProcess[] {
  return [...workers].sort((a, b) => a.inFlight - b.inFlight);
}

/**
 * In the order of a hash of key and worker: a key has the same first worker as long as that one serves, and where it does not, its
 * tasks are spread over all others.
 */
function byKey(workers: readonly WorkerProcess[], key: string): readonly WorkerProcess[] {
  return workers
    .map((worker) => ({ worker, weight: sha256(key, String(worker.number)).readUInt32BE(0) }))
    .sort((a, b) => b.weight - a.weight)
    .map(({ worker }) => worker);
}
