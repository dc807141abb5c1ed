import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { project } from '../t5/attention.js';
import { denseReluDense } from '../t5/feed-forward.js';
import type { Network } from '../t5/network.js';
import { addNorm } from '../t5/residual.js';
import type { DropoutPlan } from '../trainable/dropout.js';

/** An attention's keys and values of the encoded instructions, [rows, attention width] each. */
export interface InstructionKeys {
  key: Tensor;
  value: Tensor;
}

/** The decoder generator (method §3.4): embeddings through T5 decoder layers without self-attention. */
export function* hyperdecode(
  network: Network,
  embeddings: Tensor,
  offsets: Int32Array,
  keys: readonly InstructionKeys[],
  dropout: DropoutPlan,
): Sliced<Tensor> {
  const count = embeddings.shape[0] as number;
  const tasks = offsets.length - 1;
  const { device, config } = network;
  const repeated = Int32Array.from({ length: tasks * count }, (_, i) => i % count);
  const taskOffsets = Int32Array.from({ length: tasks + 1 }, (_, task) => task * count);
  let x = ops.embedding(device.tensor(repeated, [repeated.length]), embeddings);
  let delta: Tensor | undefined;
  let pending: ReturnType<DropoutPlan['at']>;
  const masks = 'hyperdecoder' as const;
  for (let j = 0; j < config.numDecoderLayers; j++) {
    const layer = `hypernetwork.decoder.block.${j}.layer`;
    const block = hyperdecoderBlock(j);
    const { key, value } = keys[j] as InstructionKeys;
    const attended = addNorm(network, { x, delta, dropout: pending }, `${layer}.1.layer_norm`, taskOffsets);
    const o = ops.attention(project(network, attended.y, block, 'q', undefined, 0), key, value, {
      numHeads: config.numHeads,
      qOffsets: taskOffsets,
      kOffsets: offsets,
      dropout: dropout.at(masks, j, 'cross-attention'),
    });
    const fed = addNorm(
      network,
      {
        x: attended.x,
        delta: project(network, o, block, 'o', undefined, 0),
        dropout: dropout.at(masks, j, 'cross-attention-output'),
      },
      `${layer}.2.layer_norm`,
      taskOffsets,
    );
    x = fed.x;
    delta = yield* denseReluDense(network, fed.y, `${layer}.2`, {
      offsets: taskOffsets,
      layer: j,
      dropout,
      masks,
    });
    pending = dropout.at(masks, j, 'feed-forward-output');
    yield;
  }
  const { y } = addNorm(
    network,
    { x, delta, dropout: pending },
    'hypernetwork.decoder.final_layer_norm',
    taskOffsets,
  );
  return ops.dropout(y, dropout.at(masks, 0, 'final'), taskOffsets);
}

/** Name of the cross-attention of one of its layers. */
export function hyperdecoderBlock(layer: number): string {
  return `hypernetwork.decoder.block.${layer}.layer.1.EncDecAttention`;
}
