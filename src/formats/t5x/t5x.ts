import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { arrayAt, arrayReader, isChunked, leavesOf } from '../msgpack/arrays.js';
import { scanMsgpack, type ScannedMap, type ScannedValue } from '../msgpack/scan.js';
import { ByteFile } from '../weights/byte-file.js';
import { invalidWeights, weightFile, type TensorReader, type WeightFile } from '../weights/weight-file.js';
import { hubName } from './names.js';
import { zarrReader } from './zarr.js';

const T5X_FILE = 'checkpoint of T5X';

/** The file in a folder of T5X that says what the others are. */
export const T5X_INDEX = 'checkpoint';

/** The parameters: below `optimizer`, or at the top where a checkpoint has no optimizer. */
function targetOf(path: string, root: ScannedValue): ScannedMap {
  const top = root instanceof Map ? root : new Map<string, ScannedValue>();
  const optimizer = top.get('optimizer');
  const target = (optimizer instanceof Map ? optimizer.get('target') : undefined) ?? top.get('target');
  if (target instanceof Map) return target;
  throw invalidWeights(path, T5X_FILE, 'it has no parameters below optimizer/target or target');
}

/** A specification of TensorStore: an array in a folder of its own. */
function isSpecification(value: ScannedMap): boolean {
  return typeof value.get('driver') === 'string' && (value.has('kvstore') || value.has('base'));
}

/** What a specification says of the array that lies in the folder; it may be wrapped in one that casts. */
function checkSpecification(path: string, name: string, value: ScannedMap): void {
  const base = value.get('base');
  const inner = value.get('driver') === 'cast' && base instanceof Map ? base : value;
  const driver = inner.get('driver');
  if (driver !== 'zarr')
    throw new HintError(
      'NOT_SUPPORTED',
      `${path} keeps ${showValue(name)} with TensorStore's driver ${showValue(driver)}; only zarr is read.`,
    );
}

const PLACEHOLDER = 'PLACEHOLDER://';

/** The folder of an array that does not lie in the index; undefined where the leaf is none. */
function folderOf(path: string, parts: readonly string[], leaf: ScannedValue): string | undefined {
  const name = `target.${parts.join('.')}`;
  if (leaf instanceof Map) checkSpecification(path, name, leaf);
  else if (!(typeof leaf === 'string' && leaf.startsWith(PLACEHOLDER))) return undefined;
  // Where the checkpoint was written is not where it is now: an array lies beside the index, under its own name.
  if (!/^[^/\\\0]+$/.test(name))
    throw invalidWeights(path, T5X_FILE, `a parameter has the name ${showValue(name)}`);
  return name;
}

/**
 * Opens a `checkpoint_N` folder of T5X, or of the original HINT program, under Hugging Face's names: an index in msgpack,
 * arrays in zarr folders beside it, small ones in the index itself. Optimizer states are passed over.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CHECKPOINT, NOT_SUPPORTED, LIMIT_EXCEEDED
 */
export async function openT5x(directory: string): Promise<WeightFile> {
  const path = join(directory, T5X_INDEX);
  const file = await ByteFile.open(path, (fault) => invalidWeights(path, T5X_FILE, fault));
  try {
    const tensors = new Map<string, TensorReader>();
    const isLeaf = (value: ScannedMap): boolean => isSpecification(value) || isChunked(value);
    for (const [parts, leaf] of leavesOf(targetOf(path, await scanMsgpack(file)), isLeaf)) {
      const hub = hubName(parts);
      if (hub === undefined) continue;
      const { name, isTransposed } = hub;
      const place = arrayAt(path, leaf);
      const folder = place ? undefined : folderOf(path, parts, leaf);
      if (place === undefined && folder === undefined) continue;
      if (tensors.has(name))
        throw invalidWeights(path, T5X_FILE, `two parameters are called ${showValue(name)}`);
      tensors.set(
        name,
        place
          ? arrayReader(file, name, place, isTransposed)
          : await zarrReader(join(directory, folder as string), name, isTransposed),
      );
    }
    if (tensors.size === 0) throw invalidWeights(path, T5X_FILE, 'it holds no parameters');
    return weightFile({ path: directory, form: 't5x', tensors, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}
