import { HintError, throwIfAborted } from '../../util/errors.js';
import {
  checked,
  checkedIfGiven,
  choice,
  instance,
  list,
  path as pathKind,
  record,
  shaped,
  signal as signalKind,
  text,
  where,
  type Kind,
} from '../../util/arguments.js';
import { writeFileAtomically, type Append } from '../../util/atomic-file.js';
import { showValue } from '../../util/show-value.js';
import { DTYPE_BYTES, elementCount, type SafetensorsDType } from '../weights/dtypes.js';
import { MAX_HEADER_BYTES } from './header.js';

/** A tensor to be written; a function gives its bytes only when their turn comes. */
export interface TensorToWrite {
  /** Its key in the header; each comes once. */
  readonly name: string;
  /** A {@link SafetensorsDType}. */
  readonly dtype: string;
  /** Sides of the tensor, outermost first; none for a scalar. */
  readonly shape: readonly number[];
  /** Little-endian, row-major; exactly as many bytes as shape and dtype say. */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
}

// Wider types first, so that every tensor starts at a multiple of its element size; within a width as the
// format's own library orders them, which makes the files byte-identical.
const DTYPE_ORDER = Object.keys(DTYPE_BYTES) as SafetensorsDType[];

const TENSORS = list(
  shaped<TensorToWrite>(
    {
      name: text,
      dtype: choice(...DTYPE_ORDER),
      shape: list(where('a number', (side) => typeof side === 'number')),
      data: where(
        'a Uint8Array, or a function that resolves to one',
        (value) => value instanceof Uint8Array || typeof value === 'function',
      ),
    },
    'an object { name, dtype, shape, data }',
  ),
);
const METADATA = record(text);
const BYTES = instance(Uint8Array, 'a Uint8Array');

const ANY_ITERABLE: Kind<TensorToWrite[]> = {
  ...TENSORS,
  read: (value) =>
    TENSORS.read(
      typeof value === 'object' && value !== null && Symbol.iterator in value
        ? [...(value as Iterable<unknown>)]
        : value,
    ),
};

const HEADER_ALIGNMENT = 8;

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Tensors as a file has them one after the other: wide values first, so that all lie as their dtype must. */
export function inFileOrder(tensors: Iterable<TensorToWrite>): TensorToWrite[] {
  return [...tensors].sort(
    (a, b) =>
      DTYPE_ORDER.indexOf(a.dtype as SafetensorsDType) - DTYPE_ORDER.indexOf(b.dtype as SafetensorsDType) ||
      compareText(a.name, b.name),
  );
}

function byteLengthOf({ name, dtype, shape }: TensorToWrite): number {
  const count = elementCount(shape);
  if (count === undefined) {
    throw new HintError(
      'INVALID_SHAPE',
      `Tensor ${JSON.stringify(name)} has shape [${shape.join(', ')}]; sizes must be whole numbers ≥ 0.`,
    );
  }
  return count * DTYPE_BYTES[dtype as SafetensorsDType];
}

function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = [];
  const sorted = Object.entries(metadata).sort(([a], [b]) => compareText(a, b));
  if (sorted.length > 0) entries.push(['__metadata__', Object.fromEntries(sorted)]);
  const names = new Set<string>(['__metadata__']);
  let begin = 0;
  for (const tensor of tensors) {
    if (names.has(tensor.name)) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `Tensor name ${JSON.stringify(tensor.name)} is reserved or used twice; choose another.`,
      );
    }
    names.add(tensor.name);
    const end = begin + byteLengthOf(tensor);
    entries.push([tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] }]);
    begin = end;
  }
  // Not JSON.stringify of one object, which would move names that look like numbers to the front.
  const fields = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(json.byteLength / HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
  if (length > MAX_HEADER_BYTES) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `The header would take ${length} bytes, the limit is ${MAX_HEADER_BYTES}; write fewer tensors to a file.`,
    );
  }
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

/**
 * Writes a safetensors file, one tensor in memory at a time, all or nothing: on any failure an existing file is left as
 * it was. The same tensors and metadata give the same bytes, in whatever order they come.
 *
 * @throws HintError INVALID_ARGUMENT for a repeated name, INVALID_SHAPE if a tensor's bytes do not fit its shape, IO if
 *   the file cannot be written, ABORTED
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<void> {
  checked(pathKind, path, 'path');
  const ordered = inFileOrder(checked(ANY_ITERABLE, tensors, 'tensors'));
  const header = encodeHeader(ordered, checked(METADATA, metadata, 'metadata'));
  checkedIfGiven(signalKind, signal, 'signal');
  const write = async (append: Append): Promise<void> => {
    await append(header);
    for (const tensor of ordered) {
      throwIfAborted(signal);
      const bytes = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
      checked(BYTES, bytes, `data of the tensor ${showValue(tensor.name)}`);
      const expected = byteLengthOf(tensor);
      if (bytes.byteLength !== expected) {
        throw new HintError(
          'INVALID_SHAPE',
          `Tensor ${JSON.stringify(tensor.name)} of shape [${tensor.shape.join(', ')}] and dtype ${tensor.dtype} takes ${expected} bytes, ${bytes.byteLength} were given.`,
        );
      }
      await append(bytes);
    }
  };
  await writeFileAtomically(path, write, signal);
}
