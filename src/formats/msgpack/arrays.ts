import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { allocate, type ByteFile } from '../weights/byte-file.js';
import { DTYPE_BYTES, elementCount, type SafetensorsDType } from '../weights/dtypes.js';
import { isContiguous, readStrided, rowMajor } from '../weights/strided.js';
import { invalidWeights, type TensorReader } from '../weights/weight-file.js';
import { ScannedArray, type ScannedMap, type ScannedValue } from './scan.js';

const CHUNKED = '__msgpack_chunked_array__';

/** An array of numbers, the bytes of which lie in one or more stretches of a file. */
export interface ArrayPlace {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly stretches: readonly { readonly position: number; readonly byteLength: number }[];
}

/**
 * The array that a leaf is, also one that Flax has cut up because of its size; undefined where it is something else.
 *
 * @throws HintError INVALID_CHECKPOINT for one that is cut up wrongly
 */
export function arrayAt(path: string, value: ScannedValue): ArrayPlace | undefined {
  if (value instanceof ScannedArray) {
    const { dtype, shape, position, byteLength } = value;
    return { dtype, shape, stretches: [{ position, byteLength }] };
  }
  if (!(value instanceof Map) || !value.has(CHUNKED)) return undefined;
  const invalid = (): HintError =>
    invalidWeights(path, 'msgpack file of Flax', 'the parts of a large array do not fit together');
  const listed = (map: ScannedValue | undefined): ScannedValue[] => {
    if (!(map instanceof Map)) throw invalid();
    return Array.from({ length: map.size }, (_, i) => map.get(String(i)) ?? null);
  };
  const shape = listed(value.get('shape'));
  const parts = listed(value.get('chunks'));
  const count = elementCount(shape);
  const [first] = parts;
  if (count === undefined || !(first instanceof ScannedArray)) throw invalid();
  const stretches = parts.map((part) => {
    if (!(part instanceof ScannedArray) || part.dtype !== first.dtype) throw invalid();
    return { position: part.position, byteLength: part.byteLength };
  });
  const held = stretches.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (held !== count * DTYPE_BYTES[first.dtype]) throw invalid();
  return { dtype: first.dtype, shape: shape as number[], stretches };
}

/** The leaves of a tree of maps by their path; a map that `isLeaf` takes is one of them. */
export function* leavesOf(
  tree: ScannedMap,
  isLeaf: (value: ScannedMap) => boolean,
  path: readonly string[] = [],
): Generator<[path: readonly string[], leaf: ScannedValue]> {
  for (const [key, value] of tree) {
    const here = [...path, key];
    if (value instanceof Map && !isLeaf(value)) yield* leavesOf(value, isLeaf, here);
    else yield [here, value];
  }
}

/** Whether a map is an array that Flax has cut up. */
export function isChunked(value: ScannedMap): boolean {
  return value.has(CHUNKED);
}

/** The shape that Hugging Face has of an array, and the strides of its axes in the file. */
export function orientation(
  path: string,
  name: string,
  shape: readonly number[],
  isTransposed: boolean,
): { shape: readonly number[]; strides: readonly number[] } {
  const strides = rowMajor(shape);
  if (!isTransposed) return { shape, strides };
  if (shape.length !== 2)
    throw new HintError(
      'NOT_SUPPORTED',
      `${path} holds the kernel ${showValue(name)} of shape ${showValue(shape)}; only kernels of two axes are read.`,
    );
  return { shape: shape.toReversed(), strides: strides.toReversed() };
}

/** How an array is read under its Hugging Face name. */
export function arrayReader(
  file: ByteFile,
  name: string,
  place: ArrayPlace,
  isTransposed: boolean,
): TensorReader {
  const { dtype, stretches } = place;
  const { shape, strides } = orientation(file.path, name, place.shape, isTransposed);
  const elementBytes = DTYPE_BYTES[dtype];
  const byteLength = stretches.reduce((sum, stretch) => sum + stretch.byteLength, 0);
  const info = { name, dtype, shape, byteLength };
  const [only] = stretches;
  const layout = { elementBytes, shape, strides, offset: 0 };
  if (isContiguous(layout) && stretches.length === 1 && only) {
    const { position } = only;
    return {
      ...info,
      read: (signal) => file.read(position, byteLength, signal),
      pieces: (signal) => file.pieces(position, position + byteLength, signal),
      locate: () => ({ descriptor: file.descriptor, position }),
    };
  }
  const source = { path: file.path, readInto: joined(file, stretches) };
  return {
    ...info,
    async read(signal) {
      if (!isContiguous(layout)) return readStrided(source, 0, layout, signal);
      const bytes = allocate(byteLength, file.path);
      await source.readInto(bytes, 0, signal);
      return bytes;
    },
  };
}

/** Reads as if the stretches followed each other. */
function joined(file: ByteFile, stretches: ArrayPlace['stretches']): ByteFile['readInto'] {
  return async (bytes, position, signal) => {
    let begin = 0;
    for (const stretch of stretches) {
      const from = Math.max(position, begin);
      const to = Math.min(position + bytes.length, begin + stretch.byteLength);
      if (from < to)
        await file.readInto(
          bytes.subarray(from - position, to - position),
          stretch.position + from - begin,
          signal,
        );
      begin += stretch.byteLength;
    }
  };
}
