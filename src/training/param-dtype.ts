import type { TrainableModel } from '../model/trainable.js';
import * as ops from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Optimizer } from './optimizer.js';
import type { ParamDtype } from './parameter-groups.js';

/** Enqueues rounding a f32 tensor in place to the nearest bf16 values, ties to even. It stays f32. */
export function roundToBfloat16(tensor: Tensor): void {
  const { device } = tensor;
  device.tidy(() => device.assign(tensor, ops.cast(ops.cast(tensor, 'bf16'), 'f32')));
}

/**
 * What restoring into `paramDtype` does to a model before its first update (method §5.6): a trained parameter is
 * rounded to the dtype of its group, every other one to the run's. Rounding what is rounded already changes nothing, so
 * a resumed run may do it again.
 */
export function roundParameters(model: TrainableModel, optimizer: Optimizer, paramDtype: ParamDtype): void {
  const dtypes = new Map<Tensor, ParamDtype>();
  for (const group of optimizer.groups) {
    for (const parameter of group.parameters.values()) dtypes.set(parameter, group.paramDtype ?? 'f32');
  }
  for (const parameter of model.parameters.all()) {
    if ((dtypes.get(parameter) ?? paramDtype) === 'bf16') roundToBfloat16(parameter);
  }
}
