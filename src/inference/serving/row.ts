import type * as ops from '../../tensor/ops.js';
import type { NextMask } from './next-mask.js';

/** How the tokens of a row are chosen from its logits. Those of equal keys can be chosen by one op. */
export type RowChoice = { key: string } & ({ kind: 'greedy' } | ({ kind: 'sample' } & ops.SampleAttributes));

/** One input while it is decoded. */
export interface Row {
  readonly input: Int32Array;
  readonly maxTokens: number;
  readonly choice: RowChoice;
  /** Two numbers that name the random stream it is drawn from. */
  readonly stream: readonly [number, number];
  /** Of a constrained answer: what it may take. */
  readonly mask?: NextMask | undefined;
  /** Told of each token; returning true ends the row with it. */
  readonly watch?: ((token: number, logProb: number | undefined) => boolean) | undefined;
  /** How many tokens the watch was told of, also before a failure after which the row began again. */
  told: number;
  /** The number of tokens at which the watch ended it. */
  endsAt: number | undefined;
  /** What was generated so far; log-probabilities only where they are drawn or asked for. */
  tokens: number[];
  logProbs: number[];
  /** Whether the model, or its watch, ended it. */
  finished: boolean;
  /** Whether nobody waits for it any more. */
  dropped: boolean;
}

/** Adds a token to a row, and tells its watch unless that knows it already. */
export function addToken(row: Row, token: number, logProb: number | undefined, endsRow: boolean): void {
  row.tokens.push(token);
  if (logProb !== undefined) row.logProbs.push(logProb);
  const count = row.tokens.length;
  if (row.watch && count > row.told) {
    row.told = count;
    if (row.watch(token, logProb)) row.endsAt = count;
  }
  row.finished = endsRow || count === row.endsAt;
}

/** Whether a row is to be decoded further. */
export function isActive({ tokens, maxTokens, finished, dropped, mask }: Row): boolean {
  return !finished && !dropped && tokens.length < maxTokens && mask?.failure === undefined;
}

/** Whether a row waits for what it may take next. */
export function isWaiting(row: Row): boolean {
  return isActive(row) && row.mask !== undefined && !row.mask.isReady;
}
