import { arrayAt, arrayReader, isChunked, leavesOf } from '../msgpack/arrays.js';
import { scanMsgpack } from '../msgpack/scan.js';
import { ByteFile } from '../weights/byte-file.js';
import { openSharded } from '../weights/shards.js';
import { invalidWeights, weightFile, type TensorReader, type WeightFile } from '../weights/weight-file.js';

const FLAX_FILE = 'msgpack file of Flax';

/** What Hugging Face calls a parameter of Flax, and whether it holds it transposed. */
function hubName(path: readonly string[]): { name: string; isTransposed: boolean } {
  const last = path.at(-1) ?? '';
  const isTransposed = last === 'kernel';
  const renamed = isTransposed || last === 'embedding' || last === 'scale' ? 'weight' : last;
  return { name: [...path.slice(0, -1), renamed].join('.'), isTransposed };
}

/**
 * Opens a `flax_model.msgpack` of transformers, or one of its shards, under Hugging Face's names. The structure is read; the
 * values of arrays stay in the file until they are asked for.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_CHECKPOINT, NOT_SUPPORTED, LIMIT_EXCEEDED
 */
export async function openFlaxFile(path: string): Promise<WeightFile> {
  const file = await ByteFile.open(path, (fault) => invalidWeights(path, FLAX_FILE, fault));
  try {
    const root = await scanMsgpack(file);
    const inner = root instanceof Map ? (root.get('params') ?? root) : root;
    if (!(inner instanceof Map)) throw invalidWeights(path, FLAX_FILE, 'it holds no parameters by name');
    const tensors = new Map<string, TensorReader>();
    for (const [leafPath, leaf] of leavesOf(inner, isChunked)) {
      const place = arrayAt(path, leaf);
      if (place === undefined) continue;
      const { name, isTransposed } = hubName(leafPath);
      if (tensors.has(name)) throw invalidWeights(path, FLAX_FILE, `two parameters are called ${name}`);
      tensors.set(name, arrayReader(file, name, place, isTransposed));
    }
    if (tensors.size === 0) throw invalidWeights(path, FLAX_FILE, 'it holds no parameters by name');
    return weightFile({ path, form: 'flax', tensors, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens the shards of a `flax_model.msgpack.index.json`. @throws HintError as {@link openFlaxFile} */
export function openFlaxShards(
  path: string,
  open: (path: string) => Promise<WeightFile>,
): Promise<WeightFile> {
  return openSharded(path, {
    form: 'flax',
    ending: '.msgpack',
    open,
    nameOf: (listed) => hubName(listed.split(/[/.]/)).name,
  });
}
