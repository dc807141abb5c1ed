import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Stream } from '../layers/stream.js';
import type { DropoutPlan } from '../trainable/dropout.js';
import type { Weights } from '../weights/weights.js';
import type { DecoderOnlyConfig } from './config.js';

/** How a layer's queries reach the keys: all at once, behind a shared instruction, or through caches. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor, layer: number) => Tensor;

/** What the layers are computed with. */
interface Network {
  readonly config: DecoderOnlyConfig;
  readonly weights: Weights;
}

/** A layer and how it is run. */
interface LayerPlace {
  readonly index: number;
  readonly attend: Attend;
  readonly dropout: DropoutPlan;
}

/**
 * A layer from top to bottom: norm → self-attention → add → norm → feed-forward → add. Where the norms stand behind the
 * sums (OPT-350m), {@link enter} passes the stream on as it is and {@link leave} adds and norms.
 */
export function* decoderOnlyLayer(
  network: Network,
  stream: Stream,
  { index, attend, dropout }: LayerPlace,
): Sliced<Stream> {
  const { config, weights } = network;
  const name = `layers.${index}`;
  const linear = (x: Tensor, layer: string, options: { activation?: ops.Activation; alpha?: number } = {}) =>
    weights.multiply(x, layer, { ...options, bias: weights.bias(layer) });

  const first = enter(network, stream, `${name}.attention_norm`);
  const q = linear(first.y, `${name}.q`, { alpha: scoreScale(config, index) });
  const k = linear(first.y, `${name}.k`);
  const v = linear(first.y, `${name}.v`);
  const attended = leave(network, `${name}.attention_norm`, {
    x: first.x,
    delta: linear(attend(q, k, v, index), `${name}.o`),
    dropout: dropout.at('decoder', index, 'attention-output'),
  });
  yield;

  const second = enter(network, attended, `${name}.feed_forward_norm`);
  const hidden = linear(second.y, `${name}.up`, { activation: config.activation });
  return leave(network, `${name}.feed_forward_norm`, {
    x: second.x,
    delta: linear(hidden, `${name}.down`),
    dropout: dropout.at('decoder', index, 'feed-forward-output'),
  });
}

/** x = the stream with its block output added; y = layer norm of it. */
export function addNorm(
  { config, weights }: Network,
  { x, delta, dropout }: Stream,
  norm: string,
): { x: Tensor; y: Tensor } {
  const weight = weights.norm(norm);
  const bias = weights.bias(norm);
  const { layerNormEpsilon } = config;
  const outputDType = weights.computeDtype;
  if (!delta) return { x, y: ops.layerNorm(x, weight, bias, layerNormEpsilon, { outputDType }) };
  const { y, sum } = ops.addLayerNorm(x, delta, weight, bias, layerNormEpsilon, { dropout, outputDType });
  return { x: sum, y };
}

/** What a block reads, y, and what its output is added to, x. */
function enter(network: Network, stream: Stream, norm: string): { x: Tensor; y: Tensor } {
  return network.config.normBefore ? addNorm(network, stream, norm) : { x: stream.x, y: stream.x };
}

/** The stream behind a block. */
function leave(network: Network, norm: string, stream: Stream & { delta: Tensor }): Stream {
  if (network.config.normBefore) return stream;
  return { x: addNorm(network, stream, norm).y, delta: undefined, dropout: undefined };
}

/** Scores are scaled by scaling their queries, which costs nothing. */
function scoreScale(config: DecoderOnlyConfig, layer: number): number {
  const { scaleAttention, scaleAttentionByLayer, dModel, numHeads } = config;
  return (scaleAttention ? Math.sqrt(numHeads / dModel) : 1) / (scaleAttentionByLayer ? layer + 1 : 1);
}
