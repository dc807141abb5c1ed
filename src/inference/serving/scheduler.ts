import { setMaxListeners } from 'node:events';
import { checkTokenIds } from '../../data/batch.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { abortable } from '../../util/abortable.js';
import { constrained } from '../constrain/constrained.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import type { Family, JointDecoding } from '../contract/family.js';
import { defaultMaxTokens, resolveDecoding } from '../decode/decoding.js';
import type { GeneratedTokens } from '../decode/row-watch.js';
import { hashTokens } from '../decode/sample-streams.js';
import { familyOf } from '../families/registry.js';
import { checkStops, TextWatch, type GeneratedText } from '../task/generation.js';
import type { QueuedInput } from '../task/queued-input.js';
import { requireTokenizer } from '../task/task-origin.js';
import type { TaskHold, TaskHost } from '../task/task.js';
import type { Newcomers } from './cohort.js';
import { FairQueue } from './fair-queue.js';
import { NextMask } from './next-mask.js';
import { Places } from './places.js';
import { RunningBatch } from './running-batch.js';
import { choiceOf, type ServingOptions, type QueuedRequest, type ServingStatistics } from './requests.js';
import { isActive, type Row } from './row.js';

interface Pending extends Row {
  /** Kept by whoever submitted it. */
  readonly hold: TaskHold;
  /** Whether log-probabilities are given. */
  readonly logs: boolean;
  /** Whether it waits in the queue, in whose places it counts. */
  queued: boolean;
  /** Whether something failed in its batch, so that it is tried by itself. */
  alone: boolean;
  resolve(generated: GeneratedTokens): void;
  reject(error: unknown): void;
}

/**
 * Continuous batching: requests of any tasks join the running batch and leave it between two pieces of a few tokens.
 * Tasks take turns, requests of one task come in the order of submitting. Outputs are those of running each alone.
 */
export class Scheduler {
  private readonly options: Required<ServingOptions>;
  private readonly queue = new FairQueue<CompiledTasks, Pending>();
  private readonly places: Places;
  /** Requests of a batch that failed; each runs by itself, so that only the cause of the failure fails. */
  private suspects: Pending[] = [];
  private running: Pending[] = [];
  private isRunning = false;
  private readonly counts = { completed: 0, failed: 0, cancelled: 0 };

  constructor(
    private readonly host: TaskHost,
    options: ServingOptions = {},
  ) {
    this.options = {
      maxRows: 64,
      maxBatchTokens: 8192,
      maxCohorts: 24,
      maxQueued: 1024,
      pieceMilliseconds: 20,
      ...options,
    };
    this.places = new Places(this.options.maxQueued);
  }

  get statistics(): ServingStatistics {
    return { queued: this.places.used, running: this.running.length, ...this.counts };
  }

  /**
   * Queues one input.
   *
   * @throws HintError BUSY when the queue is full; INVALID_ARGUMENT, INVALID_DATA, INVALID_TOKEN, NOT_FOUND for this
   *   request only; NUMERIC, OUT_OF_MEMORY, ABORTED (its signal, or the engine was closed)
   */
  async submit(request: QueuedRequest): Promise<GeneratedText> {
    const { task, maxInputTokens, stop = [], signal, whenFull = 'reject', logProbs = false } = request;
    throwIfAborted(signal);
    task.checkUsable(this.host);
    const { maxTokens = defaultMaxTokens(request) } = request;
    const decoding = resolveDecoding(request);
    const { tokenizer } = this.host;
    if (stop.length > 0) requireTokenizer(tokenizer);
    checkStops(stop);
    const input = task.encodeInput(request.input, maxInputTokens);
    if (!this.family.joint || decoding.kind === 'beam') return this.answerAlone(request);
    const hold = task.hold();
    const { constrain: constraint } = request;
    const held = { constraint, tokenizer: () => requireTokenizer(tokenizer), decoding, rows: 1, signal };
    try {
      return await constrained(this.host.grammars, held, async (rows) => {
        const text = (ids: Int32Array | readonly number[]): string =>
          rows?.text(0, ids) ?? tokenizer?.decodeAnswer(ids) ?? '';
        const texts = new TextWatch(text, stop);
        const generated = await this.enqueue(hold, {
          ...{ input, maxTokens, decoding, logProbs, signal, whenFull },
          // Of inputs that are alone the first of its kind, as in Task.generate.
          stream: [hashTokens(input), 0],
          mask: rows?.row(0),
          watch: stop.length > 0 ? (token) => texts.token(0, token, undefined) : undefined,
        });
        if (stop.length === 0) return { text: text(generated.tokens), ...generated };
        texts.end(0, generated);
        return texts.generations[0] as GeneratedText;
      });
    } finally {
      hold.release();
    }
  }

