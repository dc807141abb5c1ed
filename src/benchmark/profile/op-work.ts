import type { AttributeValue, DType } from '../../tensor/native.js';
import { opEntry } from '../../tensor/op-entry.js';
import { ELEMENT_BYTES, type Tensor } from '../../tensor/tensor.js';

type Tensors = readonly (Tensor | null | undefined)[];
type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** The work of a call, independent of its implementation. */
export interface Work {
  readonly flops: number;
  /** The fewest bytes read and written: every argument once, of arguments with slots one slot. */
  readonly bytes: number;
}

/** A call of an op, as work and as what its backward pass needs to know. */
export interface DescribedCall {
  readonly op: string;
  /** The dtype of the products: that of the packed matrix, otherwise that of the first input. */
  readonly dtype: DType;
  readonly work: Work;
  /** The same of the backward pass, by which inputs want a gradient and to which it is added. */
  backward(wants: readonly boolean[], betas: readonly number[]): Work;
}

/** Describes a call from its shapes, as the op's native declaration counts it. */
export function describeCall(
  name: string,
  inputs: Tensors,
  outputs: Tensors,
  attributes: Attributes,
): DescribedCall {
  const { spec, inputIndex } = opEntry(name);
  const input = (argument: string): Tensor | null => inputs[inputIndex.get(argument) ?? -1] ?? null;
  const flops = forwardFlops(name, input, outputs[0] ?? null, attributes);
  const used = (tensor: Tensor | null | undefined, shape: string): number => {
    if (!tensor) return 0;
    const place = shape.split(' ').indexOf('slots');
    return sizeOf(tensor) / Math.max(1, place < 0 ? 1 : (tensor.shape[place] ?? 1));
  };
  const inputBytes = spec.inputs.map(({ shape }, i) => used(inputs[i], shape));
  const outputBytes = spec.outputs.map(({ shape }, i) => used(outputs[i], shape));
  return {
    op: name,
    dtype: (input('packed') ?? inputs.find((tensor) => tensor))?.dtype ?? 'f32',
    work: { flops, bytes: ownBytes(name, input, outputs[0] ?? null) ?? sum(inputBytes) + sum(outputBytes) },
    backward: (wants, betas) => ({
      flops: flops * backwardFactor(name, wants),
      bytes: sum([
        ...inputBytes.filter((_, i) => spec.inputs[i]?.saved),
        ...outputBytes.filter((_, i) => spec.outputs[i]?.saved),
        // Gradients of outputs are as large as these, those of inputs too.
        ...outputBytes.filter((_, i) => spec.outputs[i]?.differentiable),
        ...inputBytes.map((bytes, i) => (wants[i] ? bytes * (betas[i] ? 2 : 1) : 0)),
      ]),
    }),
  };
}

/** Bytes of ops that do not move all arguments; undefined for the others. */
function ownBytes(
  name: string,
  input: (argument: string) => Tensor | null,
  output: Tensor | null,
): number | undefined {
  const [table, x, packed] = [input('table'), input('x'), input('packed')];
  // Rows are read, not the whole table.
  if (name === 'embedding' && table && output)
    return output.size * ELEMENT_BYTES[table.dtype] + sizeOf(output);
  // A matrix has so many values, however many slots and groups of rows there are.
  if (name === 'packed_linear' && x && packed && output)
    return (
      sizeOf(packed) / Math.max(1, packed.shape[1] ?? 1) +
      sizeOf(x) +
      sizeOf(output) * (input('residual') ? 2 : 1)
    );
  const parameter = input('parameter');
  // The step depends on sums over all values: parameters and gradients are read again, and what is changed is written.
  if (name === 'adafactor' && parameter) return 6 * sizeOf(parameter);
  if (name === 'adamw' && parameter) return 7 * sizeOf(parameter);
  return undefined;
}

