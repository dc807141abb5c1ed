import { HintError } from '../../util/errors.js';
import { checkBytes } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import type { ByteFile } from '../weights/byte-file.js';
import { DTYPE_BYTES, elementCount } from '../weights/dtypes.js';
import { isContiguous, isDisjoint, readStrided } from '../weights/strided.js';
import { invalidWeights, type TensorReader } from '../weights/weight-file.js';
import { PickleDict, TensorView, type PickleValue } from './values.js';

/** Where the bytes of a storage lie in the file. */
export interface StoragePlace {
  readonly position: number;
  readonly byteLength: number;
}

/** What programs put a state dict into, beside what else they save. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'module'];

const TORCH_FILE = 'file of PyTorch';

/**
 * The tensors of a state dict, by name. One that lies in a dict under a name that training programs use is taken from
 * there. Values beside the tensors that are no tensors (versions, counts) are passed over.
 *
 * @throws HintError INVALID_CHECKPOINT when it holds none, NOT_SUPPORTED when tensors lie deeper, or in several dicts
 */
export function namedTensors(path: string, root: PickleValue): Map<string, TensorView> {
  const own = tensorsIn(path, root);
  if (own.size > 0) {
    const inner = [...(root as PickleDict).entries].find(([, value]) => holdsTensors(value));
    if (inner === undefined) return own;
    throw new HintError(
      'NOT_SUPPORTED',
      `${path} holds tensors beside a ${showValue(inner[0])} that holds others, so that it is not clear which are the model; save model.state_dict() alone with torch.save.`,
    );
  }
  const wrapped = WRAPPERS.map((name) => (root instanceof PickleDict ? root.entries.get(name) : undefined));
  const found = wrapped.filter((value) => value !== undefined && holdsTensors(value));
  if (found.length === 1) return tensorsIn(path, found[0] as PickleValue);
  throw new HintError(
    'INVALID_CHECKPOINT',
    `${path} holds ${found.length === 0 ? `no tensors by name, neither at its top nor in ${WRAPPERS.join(', ')}` : 'several models'}; save model.state_dict() with torch.save.`,
  );
}

function holdsTensors(value: PickleValue): boolean {
  if (!(value instanceof PickleDict)) return false;
  for (const one of value.entries.values()) if (one instanceof TensorView) return true;
  return false;
}

function tensorsIn(path: string, value: PickleValue): Map<string, TensorView> {
  const tensors = new Map<string, TensorView>();
  if (!(value instanceof PickleDict)) return tensors;
  for (const [name, one] of value.entries) {
    if (!(one instanceof TensorView)) continue;
    if (typeof name !== 'string')
      throw invalidWeights(path, TORCH_FILE, `a tensor has the name ${showValue(name)}, which is no text`);
    tensors.set(name, one);
  }
  return tensors;
}

/**
 * How each tensor is read from the file, every one checked to lie within its storage.
 *
 * @param placeOf where a storage lies; it throws for one that the file does not hold
 */
export function tensorReaders(
  file: ByteFile,
  views: ReadonlyMap<string, TensorView>,
  placeOf: (view: TensorView, name: string) => StoragePlace,
): { tensors: Map<string, TensorReader>; aliases: Map<string, string> } {
  const tensors = new Map<string, TensorReader>();
  const aliases = new Map<string, string>();
  const firstOf = new Map<string, string>();
  for (const [name, view] of views) {
    const reader = tensorReader(file, name, view, placeOf(view, name));
    tensors.set(name, reader.reader);
    const first = firstOf.get(reader.identity);
    if (first === undefined) firstOf.set(reader.identity, name);
    else aliases.set(name, first);
  }
  return { tensors, aliases };
}

function tensorReader(
  file: ByteFile,
  name: string,
  view: TensorView,
  place: StoragePlace,
): { reader: TensorReader; identity: string } {
  const { dtype, shape, strides, offset, storage } = view;
  const what = `the tensor ${showValue(name)}`;
  const elementBytes = DTYPE_BYTES[dtype];
  const count = elementCount(shape) as number;
  const held = Math.floor(place.byteLength / elementBytes);
  const last = shape.reduce((at, size, i) => at + (size - 1) * (strides[i] as number), offset);
  if (count > 0 && !(last < held))
    throw invalidWeights(
      file.path,
      TORCH_FILE,
      `${what} reaches to the element ${last} of a storage of ${held} elements`,
    );
  const byteLength = count * elementBytes;
  if (!Number.isSafeInteger(byteLength))
    throw invalidWeights(file.path, TORCH_FILE, `${what} has the shape ${showValue(shape)}`);
  const layout = { elementBytes, shape, strides, offset };
  if (!isDisjoint(layout))
    throw new HintError(
      'NOT_SUPPORTED',
      `${file.path} holds ${what} as a view whose elements overlap (shape ${showValue(shape)}, strides ${showValue(strides)}), which is not read; save a copy of it (tensor.contiguous()).`,
    );
  const identity = JSON.stringify([storage.key, place.position, dtype, offset, shape, strides]);
  const info = { name, dtype, shape, byteLength };
  if (isContiguous(layout)) {
    const position = place.position + offset * elementBytes;
    return {
      identity,
      reader: {
        ...info,
        read: (signal) => file.read(position, byteLength, signal),
        pieces: (signal) => file.pieces(position, position + byteLength, signal),
        locate: () => ({ descriptor: file.descriptor, position }),
      },
    };
  }
  return {
    identity,
    reader: {
      ...info,
      read(signal) {
        // A view that repeats what it holds can be of any size.
        if (count > held)
          checkBytes(file.path, `${what} repeats the elements of its storage and takes`, byteLength);
        return readStrided(file, place.position, layout, signal);
      },
    },
  };
}
