import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { decoderSlot } from '../modules/slots.js';
import { runLayer, type Stream } from '../layers/stream.js';
import { NO_DROPOUT } from '../trainable/dropout.js';
import { attendWithin, project } from './attention.js';
import { attendCaches, attendInputs, attendMemory, type DecoderKeys } from './decoder-keys.js';
import { feedForward } from './feed-forward.js';
import type { LayerPlace, Network, Sequences, StackOptions } from './network.js';
import { addNorm, embed } from './residual.js';

/** Decoder input tokens → rows after the final norm, [rows, dModel] (method §1.1). */
export function* decode(
  network: Network,
  sequences: Sequences,
  keys: DecoderKeys,
  options: StackOptions = {},
): Sliced<Tensor> {
  const { tasks, dropout = NO_DROPOUT, backward } = options;
  const { device, config } = network;
  const { offsets } = sequences;
  const [stack, masks] = ['decoder', 'decoder'] as const;
  let stream = embed(network, sequences, dropout, masks);
  for (let layer = 0; layer < config.numDecoderLayers; layer++) {
    const at = { stack, layer, slot: decoderSlot(config, layer), offsets, tasks, dropout, masks };
    stream = yield* runLayer(device, stream, backward, (input) => decoderLayer(network, input, keys, at));
    yield;
  }
  const { y } = addNorm(network, stream, 'decoder.final_layer_norm', offsets);
  return ops.dropout(y, dropout.at(masks, 0, 'final'), offsets);
}

/**
 * A layer from top to bottom: norm → self-attention → add and norm → cross-attention → add and norm → feed-forward with
 * adapter → add (method §1.1, method §2.6, method §2.7).
 */
function* decoderLayer(network: Network, stream: Stream, keys: DecoderKeys, at: LayerPlace): Sliced<Stream> {
  const { layer, slot, offsets, tasks, dropout, masks } = at;
  const name = `decoder.block.${layer}.layer`;
  const attention = `${name}.0.SelfAttention`;
  const cross = `${name}.1.EncDecAttention`;
  const crossSlot = slot + 1;

  const first = addNorm(network, stream, `${name}.0.layer_norm`, offsets);
  const q = project(network, first.y, attention, 'q', tasks, slot);
  const k = project(network, first.y, attention, 'k', tasks, slot);
  const v = project(network, first.y, attention, 'v', tasks, slot);
  const own =
    keys.kind === 'sequences'
      ? attendWithin(network, q, k, v, at, true)
      : attendCaches(network, q, k, v, keys.parts, layer);
  const attended = {
    x: first.x,
    delta: project(network, own, attention, 'o', tasks, slot),
    dropout: dropout.at(masks, layer, 'attention-output'),
  };
  yield;

  const second = addNorm(network, attended, `${name}.1.layer_norm`, offsets);
  const asked = project(network, second.y, cross, 'q', tasks, crossSlot);
  const found =
    keys.kind === 'sequences'
      ? attendMemory(network, asked, keys.memory, at)
      : attendInputs(network, asked, keys.parts, layer);
  const crossed = {
    x: second.x,
    delta: project(network, found, cross, 'o', tasks, crossSlot),
    dropout: dropout.at(masks, layer, 'cross-attention-output'),
  };
  yield;

  const third = addNorm(network, crossed, `${name}.2.layer_norm`, offsets);
  return { x: third.x, ...(yield* feedForward(network, third.y, `${name}.2`, at)) };
}