function forwardFlops(
  name: string,
  input: (argument: string) => Tensor | null,
  output: Tensor | null,
  attributes: Attributes,
): number {
  const columns = output?.shape.at(-1) ?? 0;
  switch (name) {
    case 'linear':
    case 'packed_linear':
    case 'grouped_linear':
      return 2 * (input('x')?.size ?? 0) * columns;
    case 'cross_entropy':
      return 2 * (input('hidden')?.size ?? 0) * (input('weight')?.shape[0] ?? 0);
    case 'attention':
      return 4 * widthOf(input('q')) * attendedPairs(input, attributes);
    case 'decode_attention':
      return 4 * widthOf(input('q')) * decodedPairs(input, attributes);
    default:
      return 0;
  }
}

/** Pairs of a query and a key, in all sequences. */
function attendedPairs(input: (argument: string) => Tensor | null, attributes: Attributes): number {
  const [q, k] = [listOf(attributes, 'qOffsets'), listOf(attributes, 'kOffsets')];
  const prefix = input('prefixKey')?.shape[2] ?? 0;
  const shared = sharedKeys(input('sharedKey'), listOf(attributes, 'sharedOffsets'));
  const tasks = listOf(attributes, 'taskIndex');
  const queriesOfAll = attributes['sharedQueries'] ? (input('q')?.shape[0] ?? 0) : undefined;
  let pairs = 0;
  for (let i = 0; i + 1 < k.length; i++) {
    const queries = queriesOfAll ?? (q[i + 1] ?? 0) - (q[i] ?? 0);
    const keys = (k[i + 1] ?? 0) - (k[i] ?? 0);
    const growing = Math.min(queries, keys);
    pairs += queries * (prefix + shared(tasks[i] ?? 0));
    pairs += attributes['causal']
      ? (growing * (growing + 1)) / 2 + (queries - growing) * keys
      : queries * keys;
  }
  return pairs;
}

/** Only the device knows the position, so half the cache counts: the mean over a decode that fills it. */
function decodedPairs(input: (argument: string) => Tensor | null, attributes: Attributes): number {
  const rows = input('q')?.shape[0] ?? 0;
  const cache = ((input('keyCache')?.shape[1] ?? 0) + 1) / 2;
  const prefix = input('prefixKey')?.shape[2] ?? 0;
  const shared = sharedKeys(input('sharedKey'), listOf(attributes, 'sharedOffsets'));
  const context = sharedKeys(input('contextKey'), listOf(attributes, 'contextOffsets'));
  const [tasks, contexts] = [listOf(attributes, 'taskIndex'), listOf(attributes, 'contextIndex')];
  let pairs = 0;
  for (let row = 0; row < rows; row++)
    pairs += cache + prefix + shared(tasks[row] ?? 0) + context(contexts[row] ?? 0);
  return pairs;
}

/** @returns by number of a segment its rows; without offsets all are one segment's */
function sharedKeys(keys: Tensor | null, offsets: ArrayLike<number>): (segment: number) => number {
  if (!keys) return () => 0;
  if (offsets.length === 0) return () => keys.shape[0] ?? 0;
  return (segment) => (offsets[segment + 1] ?? 0) - (offsets[segment] ?? 0);
}

/** Backward FLOPs divided by forward FLOPs. */
function backwardFactor(name: string, wants: readonly boolean[]): number {
  const products = Number(wants[0] ?? false) + Number(wants[1] ?? false);
  if (name === 'linear' || name === 'grouped_linear') return products;
  // The logits are computed again.
  return name === 'cross_entropy' ? 1 + products : 2;
}

function listOf(attributes: Attributes, name: string): ArrayLike<number> {
  const value = attributes[name];
  return value instanceof Int32Array ? value : [];
}

function widthOf(tensor: Tensor | null): number {
  return tensor?.shape.at(-1) ?? 0;
}

function sizeOf(tensor: Tensor): number {
  return tensor.size * ELEMENT_BYTES[tensor.dtype];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
