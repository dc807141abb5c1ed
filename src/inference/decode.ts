import type { Ragged } from '../data/batch.js';
import { throwIfAborted } from '../errors.js';
import type { HintModel } from '../model/hint.js';
import type { CrossKeys, DecoderKeys } from '../model/t5.js';
import { prefixOptions, type TaskRows } from '../model/task-modules.js';
import type { Program } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { abortable } from '../util/abortable.js';
import type { CompiledTasks } from './compiled-tasks.js';

/** What was generated for one input. */
export interface GeneratedTokens {
  /** The ids, the end-of-sequence id included when there is one. */
  tokens: Int32Array;
  /** False when the row was cut at the limit before the model ended it. */
  finished: boolean;
}

const FIRST_CAPACITY = 32;
// Below this many rows a step costs what reading the weights costs, however many rows there are.
const ROWS_WORTH_DROPPING = 16;

/** Tokens generated natively between two looks at the abort signal: fewer when a step is dearer. */
function pieceLength(rows: number): number {
  return Math.max(2, Math.min(16, Math.floor(256 / rows)));
}

/**
 * Greedy decoding of a ragged batch. The encoder runs once; then one recorded decoder step is replayed natively, and
 * JavaScript only looks in between pieces of it. Ties go to the lowest id.
 *
 * @param inputs one sequence per row, ordered by task
 * @param taskIndex per row its task, nondecreasing
 * @returns per row what was generated, at most `maxTokens` ids
 * @throws HintError INVALID_TOKEN, INVALID_DATA (empty input), NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function decodeGreedy(
  model: HintModel,
  tasks: CompiledTasks,
  inputs: Ragged,
  taskIndex: Int32Array,
  options: { maxTokens: number; signal?: AbortSignal | undefined },
): Promise<GeneratedTokens[]> {
  const loop = new DecodeLoop(model, tasks, inputs, taskIndex, options.maxTokens);
  try {
    while (!loop.done) {
      throwIfAborted(options.signal);
      await abortable(loop.advance(), options.signal);
    }
    return loop.results();
  } finally {
    loop.dispose();
  }
}

/** Caches of one decoder layer's self-attention, [rows, capacity, width] each. */
interface Cache {
  key: Tensor;
  value: Tensor;
}

/** The rows still decoded and the device's state of them; replaced when rows leave or the caches must grow. */
interface Stage {
  /** Rows of the batch, ascending. */
  rows: number[];
  capacity: number;
  caches: Cache[];
  state: ops.GreedyState;
  program: Program;
}

class DecodeLoop {
  private readonly offsets: Int32Array;
  private readonly sequenceTasks: TaskRows | undefined;
  private readonly cross: CrossKeys[];
  private readonly generated: number[][];
  private readonly finished: boolean[];
  /** Tokens generated so far per unfinished row. */
  private position = 0;
  private stage: Stage;

  constructor(
    private readonly model: HintModel,
    private readonly tasks: CompiledTasks,
    inputs: Ragged,
    private readonly taskIndex: Int32Array,
    private readonly maxTokens: number,
  ) {
    const count = inputs.offsets.length - 1;
    this.offsets = inputs.offsets;
    this.generated = Array.from({ length: count }, () => []);
    this.finished = new Array<boolean>(count).fill(false);
    this.sequenceTasks = model.taskRows(tasks.encoded, taskIndex, inputs.offsets);
    this.cross = this.encode(inputs);
    const rows = Array.from({ length: count }, (_, row) => row);
    const capacity = Math.min(maxTokens, FIRST_CAPACITY);
    const { numDecoderLayers, numHeads, dKv } = model.config;
    const shape = [count, capacity, numHeads * dKv];
    const caches = Array.from({ length: numDecoderLayers }, () => ({
      key: model.device.tensor(null, shape, 'f32'),
      value: model.device.tensor(null, shape, 'f32'),
    }));
    this.stage = this.begin(rows, capacity, caches);
  }

  get done(): boolean {
    return this.position >= this.maxTokens || this.stage.rows.every((row) => this.finished[row]);
  }

  results(): GeneratedTokens[] {
    return this.generated.map((tokens, row) => ({
      tokens: Int32Array.from(tokens),
      finished: this.finished[row] === true,
    }));
  }

  /** Generates the next piece of every row. */
  async advance(): Promise<void> {
    this.repack();
    const { rows, capacity, state, program } = this.stage;
    const steps = Math.min(pieceLength(rows.length), capacity - this.position);
    program.replay(steps, state.stop);
    const tokens = await state.tokens.readIntegers();
    const end = this.position + steps;
    rows.forEach((row, i) => {
      const known = this.generated[row] as number[];
      for (let at = this.position; at < end && !this.finished[row]; at++) {
        const token = tokens[i * capacity + at] as number;
        known.push(token);
        this.finished[row] = token === this.model.config.eosTokenId;
      }
    });
    this.position = end;
  }

  dispose(): void {
    for (const { key, value } of this.cross) for (const tensor of [key, value]) tensor.dispose();
    this.release(this.stage);
  }

