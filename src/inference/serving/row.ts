import type * as ops from '../../tensor/ops.js';

/** How the tokens of a row are chosen from its logits. Those of equal keys can be chosen by one op. */
export type RowChoice = { key: string } & ({ kind: 'greedy' } | ({ kind: 'sample' } & ops.SampleAttributes));

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

/** Whether a row is to be decoded further. */
export function isActive({ tokens, maxTokens, finished, dropped }: Row): boolean {
  return !finished && !dropped && tokens.length < maxTokens;
}
