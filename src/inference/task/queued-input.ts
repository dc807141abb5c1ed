import type { TokenDecoding } from '../decode/decoding.js';
import type { RowMask } from '../decode/row-masks.js';

/** An input that joins its engine's running batch. */
export interface QueuedInput {
  /** At least one token. */
  readonly input: Int32Array;
  readonly maxTokens: number;
  readonly decoding: TokenDecoding;
  readonly logProbs: boolean;
  /** Two numbers that name the random stream it is drawn from. */
  readonly stream: readonly [number, number];
  /** What its answer is held to. */
  readonly mask?: RowMask | undefined;
  /** Told of each token as it comes; returning true ends the input with this token. */
  readonly watch?: ((token: number, logProb: number | undefined) => boolean) | undefined;
  readonly signal: AbortSignal | undefined;
  /** What to do when as many inputs wait as may: reject with BUSY, or wait for a place. */
  readonly whenFull: 'reject' | 'wait';
}
