import { concatenate } from '../../data/batch.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { CrossKeys, StepRows } from '../../model/t5/decoder-keys.js';
import { partedTaskRows, type TaskRows } from '../../model/modules/task-modules.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Cache } from '../contract/decode-network.js';
import type { TaskHold } from '../task/task.js';
import type { RowChoice } from './row-choices.js';

/** One input while it is decoded. */
export interface Row {
  readonly input: Int32Array;
  readonly maxTokens: number;
  readonly choice: RowChoice;
  /** Two numbers that name the random stream it is drawn from. */
  readonly stream: readonly [number, number];
  /** What was generated so far; log-probabilities only where they are drawn or asked for. */
  tokens: number[];
  logProbs: number[];
  /** Whether the model ended it. */
  finished: boolean;
  /** Whether nobody waits for it any more. */
  dropped: boolean;
}

/** Rows of one task that begin together. */
export interface Newcomers {
  /** Kept until the rows have ended; the segment gives it back. */
  hold: TaskHold;
  rows: Row[];
}

const FIRST_CAPACITY = 32;

/** Whether a row is to be decoded further. */
export function isActive({ tokens, maxTokens, finished, dropped }: Row): boolean {
  return !finished && !dropped && tokens.length < maxTokens;
}

/**
 * Rows of one task that began together, and so have generated equally many tokens: the unit that joins and leaves a
 * running batch. It has the inputs' cross-attention keys and values and the caches of what was generated.
 */
export class Segment {
  /** Tokens generated per row, the place of the next step in the caches. */
  position = 0;
  capacity = 0;
  private caches: Cache[] = [];
  private readonly place: Tensor;
  /** Which sequence of the inputs each row is. */
  private sequences: number[];

  constructor(
    private readonly model: EncoderDecoderModel,
    readonly hold: TaskHold,
    public rows: Row[],
    /** Offsets of the inputs, and per decoder layer the keys and values of them. */
    private readonly offsets: Int32Array,
    private readonly cross: readonly CrossKeys[],
  ) {
    this.sequences = rows.map((_, row) => row);
    this.place = model.device.keep(model.device.tensor(Int32Array.of(0), [1]));
  }

  get activeRows(): number {
    return this.rows.filter(isActive).length;
  }

  /** Input tokens it keeps the keys and values of. */
  get inputTokens(): number {
    return this.offsets.at(-1) as number;
  }

  private get taskRows(): TaskRows {
    return {
      modules: this.hold.compiled.encoded.modules,
      taskIndex: undefined,
      rowOffsets: undefined,
    };
  }

  /**
   * Lets ended rows go where that is worth a copy of the caches, and makes room for more tokens where there is none.
   *
   * @returns whether rows or caches have changed
   */
  makeRoom(): boolean {
    const active = this.rows.flatMap((row, i) => (isActive(row) ? [i] : []));
    const full = this.position === this.capacity;
    const thinned = active.length * 4 <= this.rows.length * 3;
    if (!full && !thinned) return false;
    const most = Math.max(...active.map((i) => (this.rows[i] as Row).maxTokens));
    const capacity = full ? Math.min(most, Math.max(FIRST_CAPACITY, this.capacity * 2)) : this.capacity;
    const old = this.caches;
    this.caches =
      this.position === 0 ? this.freshCaches(active.length, capacity) : this.gather(active, capacity);
    dispose(old);
    this.sequences = active.map((i) => this.sequences[i] as number);
    this.rows = active.map((i) => this.rows[i] as Row);
    this.capacity = capacity;
    return true;
  }

  private freshCaches(rows: number, capacity: number): Cache[] {
    const { device, config, t5 } = this.model;
    const shape = [rows, capacity, config.numHeads * config.dKv];
    const make = (): Tensor => device.keep(device.tensor(null, shape, t5.computeDtype));
    return Array.from({ length: config.numDecoderLayers }, () => ({ key: make(), value: make() }));
  }