  /**
   * Queues an input as the model reads it.
   *
   * @param hold kept by the caller until this has ended
   * @throws HintError as {@link submit}
   */
  async enqueue(hold: TaskHold, queued: QueuedInput): Promise<GeneratedTokens> {
    const { input, signal } = queued;
    if (input.length === 0)
      throw new HintError('INVALID_DATA', 'The input has no token; give at least the end-of-sequence token.');
    checkTokenIds(input, this.host.model.config.vocabSize);
    await this.enter(queued.whenFull, signal);
    return this.wait(hold, queued);
  }

  private get family(): Family {
    return familyOf(this.host.model);
  }

  /** What cannot share a batch: beams, and rows of families that have no joint decoding. */
  private async answerAlone(request: QueuedRequest): Promise<GeneratedText> {
    const { task, input, whenFull = 'reject', ...options } = request;
    await this.enter(whenFull, options.signal);
    try {
      const [answer] = await task.generate(input, options);
      this.counts.completed++;
      return answer as GeneratedText;
    } catch (error) {
      if (options.signal?.aborted) this.counts.cancelled++;
      else this.counts.failed++;
      throw error;
    } finally {
      this.places.give();
    }
  }

  private async enter(whenFull: 'reject' | 'wait', signal: AbortSignal | undefined): Promise<void> {
    if (whenFull === 'wait') return this.places.take(signal);
    if (this.places.tryTake()) return;
    throw new HintError(
      'BUSY',
      `${this.options.maxQueued} requests wait already, the limit; try again later, submit with whenFull "wait", or raise maxQueued.`,
    );
  }

