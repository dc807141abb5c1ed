import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { hasBiasPerLayer } from '../config/variant.js';
import {
  addLora,
  hasPrefix,
  overParts,
  prefixOptions,
  readingModules,
  type TaskRows,
} from '../modules/task-modules.js';
import type { LayerPlace, Network } from './network.js';

/** Keys and values of encoded instructions, once per task, as arguments of attention. */
export interface SharedKeys {
  sharedKey: Tensor;
  sharedValue: Tensor;
  sharedOffsets: Int32Array;
}

/** Projection `which` of an attention block, with its LoRA (method §2.8). */
export function project(
  { weights }: Network,
  x: Tensor,
  block: string,
  which: 'q' | 'k' | 'v' | 'o',
  tasks: TaskRows | undefined,
  slot: number,
): Tensor {
  return addLora(x, weights.multiply(x, `${block}.${which}`), which, tasks, slot);
}

/** A layer's table [buckets, heads]: its own, or that of the first layer, which its stack shares. */
export function relativeBias({ config, weights }: Network, stack: string, layer: number): Tensor {
  const owner = hasBiasPerLayer(config) ? layer : 0;
  return weights.table(`${stack}.block.${owner}.layer.0.SelfAttention.relative_attention_bias.weight`);
}

/** Self-attention of whole sequences over keys in the order [prefix | sequence] (method §2.7). */
export function attendWithin(
  network: Network,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  at: LayerPlace,
  causal: boolean,
): Tensor {
  const { config } = network;
  const { parts } = at.tasks ?? {};
  if (parts && hasPrefix(at.tasks)) {
    return overParts(parts, [q, k, v], ([ownQ, ownK, ownV], tasks, { sequences, rows }) => {
      const offsets = at.offsets.slice(sequences[0], sequences[1] + 1).map((offset) => offset - rows[0]);
      const own = { ...at, tasks, offsets };
      return attendWithin(network, ownQ as Tensor, ownK as Tensor, ownV as Tensor, own, causal);
    });
  }
  return attendBehindPrefix(at.tasks, at.slot, q, k, v, undefined, {
    numHeads: config.numHeads,
    qOffsets: at.offsets,
    kOffsets: at.offsets,
    bias: relativeBias(network, at.stack, at.layer),
    maxDistance: config.relativeAttentionMaxDistance,
    causal,
    dropout: at.dropout.at(at.masks, at.layer, 'attention'),
  });
}

/** Attention behind a slot's prefixes, where there are any, and behind the keys of the task's instruction. */
export function attendBehindPrefix(
  tasks: TaskRows | undefined,
  slot: number,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shared: SharedKeys | undefined,
  options: ops.AttentionOptions,
): Tensor {
  const attend = ([ownQ, ownK, ownV, sharedKey, sharedValue]: Tensor[]): Tensor => {
    const prefix = prefixOptions(tasks, slot);
    return ops.attention(ownQ as Tensor, ownK as Tensor, ownV as Tensor, {
      ...options,
      taskIndex: tasks?.taskIndex,
      prefixKey: prefix.prefixKey,
      prefixValue: prefix.prefixValue,
      slot: prefix.slot,
      sharedKey,
      sharedValue,
      sharedOffsets: shared?.sharedOffsets,
    });
  };
  const inputs = shared ? [q, k, v, shared.sharedKey, shared.sharedValue] : [q, k, v];
  return hasPrefix(tasks) ? readingModules(tasks, inputs, attend) : attend(inputs);
}
