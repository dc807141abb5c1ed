import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Whether computing in bf16 rounds a parameter: not norms, of which there is little to save. */
export function isRounded({ shape }: { shape: readonly number[] }): boolean {
  return shape.length > 1;
}

/** An f32 tensor itself, or the values of a bf16 one. */
export function asFloat32(tensor: Tensor): Tensor {
  return tensor.dtype === 'f32' ? tensor : ops.cast(tensor, 'f32');
}
