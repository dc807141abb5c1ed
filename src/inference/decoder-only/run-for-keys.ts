import type { Ragged } from '../../data/batch.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import type { Attend } from '../../model/decoder-only/layer.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Keys and values of tokens that were run already, in one layer. */
export interface Keys {
  key: Tensor;
  value: Tensor;
}

/**
 * Runs sequences, in slices, to keep the keys and values of every layer, behind those of their tasks' instructions. The
 * caller owns the result.
 *
 * @param first per sequence the position of its first token
 */
export function runForKeys(
  model: DecoderOnlyModel,
  sequences: Ragged,
  first: ArrayLike<number> | undefined,
  instructions: { shared: readonly SharedKeys[]; taskIndex: Int32Array } | undefined,
): Promise<Keys[]> {
  const { device, config } = model;
  function* run(): Sliced<Keys[]> {
    const kept: Keys[] = [];
    const attend: Attend = (q, k, v, layer) => {
      kept[layer] = { key: device.keep(k), value: device.keep(v) };
      return ops.attention(q, k, v, {
        numHeads: config.numHeads,
        qOffsets: sequences.offsets,
        kOffsets: sequences.offsets,
        causal: true,
        ...instructions?.shared[layer],
        ...(instructions ? { taskIndex: instructions.taskIndex } : {}),
      });
    };
    yield* model.run(model.place(sequences, first), attend);
    return kept;
  }
  return device.inSlices(device.tidied(run()));
}