  /** Inputs → encoder → keys and values of every decoder layer's cross-attention. */
  private encode(inputs: Ragged): CrossKeys[] {
    const { model, tasks, taskIndex } = this;
    const { device, t5, config } = model;
    const cross = device.tidy(() => {
      const memory = model.encodeInputs(inputs, tasks.encoded, taskIndex);
      return Array.from({ length: config.numDecoderLayers }, (_, layer) => {
        const { key, value } = t5.crossKeys(layer, memory, this.sequenceTasks, tasks.shared[layer]);
        return { key, value };
      });
    });
    return cross.map(({ key, value }, layer) => ({
      key: device.keep(key),
      value: device.keep(value),
      shared: tasks.shared[layer],
    }));
  }

  /** Lets finished rows go and makes room for more tokens, where either is due. */
  private repack(): void {
    const { rows, capacity } = this.stage;
    const active = rows.filter((row) => !this.finished[row]);
    const full = this.position === capacity;
    if (!full && (rows.length < ROWS_WORTH_DROPPING || active.length * 4 > rows.length * 3)) return;
    const old = this.stage;
    const larger = full ? Math.min(this.maxTokens, capacity * 2) : capacity;
    const { device } = this.model;
    const caches = device.tidy(() => {
      const source = new Int32Array(active.length * larger);
      active.forEach((row, i) => {
        const from = rows.indexOf(row) * capacity;
        for (let at = 0; at < this.position; at++) source[i * larger + at] = from + at;
      });
      const ids = device.tensor(source, [source.length]);
      const gather = (cache: Tensor): Tensor => {
        const width = cache.shape[2] as number;
        const moved = ops.embedding(ids, cache.reshape([rows.length * capacity, width]));
        return moved.reshape([active.length, larger, width]);
      };
      return old.caches.map(({ key, value }) => ({ key: gather(key), value: gather(value) }));
    });
    this.stage = this.begin(active, larger, caches);
    this.release(old);
  }

  /** Puts the state of `rows` on the device and records the step that advances it. */
  private begin(rows: number[], capacity: number, caches: Cache[]): Stage {
    const { device, config, t5 } = this.model;
    for (const { key, value } of caches) for (const tensor of [key, value]) device.keep(tensor);
    const lastTokens = rows.map((row) => this.generated[row]?.at(-1) ?? config.decoderStartTokenId);
    const integers = (values: number[] | Int32Array, shape: number[]): Tensor =>
      device.keep(device.tensor(Int32Array.from(values), shape));
    const state: ops.GreedyState = {
      token: integers(lastTokens, [rows.length]),
      finished: integers(new Int32Array(rows.length), [rows.length]),
      tokens: integers(new Int32Array(rows.length * capacity), [rows.length, capacity]),
      position: integers([this.position], [1]),
      stop: integers([0], [1]),
    };
    const rowOffsets = Int32Array.from({ length: rows.length + 1 }, (_, i) => i);
    const rowTasks = this.model.taskRows(
      this.tasks.encoded,
      Int32Array.from(rows, (row) => this.taskIndex[row] as number),
      rowOffsets,
    );
    const keys = this.keys(rows, caches, state, rowTasks);
    const program = device.record(() =>
      device.tidy(() => {
        const hidden = t5.decodeOver({ ids: state.token, offsets: rowOffsets }, keys, { tasks: rowTasks });
        ops.greedy(t5.logits(hidden), state, config.eosTokenId);
      }),
    );
    return { rows, capacity, caches, state, program };
  }

  private keys(
    rows: number[],
    caches: Cache[],
    { position }: ops.GreedyState,
    rowTasks: TaskRows | undefined,
  ): DecoderKeys {
    const { t5, config } = this.model;
    // Rows that left ask nothing, so that the keys of their inputs can stay where they are.
    const queries = new Int32Array(this.offsets.length);
    for (const row of rows) queries[row + 1] = 1;
    for (let i = 1; i < queries.length; i++) queries[i] = (queries[i] as number) + (queries[i - 1] as number);
    return {
      self: (q, k, v, layer) =>
        ops.decodeAttention(
          q,
          k,
          v,
          { ...(caches[layer] as Cache), position },
          {
            numHeads: config.numHeads,
            taskIndex: rowTasks?.taskIndex,
            ...prefixOptions(rowTasks, t5.decoderSlot(layer)),
            bias: t5.relativeBias('decoder'),
            maxDistance: config.relativeAttentionMaxDistance,
          },
        ),
      cross: (q, layer) =>
        t5.attendAcross(q, queries, this.offsets, this.cross[layer] as CrossKeys, layer, {
          tasks: this.sequenceTasks,
        }),
    };
  }

  private release({ caches, state, program }: Stage): void {
    program.dispose();
    for (const { key, value } of caches) for (const tensor of [key, value]) tensor.dispose();
    for (const tensor of Object.values(state) as Tensor[]) tensor.dispose();
  }
}
