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
    for (const { choice, range, state, drawn } of this.stretches) {
      const own = this.stretches.length === 1 ? logits : logits.narrow(...range);
      if (choice.kind === 'greedy' || !drawn) ops.greedy(own, state, this.config.eosTokenId);
      else ops.sample(own, { ...state, ...drawn }, this.config.eosTokenId, choice);
    }
  }

  /** Runs a recorded step that ends in {@link choose} some times, and gives the rows their tokens. */
  async replay(program: Program, steps: number): Promise<void> {
    for (const stretch of this.stretches) {
      if (stretch.choice.kind === 'sample') continue;
      this.device.write(stretch.state.position, Int32Array.of(0));
      stretch.position = 0;
    }
    // A stop flag says that one stretch has ended; the others may go on.
    program.replay(steps, this.stretches.length === 1 ? this.stretches[0]?.state.stop : undefined);
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
    }
  }

  dispose(): void {
    for (const { state, drawn } of this.stretches) {
      for (const tensor of Object.values({ ...state, ...drawn }) as Tensor[]) tensor.dispose();
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
        const token = tokens[at] as number;
        addToken(row, token, logProbs?.[at], this.ends.has(token));
      }
    }
    stretch.position += steps;
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
      if (choice.kind === 'greedy') return { ...part, range, state, drawn: undefined };
      const stream = this.integers(
        rows.flatMap((row) => row.stream),
        [rows.length, 2],
      );
      const logProbs = this.device.keep(this.device.full([rows.length, capacity], 0));
      return { ...part, range, state, drawn: { stream, logProbs } };
    });
  }

  private integers(values: number[] | Int32Array, shape: readonly number[] = [values.length]): Tensor {
    return this.device.keep(this.device.tensor(Int32Array.from(values), shape));
  }
}
