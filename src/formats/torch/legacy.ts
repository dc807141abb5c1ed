import { HintError } from '../../util/errors.js';
import { checkBytesSoFar } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import { ByteFile } from '../weights/byte-file.js';
import { DTYPE_BYTES } from '../weights/dtypes.js';
import { invalidWeights, weightFile, type WeightFile } from '../weights/weight-file.js';
import { namedTensors, tensorReaders, type StoragePlace } from './tensors.js';
import { EndOfPickle } from './pickle-reader.js';
import { Unpickler } from './unpickler.js';
import { PickleDict, TensorView, type PickleValue } from './values.js';

const TORCH_FILE = 'file of PyTorch';

/** How the pickle of the number 0x1950a86a20f9469cfc6c goes on behind its protocol, and behind its frame where there is one. */
const LEGACY_NUMBER = Buffer.from([0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]); // prettier-ignore
const PROTOCOL_BYTES = 2;
// Protocols 4 and 5 put pickles into frames: this opcode, and the length in eight bytes.
const FRAME = 0x95;
const FRAME_BYTES = 9;

const PROTOCOL = 1001;

// The pickles of a large model take some hundred kilobytes.
const FIRST_READ_BYTES = 1 << 20;

/** The pickles at the beginning of the file, and where the last of them ends. */
async function pickles(file: ByteFile): Promise<{ values: PickleValue[]; end: number }> {
  for (let length = Math.min(file.size, FIRST_READ_BYTES); ; length = Math.min(file.size, 2 * length)) {
    checkBytesSoFar(file.path, 'its pickles have', length / 2);
    const bytes = await file.read(0, length);
    try {
      return fivePickles(file.path, bytes);
    } catch (cause) {
      if (!(cause instanceof EndOfPickle)) throw cause;
      if (length === file.size)
        throw invalidWeights(
          file.path,
          TORCH_FILE,
          `its pickles go on behind its end, byte ${file.size}; it is cut off, download or copy it again`,
          cause,
        );
    }
  }
}

/** The second to the fifth: protocol, machine, the state dict, and the keys of storages in the order of their bytes. */
function fivePickles(path: string, bytes: Uint8Array): { values: PickleValue[]; end: number } {
  const number = PROTOCOL_BYTES + (bytes[PROTOCOL_BYTES] === FRAME ? FRAME_BYTES : 0);
  let end = number + LEGACY_NUMBER.length;
  if (!LEGACY_NUMBER.equals(bytes.subarray(number, end)))
    throw invalidWeights(
      path,
      TORCH_FILE,
      'it is a pickle that torch.save did not write; load it in Python where you trust it, and save model.state_dict() with torch.save',
    );
  const values: PickleValue[] = [];
  for (let i = 0; i < 4; i++) {
    const machine = new Unpickler(path, bytes, end);
    values.push(machine.load());
    end = machine.end;
    if (i === 0 && values[0] !== PROTOCOL)
      throw new HintError(
        'NOT_SUPPORTED',
        `${path} is a file of PyTorch of the protocol ${showValue(values[0])}; only ${PROTOCOL} is read: save it again with a newer torch.`,
      );
    if (i === 1) checkByteOrder(path, values[1] as PickleValue);
  }
  return { values, end };
}

function checkByteOrder(path: string, machine: PickleValue): void {
  const isLittle = machine instanceof PickleDict ? machine.entries.get('little_endian') : undefined;
  if (isLittle === true) return;
  throw new HintError(
    'NOT_SUPPORTED',
    `${path} does not hold its numbers in little-endian order (little_endian is ${showValue(isLittle)}); load it in Python and save it on a little-endian machine.`,
  );
}

/** Where each storage lies: behind the pickles, each with its number of elements in front. */
async function placesOf(
  file: ByteFile,
  keys: PickleValue | undefined,
  begin: number,
  widths: ReadonlyMap<string, number>,
): Promise<Map<string, StoragePlace>> {
  const places = new Map<string, StoragePlace>();
  if (!Array.isArray(keys)) throw invalidWeights(file.path, TORCH_FILE, 'it has no list of its storages');
  let position = begin;
  for (const key of keys) {
    const width = typeof key === 'string' ? widths.get(key) : undefined;
    if (typeof key !== 'string' || width === undefined)
      throw invalidWeights(
        file.path,
        TORCH_FILE,
        `its list of storages has ${showValue(key)}, which no tensor lies in`,
      );
    if (places.has(key))
      throw invalidWeights(file.path, TORCH_FILE, `its list of storages has ${showValue(key)} twice`);
    const prefix = await file.read(position, 8);
    const count = Number(new DataView(prefix.buffer).getBigInt64(0, true));
    position += 8;
    if (!(count >= 0 && position + count * width <= file.size))
      throw invalidWeights(
        file.path,
        TORCH_FILE,
        `the storage ${showValue(key)} of ${count} elements goes on behind the end of the file, byte ${file.size}; it is cut off, download or copy it again`,
      );
    places.set(key, { position, byteLength: count * width });
    position += count * width;
  }
  return places;
}

/** Bytes of an element of each storage that a value refers to, however deep; what refers to itself is looked at once. */
function widthsIn(path: string, root: PickleValue): Map<string, number> {
  const widths = new Map<string, number>();
  const seen = new Set<PickleValue>();
  const queue: PickleValue[] = [root];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof TensorView) {
      const { key, dtype } = value.storage;
      const width = dtype ? DTYPE_BYTES[dtype] : 1;
      if ((widths.get(key) ?? width) !== width)
        throw invalidWeights(path, TORCH_FILE, `the storage ${showValue(key)} has two element types`);
      widths.set(key, width);
    } else if (Array.isArray(value)) for (const one of value) queue.push(one);
    else if (value instanceof PickleDict) for (const one of value.entries.values()) queue.push(one);
  }
  return widths;
}

/**
 * Opens a file that `torch.save` wrote before torch 1.6, or since then without zip: pickles, then the storages.
 *
 * @throws HintError as `openTorchZip`
 */
export async function openTorchLegacy(path: string): Promise<WeightFile> {
  const file = await ByteFile.open(path, (fault) =>
    invalidWeights(path, TORCH_FILE, `${fault}; it is cut off, download or copy it again`),
  );
  try {
    const { values, end } = await pickles(file);
    const [, , root, keys] = values;
    const places = await placesOf(file, keys, end, widthsIn(path, root as PickleValue));
    const { tensors, aliases } = tensorReaders(
      file,
      namedTensors(path, root as PickleValue),
      ({ storage }, tensor) => {
        const place = places.get(storage.key);
        if (place === undefined)
          throw invalidWeights(
            path,
            TORCH_FILE,
            `it does not hold the storage ${showValue(storage.key)}, in which the tensor ${showValue(tensor)} lies`,
          );
        const width = storage.dtype ? DTYPE_BYTES[storage.dtype] : 1;
        const needed = (storage.begin + storage.count) * width;
        if (!(needed <= place.byteLength))
          throw invalidWeights(
            path,
            TORCH_FILE,
            `the storage ${showValue(storage.key)} of ${needed} bytes has only ${place.byteLength} bytes in the file`,
          );
        return { position: place.position + storage.begin * width, byteLength: storage.count * width };
      },
    );
    return weightFile({ path, form: 'torch', tensors, aliases, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}
