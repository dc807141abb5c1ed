import type { Device, Program } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { AnyModel } from '../../model/family.js';
import type { Tensor } from '../../tensor/tensor.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { endsOf } from '../contract/decode-network.js';
import type { Cohort } from './cohort.js';
import { addToken, isActive, type Row, type RowChoice } from './row.js';

/** Most steps replayed natively before newcomers can join and ended rows leave. */
export const MOST_STEPS = 16;

/** Rows side by side whose tokens one op chooses: drawing needs rows of one age and one distribution. */
interface Stretch {
  choice: RowChoice;
  rows: Row[];
  /** Its rows, [begin, end) of the batch's. */
  range: readonly [number, number];
  /** Of `state.tokens`, the columns there are and the first that is not written yet. */
  capacity: number;
  position: number;
  state: ops.GreedyState;
  drawn: { stream: Tensor; logProbs: Tensor } | undefined;
  /** Of constrained rows: f32 [rows, vocabSize], added to the logits. */
  mask: Tensor | undefined;
}

/** The last tokens of a batch's rows on the device, and how the next ones are chosen. */
export class RowChoices {
  /** i32 [rows]: what the next step reads. */
  readonly token: Tensor;
  private readonly finished: Tensor;
  private readonly ends: ReadonlySet<number>;
  private readonly stretches: Stretch[];

  constructor(
    private readonly device: Device,
    cohorts: readonly Cohort[],
    private readonly config: AnyModel['config'],
  ) {
    this.ends = endsOf(config, config);
    const rows = cohorts.flatMap((cohort) => cohort.rows);
    this.token = this.integers(cohorts.flatMap((cohort) => cohort.lastTokens));
    this.finished = this.integers(rows.map((row) => (isActive(row) ? 0 : 1)));
    this.stretches = this.makeStretches(cohorts);
  }

  /** Enqueues choosing the next token of every row. */
  choose(logits: Tensor): void {
    for (const { choice, range, state, drawn, mask } of this.stretches) {
      const free = this.stretches.length === 1 ? logits : logits.narrow(...range);
      const own = mask ? ops.add(free, mask) : free;
      if (choice.kind === 'greedy' || !drawn) ops.greedy(own, state, this.config.eosTokenId);
      else ops.sample(own, { ...state, ...drawn }, this.config.eosTokenId, choice);
    }
  }

  /** Most steps that can be replayed before constrained rows have to be told what to take. */
  get mostSteps(): number {
    return this.stretches.some(({ mask, rows }) => mask && rows.some(isActive)) ? 1 : MOST_STEPS;
  }

  /** Runs a recorded step that ends in {@link choose} some times, and gives the rows their tokens. */
  async replay(program: Program, steps: number): Promise<void> {
    for (const stretch of this.stretches) {
      if (stretch.choice.kind === 'sample') continue;
      this.device.write(stretch.state.position, Int32Array.of(0));
      stretch.position = 0;
    }
    for (const stretch of this.stretches) this.writeMasks(stretch);
    // A stop flag says that one stretch has ended; the others may go on, and so may a row whose end was none.
    const [only] = this.stretches;
    program.replay(steps, this.stretches.length === 1 && !only?.mask ? only?.state.stop : undefined);
    // All of them before any is told: after a command that failed, what the others hold may not be written.
    const read = await Promise.all(
      this.stretches.map(({ state, drawn }) =>
        Promise.all([state.tokens.readIntegers(), drawn?.logProbs.read()]),
      ),
    );
    const breathe = createYielder();
    for (const [i, stretch] of this.stretches.entries()) {
      const [tokens, logProbs] = read[i] as (typeof read)[number];
      await this.deliver(stretch, steps, tokens, logProbs, breathe);
      if (stretch.mask) this.correct(stretch);
    }
  }

  dispose(): void {
    for (const { state, drawn, mask } of this.stretches) {
      for (const tensor of Object.values({ ...state, ...drawn }) as Tensor[]) tensor.dispose();
      mask?.dispose();
    }
    this.token.dispose();
    this.finished.dispose();
  }

  private async deliver(
    stretch: Stretch,
    steps: number,
    tokens: Int32Array,
    logProbs: Float32Array | undefined,
    breathe: () => Promise<void> | undefined,
  ): Promise<void> {
    const { rows, capacity } = stretch;
    for (const [i, row] of rows.entries()) {
      const pause = breathe();
      if (pause) await pause;
      const first = i * capacity + stretch.position;
      for (let at = first; at < first + steps && isActive(row); at++) {
        const token = row.mask?.chosen(tokens[at] as number) ?? (tokens[at] as number);
        addToken(row, token, logProbs?.[at], this.ends.has(token));
      }
    }
    stretch.position += steps;
  }

  /** Puts on the device what constrained rows may take in the next step. */
  private writeMasks({ rows, mask }: Stretch): void {
    if (!mask) return;
    for (const [i, row] of rows.entries())
      if (isActive(row) && row.mask?.values)
        this.device.write(mask, row.mask.values, i * this.config.vocabSize * 4);
  }

  /** Tokens that took the place of others, and ends that were none, as the device is to know them. */
  private correct({ rows, state }: Stretch): void {
    this.device.write(
      state.token,
      Int32Array.from(rows, ({ tokens }) => tokens.at(-1) ?? 0),
    );
    this.device.write(
      state.finished,
      Int32Array.from(rows, (row) => (isActive(row) ? 0 : 1)),
    );
  }

  private makeStretches(cohorts: readonly Cohort[]): Stretch[] {
    const parts: Pick<Stretch, 'choice' | 'rows' | 'capacity' | 'position'>[] = [];
    for (const cohort of cohorts) {
      let isNew = true;
      for (const row of cohort.rows) {
        const last = parts.at(-1);
        const drawn = row.choice.kind === 'sample';
        if (last?.choice.key === row.choice.key && !(drawn && isNew)) last.rows.push(row);
        else {
          const [capacity, position] = drawn ? [cohort.capacity, cohort.position] : [MOST_STEPS, 0];
          parts.push({ choice: row.choice, rows: [row], capacity, position });
        }
        isNew = false;
      }
    }
    let end = 0;
    return parts.map((part): Stretch => {
      const { choice, rows, capacity, position } = part;
      const range = [end, (end += rows.length)] as const;
      const state = {
        token: this.device.keep(this.token.narrow(...range)),
        finished: this.device.keep(this.finished.narrow(...range)),
        tokens: this.integers(new Int32Array(rows.length * capacity), [rows.length, capacity]),
        position: this.integers([position]),
        stop: this.integers([0]),
      };
      const isMasked = rows.some((row) => row.mask);
      const mask = isMasked
        ? this.device.keep(this.device.full([rows.length, this.config.vocabSize], 0))
        : undefined;
      if (choice.kind === 'greedy') return { ...part, range, state, mask, drawn: undefined };
      const stream = this.integers(
        rows.flatMap((row) => row.stream),
        [rows.length, 2],
      );
      const logProbs = this.device.keep(this.device.full([rows.length, capacity], 0));
      return { ...part, range, state, mask, drawn: { stream, logProbs } };
    });
  }

  private integers(values: number[] | Int32Array, shape: readonly number[] = [values.length]): Tensor {
    return this.device.keep(this.device.tensor(Int32Array.from(values), shape));
  }
}
