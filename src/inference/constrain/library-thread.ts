import { Worker } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { workerScript } from '../../util/worker-script.js';
import type { GrammarReply, GrammarRequest, Vocabulary } from './messages.js';

/** A constraint takes milliseconds to compile; one that takes this long would hold up all others. */
const MOST_SECONDS = 10;

/** Why an answer that harms nobody has to go on in another thread: what it was followed by is gone. */
export class LostSession extends Error {}

interface Waiting {
  readonly request: GrammarRequest;
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

/**
 * A thread with the library of grammars in it, started by its first request. It does one thing after another: what holds it up
 * for too long, ends it or breaks the library is what was asked first, and fails alone.
 */
export class LibraryThread {
  /** What was asked and not answered, in the order of asking. */
  private waiting = new Map<number, Waiting>();
  /** Counts the threads that were started: sessions of an earlier one are gone. */
  generation = 0;
  private worker: Worker | undefined;
  private count = 0;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;

  /**
   * @param vocabulary absent: the thread only reads constraints
   * @param mostSeconds that a request may take
   */
  constructor(
    private readonly vocabulary: Vocabulary | undefined,
    private readonly mostSeconds = MOST_SECONDS,
  ) {}

  /**
   * @param generation that a session is of
   * @throws HintError INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND without the compiled thread, ABORTED when it was closed;
   *   LostSession where the session is gone and another one can go on
   */
  async ask<T>(request: GrammarRequest, generation?: number): Promise<T> {
    if (this.isClosed) throw new HintError('ABORTED', 'The engine was closed.');
    const worker = (this.worker ??= this.start());
    if (generation !== undefined && generation !== this.generation) throw new LostSession();
    return new Promise<T>((resolve, reject) => {
      this.send(worker, { request, resolve: resolve as Waiting['resolve'], reject });
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const { worker } = this;
    for (const { reject } of this.drop().values()) reject(new HintError('ABORTED', 'The engine was closed.'));
    await worker?.terminate();
  }

  private send(worker: Worker, asked: Waiting): void {
    const number = this.count++;
    this.waiting.set(number, asked);
    if (this.waiting.size === 1) this.time();
    worker.ref();
    worker.postMessage({ number, request: asked.request });
  }

  /** Times what the thread is at. */
  private time(): void {
    clearTimeout(this.timer);
    if (this.waiting.size === 0) return;
    const [first] = this.waiting.keys();
    const end = (): void => {
      // An answer may lie there, and only this thread be late.
      if (this.waiting.keys().next().value !== first) return;
      const sentence = `A constraint took longer than ${this.mostSeconds} s to follow, the limit; make it simpler.`;
      this.replace(new HintError('INVALID_ARGUMENT', sentence));
    };
    this.timer = setTimeout(() => setImmediate(end), this.mostSeconds * 1000);
    this.timer.unref();
  }

  private start(): Worker {
    this.generation++;
    const worker = new Worker(workerScript('grammar'), { workerData: this.vocabulary, execArgv: [] });
    // An engine that is left open keeps no process alive.
    worker.unref();
    worker.on('message', (reply: GrammarReply) => {
      const asked = this.waiting.get(reply.number);
      if (!asked) return;
      if ('code' in reply && reply.isBroken) {
        this.replace(new HintError(reply.code, reply.message));
        return;
      }
      this.waiting.delete(reply.number);
      if (this.waiting.size === 0) worker.unref();
      this.time();
      if ('result' in reply) asked.resolve(reply.result);
      else asked.reject(new HintError(reply.code, reply.message));
    });
    const lose = (cause: unknown): void => {
      if (this.worker !== worker) return;
      this.replace(
        new HintError('INTERNAL', 'The thread of grammars died; the next constraint starts another.', {
          cause,
        }),
      );
    };
    worker.on('error', lose);
    worker.on('exit', (code) => lose(new Error(`exit code ${code}`)));
    return worker;
  }

  /** Ends the thread with what it was at; the rest goes on in the next one. */
  private replace(error: HintError): void {
    const { worker } = this;
    const [first, ...others] = this.drop().values();
    void worker?.terminate();
    first?.reject(error);
    for (const asked of others) {
      // What begins needs no session; what has one begins again by itself.
      if (asked.request.kind === 'rules' || asked.request.kind === 'open')
        this.send((this.worker ??= this.start()), asked);
      else if (asked.request.kind === 'close') asked.resolve(undefined);
      else asked.reject(new LostSession());
    }
  }

  private drop(): Map<number, Waiting> {
    const { waiting } = this;
    this.waiting = new Map();
    this.worker = undefined;
    clearTimeout(this.timer);
    return waiting;
  }
}
