import {
  DTYPES,
  NUMBERS_OF_OUTPUT,
  type AttributeValue,
  type DType,
  type NativeCall,
  type NativeDevice,
  type NativeModule,
  type NativeTensor,
} from '../../src/tensor/native.js';

/** What a call of an op has made. */
export interface NativeResult {
  outputs: ({ handle: NativeTensor; shape: number[]; dtype: DType } | null)[];
  /** Where it was saved. */
  call?: NativeCall;
}

/** A native call of the op at a place in the table, with lists of inputs and attributes that may be short. */
export function enqueueOp(
  module: NativeModule,
  device: NativeDevice,
  op: number,
  inputs: readonly (NativeTensor | null)[],
  attributes: readonly (AttributeValue | undefined)[],
  save: boolean | NativeCall = false,
  spares: readonly NativeTensor[] = [],
): NativeResult {
  const spec = module.ops()[op];
  if (!spec) throw new Error(`There is no op ${op}.`);
  const numbers = new Float64Array(spec.outputs.length * NUMBERS_OF_OUTPUT);
  const values = [...padded(inputs, spec.inputs.length), ...padded(attributes, spec.attributes.length)];
  const made = module.enqueue(device, op, save, numbers, ...values, ...spares);
  const unused = [...spares];
  const outputs = spec.outputs.map((_, i) => {
    const [rank, dtype, ...sides] = numbers.subarray(i * NUMBERS_OF_OUTPUT, (i + 1) * NUMBERS_OF_OUTPUT);
    if (rank === -1) return null;
    const spare = unused.shift();
    const handle = (made ? made[i] : spare) as NativeTensor;
    return { handle, shape: sides.slice(0, rank), dtype: DTYPES[dtype as number] as DType };
  });
  if (save === false) return { outputs };
  return { outputs, call: (made ? made.at(-1) : save) as NativeCall };
}

/** The lists of a native backward pass, of an op that has so many outputs and inputs. */
export function gradientValues<T>(
  outputs: number,
  inputs: number,
  gradOutputs: readonly T[],
  gradInputs: readonly T[],
  betas: readonly T[],
): (T | undefined)[] {
  return [...padded(gradOutputs, outputs), ...padded(gradInputs, inputs), ...padded(betas, inputs)];
}

/** At least so many; those that are too many stay, for the call to refuse. */
function padded<T>(values: readonly T[], count: number): (T | undefined)[] {
  return [...values, ...new Array<undefined>(Math.max(0, count - values.length)).fill(undefined)];
}