  private async wait(hold: TaskHold, queued: QueuedInput): Promise<GeneratedTokens> {
    const { input, maxTokens, stream, watch, signal, logProbs } = queued;
    let cancel = (): void => undefined;
    try {
      return await new Promise<GeneratedTokens>((resolve, reject) => {
        const pending: Pending = {
          ...{ hold, input, maxTokens, stream, watch, resolve, reject },
          choice: choiceOf(queued.decoding, logProbs, queued.mask !== undefined),
          mask: queued.mask && new NextMask(queued.mask),
          logs: logProbs,
          told: 0,
          endsAt: undefined,
          tokens: [],
          logProbs: [],
          finished: false,
          dropped: false,
          queued: true,
          alone: false,
        };
        // One signal may cancel hundreds of requests; Node would warn of a leak at eleven listeners.
        if (signal) setMaxListeners(0, signal);
        cancel = () => this.cancel(pending, signal?.reason);
        signal?.addEventListener('abort', cancel, { once: true });
        this.queue.push(pending.hold.compiled, pending);
        if (signal?.aborted) cancel();
        this.start();
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  private cancel(pending: Pending, reason: unknown): void {
    pending.dropped = true;
    if (pending.queued) this.leaveQueue(pending);
    this.counts.cancelled++;
    pending.reject(new HintError('ABORTED', 'The operation was aborted.', { cause: reason }));
  }

  private leaveQueue(pending: Pending): void {
    this.queue.remove(pending.hold.compiled, pending);
    pending.queued = false;
    this.places.give();
  }

  private start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.host
      .run(undefined, (signal) => this.serve(signal))
      .catch((error: unknown) => {
        this.isRunning = false;
        this.rejectAll(error);
      });
  }

  /** Serves until nothing waits and nothing runs. */
  private async serve(signal: AbortSignal): Promise<void> {
    // What is submitted in the same turn of the event loop begins together.
    await new Promise((resolve) => setImmediate(resolve));
    const { model } = this.host;
    const { family } = this;
    const batch = new RunningBatch(model, family.joint as JointDecoding, this.options.pieceMilliseconds);
    const endUrgent = model.device.beginUrgent();
    try {
      for (;;) {
        throwIfAborted(signal);
        const newcomers = this.admit(batch);
        if (newcomers.length === 0 && this.running.length === 0) {
          // In the same turn, so that a request submitted from now on starts serving again.
          this.isRunning = false;
          break;
        }
        try {
          if (newcomers.length > 0) {
            await family.prepare?.(model);
            await batch.join(newcomers);
          }
          await abortable(batch.advance(), signal);
          this.deliver();
        } catch (error) {
          throwIfAborted(signal);
          await batch.clear();
          this.isolate(error);
        }
      }
    } finally {
      endUrgent();
      await batch.clear();
    }
  }

  /** Takes those whose turn it is out of the queue, as many as the batch has room for. */
  private admit(batch: RunningBatch): Newcomers[] {
    const { maxRows, maxBatchTokens, maxCohorts } = this.options;
    this.suspects = this.suspects.filter(({ dropped }) => !dropped);
    if (this.running.some(({ alone }) => alone)) return [];
    if (this.suspects.length > 0) {
      if (this.running.length > 0) return [];
      this.running = [this.suspects.shift() as Pending];
      return this.grouped(this.running);
    }
    const admitted: Pending[] = [];
    const joining = new Set<unknown>();
    let tokens = batch.inputTokens;
    for (;;) {
      const hasRoom = batch.cohortCount + joining.size < maxCohorts;
      // Rows of tasks that join now cost no cohort of their own. They do not go ahead of who waits for one: that is
      // first in turn as soon as a cohort has ended.
      const next = this.queue.peek((one) => hasRoom || joining.has(this.groupOf(one)));
      if (!next) break;
      tokens += next.input.length;
      const rows = this.running.length + admitted.length;
      if (rows > 0 && (rows >= maxRows || tokens > maxBatchTokens)) break;
      this.queue.take(next.hold.compiled);
      next.queued = false;
      this.places.give();
      joining.add(this.groupOf(next));
      admitted.push(next);
    }
    this.running.push(...admitted);
    return this.grouped(admitted);
  }

  /** What must be equal for rows to share modules: the task, where an instruction makes them or an adapter holds them. */
  private groupOf({ hold }: Pending): unknown {
    const { compiled } = hold;
    const hasOwn = compiled.readFrom !== undefined || this.family.readsInstruction(this.host.model);
    return hasOwn ? compiled : undefined;
  }

  private grouped(rows: readonly Pending[]): Newcomers[] {
    const groups = new Map<unknown, Pending[]>();
    for (const row of rows) {
      const group = groups.get(this.groupOf(row));
      if (group) group.push(row);
      else groups.set(this.groupOf(row), [row]);
    }
    return [...groups.values()].map((group) => ({
      hold: (group[0] as Pending).hold.share(),
      // Rows whose tokens are chosen alike lie side by side, so that one op chooses them.
      rows: group.sort((a, b) => Number(a.choice.key > b.choice.key) - Number(a.choice.key < b.choice.key)),
    }));
  }

  private deliver(): void {
    this.running = this.running.filter((row) => {
      if (isActive(row)) return true;
      if (row.dropped) return false;
      if (row.mask?.failure !== undefined) {
        this.counts.failed++;
        row.reject(row.mask.failure);
        return false;
      }
      this.counts.completed++;
      const logProbs = row.logs ? { logProbs: Float32Array.from(row.logProbs) } : {};
      row.resolve({ tokens: Int32Array.from(row.tokens), finished: row.finished, ...logProbs });
      return false;
    });
  }

  /** After a failure: a request that ran alone is its cause and is rejected; of several, each is tried again alone. */
  private isolate(error: unknown): void {
    const rows = this.running.filter(({ dropped }) => !dropped);
    this.running = [];
    const [only] = rows;
    if (rows.length === 1 && only) {
      this.counts.failed++;
      only.reject(error);
      return;
    }
    for (const row of rows) {
      row.tokens = [];
      row.logProbs = [];
      row.finished = false;
      row.alone = true;
      row.mask?.restart();
    }
    this.suspects.push(...rows);
  }

  private rejectAll(error: unknown): void {
    const rows = [...this.running, ...this.suspects];
    this.running = [];
    this.suspects = [];
    for (let next = this.queue.peek(); next; next = this.queue.peek()) {
      this.queue.take(next.hold.compiled);
      rows.push(next);
    }
    this.places.fail(error);
    for (const row of rows) {
      if (row.queued) this.places.give();
      row.queued = false;
      if (row.dropped) continue;
      row.dropped = true;
      this.counts.failed++;
      row.reject(error);
    }
  }
}
