import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { asFloat32 } from './dtypes.js';

/** What a fingerprint knows of a tensor. */
export interface TensorSummary {
  /** Its square norm. */
  total: Tensor;
  /** Its first values, in f32. */
  head: Tensor;
}

/** Enqueues rounding a parameter to bf16, and the summary of what it was; `wide` goes. */
export function roundParameter(wide: Tensor): { tensor: Tensor; summary: TensorSummary } {
  const { device } = wide;
  const tensor = device.keep(ops.cast(wide, 'bf16'));
  const summary = summaryOf(wide);
  wide.dispose();
  return { tensor, summary };
}

/** Enqueues a tensor's summary, which its maker disposes. */
export function summaryOf(tensor: Tensor): TensorSummary {
  const { device } = tensor;
  return device.tidy(() => {
    const total = device.full([1], 0);
    ops.addSquareNorm(asFloat32(tensor), total);
    // A copy: a window would keep all of the tensor.
    const head = ops.cast(tensor.reshape([tensor.size]).narrow(0, Math.min(256, tensor.size)), 'f32');
    return { total, head };
  });
}
