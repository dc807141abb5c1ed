import type { Device } from '../../tensor/device.js';
import type { FloatDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Keys and values of the tokens generated so far in one layer's self-attention, [rows, capacity, width] each. */
export interface Cache {
  /** Of every row and token so far, where the projections of self-attention left them. */
  key: Tensor;
  /** What attention weighs, beside each key. */
  value: Tensor;
}

/** What one decoding step reads; all of it stays in place while a step is replayed. */
export interface StepInputs {
  /** i32 [rows]: the token to feed. */
  token: Tensor;
  /** i32 [1]: tokens generated so far, the place of this step in the caches. */
  position: Tensor;
  /** Per layer. */
  caches: readonly Cache[];
}

/** The tokens that end a sequence: one that native steps stop at, and those of the model's configuration beside it. */
export function endsOf(
  { eosTokenId }: { readonly eosTokenId: number },
  { moreEosTokenIds = [] }: { readonly moreEosTokenIds?: readonly number[] },
): ReadonlySet<number> {
  return new Set([eosTokenId, ...moreEosTokenIds]);
}

/** A decoding step for some of a batch's rows. */
export interface DecodeStep {
  /** Enqueues the step: logits [rows, vocabSize] of the token after the one fed. */
  logits(inputs: StepInputs): Sliced<Tensor>;
  /** Gives back what the step has on the device. */
  dispose(): void;
}

/**
 * What a decode loop drives, whatever the family of the model: the inputs of a batch have been read, and a step feeds
 * one token per row.
 */
export interface DecodeNetwork {
  /** On which its steps run. */
  readonly device: Device;
  /** The token at which native steps let a row rest. */
  readonly eosTokenId: number;
  /** Layers that have a cache, and its width. */
  readonly cacheLayers: number;
  /** Values of a key, and of a value, per token and layer. */
  readonly cacheWidth: number;
  /** Storage of the caches: that of the keys and values that a step makes. */
  readonly cacheDType: FloatDType;
  /** The token fed before the first generated one. */
  startToken(row: number): number;
  /** Most tokens that can be generated for a row; Infinity where the model sets no limit. */
  room(row: number): number;
  /**
   * Prepares steps for `rows` of the batch, each of which has generated `position` tokens; nondecreasing, a row that is
   * decoded in several ways at once comes several times.
   */
  begin(rows: readonly number[], position: number): DecodeStep;
  /** Gives back what the inputs have on the device. */
  dispose(): void;
}