  /** The caches of some rows, in memory for `capacity` tokens each. */
  private gather(rows: readonly number[], capacity: number): Cache[] {
    const { device } = this.model;
    const source = new Int32Array(rows.length * capacity);
    rows.forEach((row, i) => {
      for (let at = 0; at < this.position; at++) source[i * capacity + at] = row * this.capacity + at;
    });
    return device.tidy(() => {
      const ids = device.tensor(source, [source.length]);
      const move = (cache: Tensor): Tensor => {
        const width = cache.shape[2] as number;
        const moved = ops.embedding(ids, cache.reshape([this.rows.length * this.capacity, width]));
        return device.keep(moved.reshape([rows.length, capacity, width]));
      };
      return this.caches.map(({ key, value }) => ({ key: move(key), value: move(value) }));
    });
  }

  /** What a step of its rows, which are `rows` of the batch's, reads. */
  keys(rows: readonly [number, number]): StepRows {
    const { taskRows: tasks, caches, place: position, offsets, cross } = this;
    // Rows that left ask nothing, so that the keys of their inputs can stay where they are.
    const readers = new Int32Array(offsets.length);
    for (const sequence of this.sequences) readers[sequence + 1] = 1;
    for (let i = 1; i < readers.length; i++) readers[i] = (readers[i] as number) + (readers[i - 1] as number);
    return { rows, tasks, caches, position, inputs: { offsets, readers, tasks, cross } };
  }

  /** Enqueued at the end of a step. */
  advance(): void {
    ops.increment(this.place);
  }

  dispose(): void {
    dispose(this.caches);
    dispose(this.cross);
    this.place.dispose();
    this.hold.release();
  }
}

function dispose(pairs: readonly { key: Tensor; value: Tensor }[]): void {
  for (const { key, value } of pairs) for (const tensor of [key, value]) tensor.dispose();
}

/** How rows belong to tasks; undefined where the model has no modules. */
export function taskRowsOf(
  parts: readonly { hold: TaskHold; rows: readonly Row[] }[],
  offsets: Int32Array,
): TaskRows | undefined {
  const merged: { modules: TaskRows['modules']; sequences: number }[] = [];
  for (const { hold, rows } of parts) {
    const { modules } = hold.compiled.encoded;
    const last = merged.at(-1);
    if (last?.modules === modules) last.sequences += rows.length;
    else merged.push({ modules, sequences: rows.length });
  }
  return merged[0]?.modules.size ? partedTaskRows(merged, offsets) : undefined;
}

/**
 * Reads the inputs of newcomers, all in one batch whatever their tasks: encoder, then keys and values for every decoder
 * layer. Resolves when all is enqueued.
 */
export function encodeNewcomers(
  model: EncoderDecoderModel,
  newcomers: readonly Newcomers[],
): Promise<Segment[]> {
  return model.device.inSlices(model.device.tidied(encode(model, newcomers)));
}

function* encode(model: EncoderDecoderModel, newcomers: readonly Newcomers[]): Sliced<Segment[]> {
  const { device, t5, config } = model;
  const { ids, offsets } = concatenate(newcomers.flatMap(({ rows }) => rows.map(({ input }) => input)));
  const tasks = taskRowsOf(newcomers, offsets);
  const encoded = yield* t5.encode({ ids: device.tensor(ids, [ids.length]), offsets }, { tasks });
  const layers: CrossKeys[] = [];
  for (let layer = 0; layer < config.numDecoderLayers; layer++) {
    layers.push(t5.crossKeys(layer, { encoded, offsets, tasks }, tasks));
    yield;
  }
  let first = 0;
  return newcomers.map(({ hold, rows }) => {
    const own = offsets.slice(first, first + rows.length + 1);
    const [begin, end] = [own[0] as number, own.at(-1) as number];
    first += rows.length;
    const cross = layers.map(({ key, value }, layer) => ({
      key: device.keep(key.narrow(begin, end)),
      value: device.keep(value.narrow(begin, end)),
      shared: hold.compiled.shared[layer],
    }));
    return new Segment(
      model,
      hold,
      rows,
      own.map((offset) => offset - begin),
      cross,
    );
  });
}
