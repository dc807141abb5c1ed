import { HintError } from '../../util/errors.js';
import type { Program } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { createCaches, disposeCaches, FIRST_CAPACITY, isWorthDropping, moveCaches } from './decode-caches.js';
import type { Cache, DecodeNetwork, DecodeStep } from '../contract/decode-network.js';
import type { RowMasks } from './row-masks.js';
import type { RowLog } from './row-watch.js';

/** How each next token is chosen from the logits. */
export type TokenChoice =
  { kind: 'greedy' } | ({ kind: 'sample'; streams: Int32Array } & ops.SampleAttributes);

/** Tokens generated natively between two looks at them: fewer when a step is dearer. */
function pieceLength(rows: number): number {
  return Math.max(2, Math.min(16, Math.floor(256 / rows)));
}

/** The rows still decoded and the device's state of them; replaced when rows leave or the caches must grow. */
interface Stage {
  /** Rows of the batch, ascending. */
  rows: number[];
  capacity: number;
  caches: Cache[];
  state: ops.GreedyState;
  /** Of sampling: i32 [rows, 2] and f32 [rows, capacity]. */
  drawn: { stream: Tensor; logProbs: Tensor } | undefined;
  /** Of constrained rows: f32 [rows, vocabSize], added to the logits. */
  mask: Tensor | undefined;
  step: DecodeStep;
  program: Program;
}

/**
 * Decoding one token after the other: one recorded step, which chooses the token too, is replayed natively, and
 * JavaScript only looks in between pieces of it.
 */
export class TokenLoop {
  /** Tokens generated so far per row that goes on. */
  private position = 0;
  /** Rows of the batch that are still decoded, ascending. */
  private rows: number[];
  private stage: Stage | undefined;
  /** The stage that is being recorded; nothing that it reads may go meanwhile. */
  private beginning: Promise<Stage> | undefined;
  private isDisposed = false;

  constructor(
    private readonly network: DecodeNetwork,
    count: number,
    private readonly maxTokens: number,
    private readonly choice: TokenChoice,
    private readonly log: RowLog,
    /** Look after every token. */
    private readonly eager: boolean,
    /** What rows may take; looked at after every token. */
    private readonly masks?: RowMasks,
  ) {
    this.rows = Array.from({ length: count }, (_, row) => row);
  }

  get done(): boolean {
    return this.rows.every((row) => this.log.hasEnded(row));
  }

  /** Generates the next piece of every row. */
  async advance(): Promise<void> {
    const stage = await this.ready();
    const { rows, capacity, state, drawn, program } = stage;
    const steps = Math.min(this.eager || this.masks ? 1 : pieceLength(rows.length), capacity - this.position);
    if (this.masks) {
      await this.mask(stage, this.masks);
      program.replay(steps);
    } else program.replay(steps, state.stop);
    const [tokens, logProbs] = await Promise.all([state.tokens.readIntegers(), drawn?.logProbs.read()]);
    const end = this.position + steps;
    for (const [i, row] of rows.entries()) {
      await this.log.pause();
      const limit = Math.min(this.maxTokens, this.network.room(row));
      for (let at = this.position; at < Math.min(end, limit) && !this.log.hasEnded(row); at++) {
        const token = tokens[i * capacity + at] as number;
        this.log.add(row, this.masks?.chosen(row, token) ?? token, logProbs?.[i * capacity + at]);
      }
      if (end >= limit) this.log.end(row, false);
    }
    if (this.masks) this.correct(stage);
    this.position = end;
  }

  /** Puts on the device what the next step may take. */
  private async mask({ rows, mask }: Stage, masks: RowMasks): Promise<void> {
    const { vocabSize } = masks;
    const active = rows.flatMap((row, i) => (this.log.hasEnded(row) ? [] : [{ row, i }]));
    const own = await masks.next(active.map(({ row }) => row));
    if (this.isDisposed || !mask) throw new HintError('ABORTED', 'The decoding was given up.');
    const { device } = this.network;
    for (const [at, { i }] of active.entries())
      device.write(mask, own.subarray(at * vocabSize, (at + 1) * vocabSize), i * vocabSize * 4);
  }

