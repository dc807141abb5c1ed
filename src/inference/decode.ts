import type { Ragged } from '../data/batch.js';
import { throwIfAborted } from '../errors.js';
import { isLanguageModel, type AnyModel } from '../model/open-model.js';
import type { Program } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { abortable } from '../util/abortable.js';
import type { CompiledTasks } from './compiled-tasks.js';
import type { Cache, DecodeNetwork, DecodeStep } from './decode-network.js';
import { DecoderOnlyNetwork } from './decoder-only-network.js';
import { EncoderDecoderNetwork } from './encoder-decoder-network.js';

/** What was generated for one input. */
export interface GeneratedTokens {
  /** The ids, the end-of-sequence id included when there is one. */
  tokens: Int32Array;
  /** False when the row was cut at the limit before the model ended it. */
  finished: boolean;
}

/** How far and until when rows are decoded. */
interface DecodeOptions {
  maxTokens: number;
  signal?: AbortSignal | undefined;
}

const FIRST_CAPACITY = 32;
// Below this many rows a step costs what reading the weights costs, however many rows there are.
const ROWS_WORTH_DROPPING = 16;

/** Tokens generated natively between two looks at the abort signal: fewer when a step is dearer. */
function pieceLength(rows: number): number {
  return Math.max(2, Math.min(16, Math.floor(256 / rows)));
}

/**
 * Greedy decoding of a ragged batch.
 *
 * @param inputs one sequence per row, ordered by task
 * @param taskIndex per row its task, nondecreasing
 * @returns per row what was generated, at most `maxTokens` ids
 * @throws HintError INVALID_TOKEN, INVALID_DATA (empty input), NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function decodeGreedy(
  model: AnyModel,
  tasks: CompiledTasks,
  inputs: Ragged,
  taskIndex: Int32Array,
  options: DecodeOptions,
): Promise<GeneratedTokens[]> {
  const network = isLanguageModel(model)
    ? new DecoderOnlyNetwork(model, tasks, inputs, taskIndex)
    : await EncoderDecoderNetwork.open(model, tasks, inputs, taskIndex);
  try {
    return await decodeNetwork(network, inputs.offsets.length - 1, options);
  } finally {
    network.dispose();
  }
}

/**
 * Greedy decoding of the batch that a network has read. One recorded step is replayed natively, and JavaScript only
 * looks in between pieces of it. Ties go to the lowest id.
 *
 * @param rows of the batch
 * @returns per row what was generated, at most `maxTokens` ids
 * @throws HintError NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED, and what reading the inputs failed with
 */
async function decodeNetwork(
  network: DecodeNetwork,
  rows: number,
  options: DecodeOptions,
): Promise<GeneratedTokens[]> {
  const loop = new DecodeLoop(network, rows, options.maxTokens);
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

/** The rows still decoded and the device's state of them; replaced when rows leave or the caches must grow. */
interface Stage {
  /** Rows of the batch, ascending. */
  rows: number[];
  capacity: number;
  caches: Cache[];
  state: ops.GreedyState;
  step: DecodeStep;
  program: Program;
}

class DecodeLoop {
  private readonly generated: number[][];
  private readonly finished: boolean[];
  /** Tokens generated so far per unfinished row. */
  private position = 0;
  private stage: Stage;

  constructor(
    private readonly network: DecodeNetwork,
    count: number,
    private readonly maxTokens: number,
  ) {
    this.generated = Array.from({ length: count }, () => []);
    this.finished = new Array<boolean>(count).fill(false);
    const rows = Array.from({ length: count }, (_, row) => row);
    const capacity = Math.min(maxTokens, FIRST_CAPACITY);
    const { device, cacheLayers, cacheWidth } = network;
    const shape = [count, capacity, cacheWidth];
    const caches = Array.from({ length: cacheLayers }, () => ({
      key: device.tensor(null, shape, 'f32'),
      value: device.tensor(null, shape, 'f32'),
    }));
    this.stage = this.begin(rows, capacity, caches);
  }

  get done(): boolean {
    return this.position >= this.maxTokens || this.stage.rows.every((row) => this.isDone(row));
  }

  /** Whether a row ended, or there is no room for more of it. */
  private isDone(row: number): boolean {
    return this.finished[row] === true || this.position >= this.network.room(row);
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
      const last = Math.min(end, this.network.room(row));
      for (let at = this.position; at < last && !this.finished[row]; at++) {
        const token = tokens[i * capacity + at] as number;
        known.push(token);
        this.finished[row] = token === this.network.eosTokenId;
      }
    });
    this.position = end;
  }

  dispose(): void {
    this.release(this.stage);
  }

  /** Lets finished rows go and makes room for more tokens, where either is due. */
  private repack(): void {
    const { rows, capacity } = this.stage;
    const active = rows.filter((row) => !this.isDone(row));
    const full = this.position === capacity;
    if (!full && (rows.length < ROWS_WORTH_DROPPING || active.length * 4 > rows.length * 3)) return;
    const old = this.stage;
    const larger = full ? Math.min(this.maxTokens, capacity * 2) : capacity;
    const { device } = this.network;
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
    const { network } = this;
    const { device } = network;
    for (const { key, value } of caches) for (const tensor of [key, value]) device.keep(tensor);
    const lastTokens = rows.map((row) => this.generated[row]?.at(-1) ?? network.startToken(row));
    const integers = (values: number[] | Int32Array, shape: number[]): Tensor =>
      device.keep(device.tensor(Int32Array.from(values), shape));
    const state: ops.GreedyState = {
      token: integers(lastTokens, [rows.length]),
      finished: integers(new Int32Array(rows.length), [rows.length]),
      tokens: integers(new Int32Array(rows.length * capacity), [rows.length, capacity]),
      position: integers([this.position], [1]),
      stop: integers([0], [1]),
    };
    const step = network.begin(rows, this.position);
    const program = device.record(() =>
      device.tidy(() => {
        const { token, position } = state;
        ops.greedy(step.logits({ token, position, caches }), state, network.eosTokenId);
      }),
    );
    return { rows, capacity, caches, state, step, program };
  }

  private release({ caches, state, step, program }: Stage): void {
    program.dispose();
    step.dispose();
    for (const { key, value } of caches) for (const tensor of [key, value]) tensor.dispose();
    for (const tensor of Object.values(state) as Tensor[]) tensor.dispose();
  }
}
