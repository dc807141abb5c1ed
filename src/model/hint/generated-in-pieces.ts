import type { Device } from '../../tensor/device.js';
import type { Activation } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { GeneratorLayers } from '../weights/weights.js';

/** Of each layer of a generator that are enqueued at once: 10 to 30 milliseconds of two cores. */
const PIECE_MULTIPLY_ADDS = 2 ** 31;

/**
 * What a generator makes of vectors, some of them at a time: whoever is in a hurry waits for these alone, and of what lies between its layers
 * there is no more. No gradient flows back.
 *
 * @param outputs what it makes of one vector
 */
export function* generatedInPieces(
  device: Device,
  layers: Pick<GeneratorLayers, 'first' | 'second'>,
  z: Tensor,
  activation: Activation,
  outputs: number,
): Sliced<Tensor> {
  const [rows, width] = z.shape as [number, number];
  const most = Math.max(1, Math.floor(PIECE_MULTIPLY_ADDS / (width * Math.max(width, outputs))));
  const piece = function* (vectors: Tensor): Sliced<Tensor> {
    const hidden = layers.first(vectors, activation);
    yield;
    return layers.second(hidden);
  };
  if (rows <= most) return yield* piece(z);
  // Of about one length, so that none is much shorter.
  const length = Math.ceil(rows / Math.ceil(rows / most));
  let whole: Tensor | undefined;
  for (let begin = 0; begin < rows; begin += length) {
    const end = Math.min(begin + length, rows);
    const made = yield* device.tidied(piece(z.narrow(begin, end)));
    whole ??= device.tensor(null, [rows, outputs], made.dtype);
    device.assign(whole.narrow(begin, end), made);
    made.dispose();
    yield;
  }
  return whole as Tensor;
}
