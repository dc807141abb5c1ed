import type { Device } from '../../tensor/device.js';
import type { DropoutSite } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { runsLayersAgain, type BackwardPlan } from '../memory/backward-plan.js';

/** The residual stream and the block output not yet added to it: adding is fused with the next norm. */
export interface Stream {
  x: Tensor;
  delta: Tensor | undefined;
  /** Dropout of `delta`, applied while adding. */
  dropout: DropoutSite | undefined;
}

/**
 * Runs a layer; what it leaves behind is freed when it returns.
 *
 * @param backward whether layers run again: then only the stream in front of it is kept
 */
export function* runLayer(
  device: Device,
  stream: Stream,
  backward: BackwardPlan | undefined,
  layer: (stream: Stream) => Sliced<Stream>,
): Sliced<Stream> {
  const { tape } = device;
  if (!runsLayersAgain(backward) || !tape) return yield* device.tidied(layer(stream));
  let dropout: Stream['dropout'];
  const inputs = stream.delta ? [stream.x, stream.delta] : [stream.x];
  const [x, delta] = tape.recompute(inputs, (first, second) => {
    const next = device.now(layer({ x: first as Tensor, delta: second, dropout: stream.dropout }));
    dropout = next.dropout;
    return next.delta ? [next.x, next.delta] : [next.x];
  });
  return { x: x as Tensor, delta, dropout };
}