  /** Tokens that took the place of others, and ends that were none, as the device is to know them. */
  private correct({ rows, state }: Stage): void {
    const { device } = this.network;
    device.write(
      state.token,
      Int32Array.from(rows, (row) => this.log.lastToken(row) ?? 0),
    );
    device.write(
      state.finished,
      Int32Array.from(rows, (row) => Number(this.log.hasEnded(row))),
    );
  }

  async dispose(): Promise<void> {
    this.isDisposed = true;
    await this.beginning?.catch(() => undefined);
    if (this.stage) this.release(this.stage);
    this.stage = undefined;
  }

  /** The stage of the next steps: the last one, unless rows are to be let go or there is no room for more tokens. */
  private async ready(): Promise<Stage> {
    const old = this.stage;
    const active = this.rows.filter((row) => !this.log.hasEnded(row));
    const full = this.position === (old?.capacity ?? 0);
    if (old && !full && !isWorthDropping(this.rows.length, active.length)) return old;
    const capacity = full
      ? Math.min(this.maxTokens, old ? old.capacity * 2 : FIRST_CAPACITY)
      : (old as Stage).capacity;
    const sources = active.map((row) => this.rows.indexOf(row));
    const caches = old
      ? moveCaches(this.network.device, old.caches, sources, this.position, capacity)
      : createCaches(this.network, active.length, capacity);
    const stage = await (this.beginning = this.begin(active, capacity, caches));
    if (old) this.release(old);
    if (this.isDisposed) {
      this.release(stage);
      throw new HintError('ABORTED', 'The decoding was given up.');
    }
    this.rows = active;
    return (this.stage = stage);
  }

  /** Puts the state of `rows` on the device and records the step that advances it. */
  private async begin(rows: number[], capacity: number, caches: Cache[]): Promise<Stage> {
    const { network, choice } = this;
    const { device } = network;
    const lastTokens = rows.map((row) => this.log.lastToken(row) ?? network.startToken(row));
    const integers = (values: ArrayLike<number>, shape: number[]): Tensor =>
      device.keep(device.tensor(Int32Array.from(values), shape));
    const state: ops.GreedyState = {
      token: integers(lastTokens, [rows.length]),
      finished: integers(new Int32Array(rows.length), [rows.length]),
      tokens: integers(new Int32Array(rows.length * capacity), [rows.length, capacity]),
      position: integers([this.position], [1]),
      stop: integers([0], [1]),
    };
    const drawn =
      choice.kind === 'greedy'
        ? undefined
        : {
            stream: integers(
              rows.flatMap((row) => [...choice.streams.subarray(2 * row, 2 * row + 2)]),
              [rows.length, 2],
            ),
            logProbs: device.keep(device.full([rows.length, capacity], 0)),
          };
    const mask = this.masks && device.keep(device.full([rows.length, this.masks.vocabSize], 0));
    const step = network.begin(rows, this.position);
    function* advance(): Sliced<void> {
      const { token, position } = state;
      const free = yield* step.logits({ token, position, caches });
      const logits = mask ? ops.add(free, mask) : free;
      if (choice.kind === 'greedy' || !drawn) ops.greedy(logits, state, network.eosTokenId);
      else ops.sample(logits, { ...state, ...drawn }, network.eosTokenId, choice);
    }
    const { program } = await device.recordInSlices(device.tidied(advance()));
    return { rows, capacity, caches, state, drawn, mask, step, program };
  }

  private release({ caches, state, drawn, mask, step, program }: Stage): void {
    program.dispose();
    step.dispose();
    disposeCaches(caches);
    mask?.dispose();
    for (const tensor of Object.values({ ...state, ...drawn }) as Tensor[]) tensor.dispose();
  }
}
