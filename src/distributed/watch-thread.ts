import { Worker } from 'node:worker_threads';
import { HintError, type HintErrorCode } from '../util/errors.js';
import { workerScript } from '../util/worker-script.js';
import type { Hub, Loss } from './watch.js';
import type { WatchData, WatchNews, WatchOrder } from './watch-words.js';

type NewsOf<K extends WatchNews['kind']> = Extract<WatchNews, { kind: K }>;

/**
 * The watch of a rank, on a thread of its own: JavaScript that is busy for seconds, as with the garbage of a large heap, does
 * not make the rank look dead, and a process that was stopped or has ended does. Keeps no process alive.
 */
export class WatchThread {
  private readonly waiting = new Map<WatchNews['kind'], (news: WatchNews) => void>();
  /** Rejects when the thread is gone. */
  private readonly gone: Promise<never>;
  private isOver = false;

  private constructor(
    private readonly worker: Worker,
    private readonly onLoss: (loss: Loss) => void,
  ) {
    this.gone = new Promise((_, reject) => {
      const end = (why: string): void => {
        const message = `The thread that watches the other ranks has ended (${why}).`;
        reject(new HintError('RANK_LOST', message));
        if (!this.isOver) this.onLoss({ what: message, isTeller: true });
        this.isOver = true;
      };
      worker.on('error', (error) => end(error.message));
      worker.on('exit', (code) => end(`exit code ${code}`));
    });
    this.gone.catch(() => undefined);
    worker.on('message', (news: WatchNews) => this.hear(news));
  }

  /**
   * Connects all ranks.
   *
   * @param share gives rank 0's hub to all ranks: called by each of them, with a hub by rank 0
   * @throws HintError RANK_LOST where rank 0 cannot be reached, NOT_FOUND where the thread's script was not compiled
   */
  static async start(
    data: WatchData,
    share: (own: Hub | undefined) => Promise<Hub>,
    onLoss: (loss: Loss) => void,
  ): Promise<WatchThread> {
    const worker = new Worker(workerScript('watch'), { workerData: data, execArgv: [] });
    const thread = new WatchThread(worker, onLoss);
    try {
      const started = thread.started();
      const { hub } = await Promise.race([thread.next('share'), started.then(neverBeforeHub)]);
      thread.order({ kind: 'hub', hub: await share(hub) });
      await started;
    } catch (error) {
      thread.isOver = true;
      void worker.terminate();
      throw error;
    }
    worker.unref();
    return thread;
  }

  private async started(): Promise<void> {
    const news = await Promise.race([this.next('started'), this.next('refused')]);
    if (news.kind === 'refused') throw new HintError(news.code as HintErrorCode, news.message);
  }

  private hear(news: WatchNews): void {
    if (news.kind === 'loss') {
      this.isOver = true;
      this.onLoss(news.loss);
    }
    this.waiting.get(news.kind)?.(news);
  }

  private next<K extends WatchNews['kind']>(kind: K): Promise<NewsOf<K>> {
    const news = new Promise<NewsOf<K>>((resolve) =>
      this.waiting.set(kind, resolve as (news: WatchNews) => void),
    );
    return Promise.race([news, this.gone]);
  }

  private order(order: WatchOrder): void {
    this.worker.postMessage(order);
  }

  /** The answer to an order, until which the thread keeps the process. */
  private async answerTo<K extends WatchNews['kind']>(order: WatchOrder, kind: K): Promise<NewsOf<K>> {
    this.isOver = true;
    this.worker.ref();
    const answer = this.next(kind);
    this.order(order);
    try {
      return await answer;
    } finally {
      this.worker.unref();
    }
  }

  /**
   * Tells the others that this rank ends with an error.
   *
   * @returns whether rank 0 was told, which tells the user
   */
  async fail(message: string): Promise<boolean> {
    return this.answerTo({ kind: 'fail', message }, 'failed').then(
      ({ isToldByFirst }) => isToldByFirst,
      () => false,
    );
  }

  /** Takes leave: whoever goes after that has not failed. Resolves when the others were told. */
  async leave(): Promise<void> {
    await this.answerTo({ kind: 'leave' }, 'left').catch(() => undefined);
  }
}

function neverBeforeHub(): never {
  throw new HintError('INTERNAL', 'A watch has started without its hub.');
}
