import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Cache, DecodeNetwork } from '../contract/decode-network.js';
import type { JointRows } from '../contract/family.js';
import { createCaches, disposeCaches, FIRST_CAPACITY, moveCaches } from '../decode/decode-caches.js';
import type { TaskHold } from '../task/task.js';
import { isActive, isWaiting, type Row } from './row.js';

/** Rows of one task that begin together. */
export interface Newcomers {
  /** Kept until the rows have ended; their cohort gives it back. */
  hold: TaskHold;
  rows: Row[];
}

/**
 * Rows of one task that began together, and so have generated equally many tokens: the unit that joins and leaves a
 * running batch. It has the network that has read their inputs, and the caches of what was generated.
 */
export class Cohort {
  /** Tokens generated per row, the place of the next step in the caches. */
  position = 0;
  capacity = 0;
  readonly hold: TaskHold;
  rows: readonly Row[];
  /** Input tokens it keeps the keys and values of. */
  readonly inputTokens: number;
  private caches: Cache[] = [];
  private readonly place: Tensor;
  /** Which row of the network's batch each row is. */
  private places: readonly number[];

  constructor(
    private readonly network: DecodeNetwork,
    { hold, rows }: Newcomers,
  ) {
    const { device } = network;
    this.hold = hold;
    this.rows = rows;
    this.inputTokens = rows.reduce((total, { input }) => total + input.length, 0);
    this.places = rows.map((_, row) => row);
    this.place = device.keep(device.tensor(Int32Array.of(0), [1]));
  }

  get activeRows(): number {
    return this.rows.filter(isActive).length;
  }

  /** Whether it sits out the next step: a row of it does not know yet what it may take. */
  get isWaiting(): boolean {
    return this.rows.some(isWaiting);
  }

  /** Per row the token that the next step feeds. */
  get lastTokens(): number[] {
    return this.rows.map(
      ({ tokens }, i) => tokens.at(-1) ?? this.network.startToken(this.places[i] as number),
    );
  }

  /** What a step reads of it. */
  get jointRows(): JointRows {
    return { network: this.network, rows: this.places, caches: this.caches, position: this.place };
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
    const { network, caches: old } = this;
    this.caches =
      this.position === 0
        ? createCaches(network, active.length, capacity)
        : moveCaches(network.device, old, active, this.position, capacity);
    disposeCaches(old);
    this.places = active.map((i) => this.places[i] as number);
    this.rows = active.map((i) => this.rows[i] as Row);
    this.capacity = capacity;
    return true;
  }

  /** Enqueued at the end of a step. */
  advance(): void {
    ops.increment(this.place);
  }

  dispose(): void {
    disposeCaches(this.caches);
    this.network.dispose();
    this.place.dispose();
    this.hold.release();
  }
}
