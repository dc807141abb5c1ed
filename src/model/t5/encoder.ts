import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { runLayer, type Stream } from '../layers/stream.js';
import { NO_DROPOUT, type DropoutStack } from '../trainable/dropout.js';
import { attendWithin, project } from './attention.js';
import { feedForward } from './feed-forward.js';
import type { LayerPlace, Network, Sequences, StackOptions } from './network.js';
import { addNorm, embed } from './residual.js';

/** How an encoder is run. */
export interface EncoderOptions extends StackOptions {
  /** Names its weights. */
  stack?: 'encoder' | 'hypernetwork.encoder' | undefined;
  masks?: DropoutStack | undefined;
}

/** Tokens → rows after the final norm, [rows, dModel] (method §1.1). */
export function* encode(
  network: Network,
  sequences: Sequences,
  options: EncoderOptions = {},
): Sliced<Tensor> {
  const { stack = 'encoder', masks = 'encoder', tasks, dropout = NO_DROPOUT, backward } = options;
  const { device, config } = network;
  const { offsets } = sequences;
  let stream = embed(network, sequences, dropout, masks);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const at = { stack, layer, slot: layer, offsets, tasks, dropout, masks };
    stream = yield* runLayer(device, stream, backward, (input) => encoderLayer(network, input, at));
    yield;
  }
  const { y } = addNorm(network, stream, `${stack}.final_layer_norm`, offsets);
  // The mask of this dropout is not shared within a sequence, unlike all others (method §1.3).
  return ops.dropout(y, dropout.at(masks, 0, 'final'));
}

/** A layer from top to bottom: norm → self-attention → add and norm → feed-forward with adapter → add (method §1.1, method §2.7). */
function* encoderLayer(network: Network, stream: Stream, at: LayerPlace): Sliced<Stream> {
  const { stack, layer, slot, offsets, tasks, dropout, masks } = at;
  const name = `${stack}.block.${layer}.layer`;
  const attention = `${name}.0.SelfAttention`;

  const first = addNorm(network, stream, `${name}.0.layer_norm`, offsets);
  const q = project(network, first.y, attention, 'q', tasks, slot);
  const k = project(network, first.y, attention, 'k', tasks, slot);
  const v = project(network, first.y, attention, 'v', tasks, slot);
  yield;
  const found = attendWithin(network, q, k, v, at, false);
  const attended = {
    x: first.x,
    delta: project(network, found, attention, 'o', tasks, slot),
    dropout: dropout.at(masks, layer, 'attention-output'),
  };
  yield;

  const second = addNorm(network, attended, `${name}.1.layer_norm`, offsets);
  return { x: second.x, ...(yield* feedForward(network, second.y, `${name}.1`, at)) };
}
