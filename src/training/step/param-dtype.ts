import { isRounded } from '../../model/parameters/dtypes.js';
import { type ParameterStore } from '../../model/parameters/parameter-store.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OptimizerGroup, ParamDType } from './parameter-groups.js';

/** Enqueues rounding a f32 tensor in place to the nearest bf16 values, ties to even. It stays f32. */
function roundToBfloat16(tensor: Tensor): void {
  const { device } = tensor;
  device.tidy(() => device.assign(tensor, ops.cast(ops.cast(tensor, 'bf16'), 'f32')));
}

/**
 * What restoring into `paramDtype` does to a model before its first update (method §5.6): a trained parameter is kept
 * in the dtype of its group, every other one in the run's. In bf16, vectors are stored as f32 and only rounded. To the
 * nearest, whatever updates are: rounding what is rounded already changes nothing, so a resumed run may do it again.
 *
 * @returns the groups with the tensors that are kept
 */
export function* keepParameters(
  parameters: ParameterStore,
  groups: readonly OptimizerGroup[],
  paramDtype: ParamDType,
): Sliced<OptimizerGroup[]> {
  const dtypes = new Map<string, ParamDType>();
  for (const group of groups) {
    for (const name of group.parameters.keys()) dtypes.set(name, group.paramDtype ?? 'f32');
  }
  for (const [name, tensor] of parameters.storedEntries()) {
    const dtype = dtypes.get(name) ?? paramDtype;
    const isNarrow = dtype === 'bf16' && isRounded(tensor);
    parameters.hold(name, isNarrow ? 'bf16' : 'f32');
    if (dtype === 'bf16' && !isNarrow) roundToBfloat16(parameters.stored(name));
    yield;
  }
  const kept = (names: Iterable<string>): Map<string, Tensor> =>
    new Map([...names].map((name) => [name, parameters.stored(name)]));
  return groups.map((group) => ({ ...group, parameters: kept(group.parameters.keys()) }));
}
