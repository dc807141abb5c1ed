import type { PackedMatrix } from '../../tensor/ops.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';

/**
 * Matrices of a module in 8 bits, as a file can hold them: what packed ones are in the machine's order, in their own.
 * An element is step · scale of its column · factor of its row; see native/math/quantize.h.
 */
export interface QuantizedModule {
  /** A tensor per slot, f32 [dIn, dOut], of whole numbers from -127 to 127. */
  readonly steps: readonly Tensor[];
  /** f32 [1, slots, dOut]; the task's own. */
  readonly scale: Tensor;
  /** f32 [1, slots, dIn]; the task's own. */
  readonly rowFactor: Tensor;
}

type QuantizedMatrix = PackedMatrix & { readonly scale: Tensor; readonly rowFactor: Tensor };

/** Whether a module is held in 8 bits; processors without AVX-512 hold f32 whatever is asked for. */
export function isQuantized(packed: PackedMatrix | undefined): packed is QuantizedMatrix {
  return packed?.scale !== undefined;
}

/**
 * Brings quantised matrices back from the machine's order, exactly: rows of the identity, times matrices whose scales are
 * left out, are the matrices' steps up to rounding in f32.
 *
 * @param shape [1, slots, dIn, dOut]
 */
export function* unpacked(packed: QuantizedMatrix, shape: readonly number[]): Sliced<QuantizedModule> {
  const [, slots, dIn, dOut] = shape as [number, number, number, number];
  const { device } = packed.tensor;
  const { scale, rowFactor } = packed;
  const identity = new Float32Array(dIn * dIn);
  for (let i = 0; i < dIn; i++) identity[i * dIn + i] = 1;
  const rows = device.tensor(identity, [dIn, dIn]);
  const plain: PackedMatrix = {
    ...packed,
    scale: device.full([1, slots, dOut], 1),
    rowFactor: device.full([1, slots, dIn], 1),
  };
  const steps: Tensor[] = [];
  for (let slot = 0; slot < slots; slot++) {
    steps.push(ops.packedLinear(rows, plain, { slot }));
    yield;
  }
  return { steps, scale, rowFactor };
}

/**
 * Packs the steps of {@link unpacked}, so that products are the same to the last bit. What it is given belongs to the result,
 * or is given back.
 *
 * @param steps f32 or bf16 [1, slots, dIn, dOut]
 * @returns undefined where this machine would not hold just these steps
 */
export async function packedSteps(
  steps: Tensor,
  scale: Tensor,
  rowFactor: Tensor,
): Promise<PackedMatrix | undefined> {
  const packed = ops.packWeight(steps, 'int8');
  steps.dispose();
  try {
    // Columns have a largest step of 127, so that packing gives them a step of 1, unless it finds rows far from the median.
    const own = [packed.scale, packed.rowFactor].flatMap((tensor) => tensor ?? []);
    const values = await Promise.all(own.map((tensor) => tensor.read()));
    for (const tensor of own) tensor.dispose();
    if (isQuantized(packed) && values.every((each) => each.every((value) => value === 1 || value === 0)))
      return { ...packed, scale, rowFactor };
  } catch (error) {
    for (const tensor of [...ops.packedTensors(packed), scale, rowFactor]) tensor.dispose();
    throw error;
  }
  for (const tensor of [...ops.packedTensors(packed), scale, rowFactor]) tensor.dispose();
  return undefined;
}
