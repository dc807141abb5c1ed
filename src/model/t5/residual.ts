import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Stream } from '../layers/stream.js';
import type { DropoutPlan, DropoutStack } from '../trainable/dropout.js';
import type { Network, Sequences } from './network.js';

/** The stream that tokens begin. */
export function embed(
  { weights }: Network,
  { ids, offsets }: Sequences,
  dropout: DropoutPlan,
  masks: DropoutStack,
): Stream {
  const rows = weights.gather(ids, 'shared.weight', weights.streamDtype);
  const x = ops.dropout(rows, dropout.at(masks, 0, 'embedding'), offsets);
  return { x, delta: undefined, dropout: undefined };
}

/** x = the stream with its block output added, f32; y = RMS norm of it. */
export function addNorm(
  { config, weights }: Network,
  stream: Stream,
  norm: string,
  offsets: Int32Array,
): { y: Tensor; x: Tensor } {
  const weight = weights.norm(norm);
  const epsilon = config.layerNormEpsilon;
  const outputDType = weights.computeDtype;
  if (!stream.delta) return { y: ops.rmsNorm(stream.x, weight, epsilon, { outputDType }), x: stream.x };
  const { y, sum } = ops.addRmsNorm(stream.x, stream.delta, weight, epsilon, {
    outputDType,
    seqOffsets: offsets,
    dropout: stream.dropout,
  });
  return { y, x: sum };
}
