import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { variantOf } from '../config/variant.js';
import type { Stream } from '../layers/stream.js';
import { addAdapter, hasAdapter } from '../modules/task-modules.js';
import type { LayerPlace, Network } from './network.js';

/**
 * What a feed-forward block adds to the stream: FF(n), or FF(n) + adapter(n) where the tasks have adapters (method §2.7).
 *
 * @param n rows after the block's norm
 * @param name of the block
 */
export function* feedForward(
  network: Network,
  n: Tensor,
  name: string,
  at: LayerPlace,
): Sliced<Pick<Stream, 'delta' | 'dropout'>> {
  const { tasks, slot, offsets } = at;
  const dropout = at.dropout.at(at.masks, at.layer, 'feed-forward-output');
  if (!tasks || !hasAdapter(tasks)) return { delta: yield* denseReluDense(network, n, name, at), dropout };
  // f32, so that neither the feed-forward nor its sum with the adapter's output is rounded.
  const out = yield* denseReluDense(network, n, name, at, { outputDType: 'f32' });
  yield;
  // The adapter branch has no dropout (method §2.7), so the feed-forward's is applied before the two are added.
  const delta = addAdapter(n, ops.dropout(out, dropout, offsets), tasks, slot);
  return { delta, dropout: undefined };
}

/** wo(f(wi_0 n) * wi_1 n), or wo(f(wi n)) where the variant has no gate; f is its activation. */
export function* denseReluDense(
  { config, weights }: Network,
  n: Tensor,
  name: string,
  at: Pick<LayerPlace, 'offsets' | 'layer' | 'dropout' | 'masks'>,
  options?: { outputDType?: ops.FloatDType },
): Sliced<Tensor> {
  const block = `${name}.DenseReluDense`;
  const { activation, gated } = variantOf(config);
  const dropout = at.dropout.at(at.masks, at.layer, 'hidden');
  let hidden: Tensor;
  if (gated) {
    const gate = weights.multiply(n, `${block}.wi_0`);
    yield;
    hidden = ops.gatedActivation(gate, weights.multiply(n, `${block}.wi_1`), {
      activation,
      seqOffsets: at.offsets,
      dropout,
    });
  } else {
    hidden = ops.dropout(weights.multiply(n, `${block}.wi`, { activation }), dropout, at.offsets);
  }
  yield;
  return weights.multiply(hidden, `${block}.wo`, options);
}
