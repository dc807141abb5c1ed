/**
 * hint-engine/tensor: what models are computed with. Devices, tensors, the ops on them and the tape that differentiates them.
 *
 * @example
 * ```ts
 * import { Device, Gradients, ops, Tape } from 'hint-engine/tensor';
 *
 * const device = new Device();
 * const x = device.tensor(Float32Array.of(1, 2, 3), [3]);
 * const tape = new Tape(device, [x]);
 * const gradients = new Gradients(device);
 * tape.backward([tape.run(() => ops.sum(ops.scale(x, 3)))], gradients);
 * console.log(await gradients.get(x)?.read()); // [3, 3, 3]
 * ```
 *
 * @packageDocumentation
 */
export { Device, opTable, type DeviceOptions } from './device.js';
export type { Sliced } from './slices.js';
export { Tensor } from './tensor.js';
export { Gradients, Tape } from './tape.js';
export * as ops from './ops.js';
export type { ArgumentSpec, AttributeValue, DeviceStatistics, DType, OpSpec, TypedArray } from './native.js';
