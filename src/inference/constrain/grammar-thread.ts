import { Worker } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { workerScript } from '../../util/worker-script.js';
import type { GrammarReply, GrammarRequest, Vocabulary } from './messages.js';

/** A constraint takes milliseconds to compile; one that takes this long would hold up all others. */
const MOST_SECONDS = 10;

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

/** The thread that compiles constraints and follows answers through them, started by its first request. */
export class GrammarThread {
  private readonly waiting = new Map<number, Waiting>();
  /** Counts the threads that were started: sessions of an earlier one are gone. */
  generation = 0;
  private worker: Worker | undefined;
  private count = 0;

  constructor(private readonly vocabulary: Vocabulary) {}

  /** @throws HintError INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND without the compiled thread, ABORTED when it was closed */
  ask<T>(request: GrammarRequest): Promise<T> {
    const worker = (this.worker ??= this.start());
    const number = this.count++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        void this.end(
          new HintError(
            'INVALID_ARGUMENT',
            `A constraint took longer than ${MOST_SECONDS} s to follow, the limit; make it simpler, or try again if it was another's.`,
          ),
        );
      }, MOST_SECONDS * 1000);
      timer.unref();
      this.waiting.set(number, { resolve: resolve as Waiting['resolve'], reject, timer });
      worker.ref();
      worker.postMessage({ number, request });
    });
  }

  async close(): Promise<void> {
    await this.end(new HintError('ABORTED', 'The engine was closed.'));
  }

  private start(): Worker {
    this.generation++;
    const worker = new Worker(workerScript('grammar'), { workerData: this.vocabulary, execArgv: [] });
    // An engine that is left open keeps no process alive.
    worker.unref();
    worker.on('message', (reply: GrammarReply) => {
      const asked = this.waiting.get(reply.number);
      this.waiting.delete(reply.number);
      if (this.waiting.size === 0) worker.unref();
      clearTimeout(asked?.timer);
      if ('result' in reply) asked?.resolve(reply.result);
      else asked?.reject(new HintError(reply.code, reply.message));
    });
    const lose = (cause: unknown): void => {
      if (this.worker !== worker) return;
      void this.end(
        new HintError('INTERNAL', 'The thread of grammars died; the next constraint starts another.', {
          cause,
        }),
      );
    };
    worker.on('error', lose);
    worker.on('exit', (code) => lose(new Error(`exit code ${code}`)));
    return worker;
  }

  private async end(error: HintError): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.waiting.clear();
    await worker?.terminate();
  }
}
