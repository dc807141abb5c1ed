import { dirname, join } from 'node:path';
import { z } from 'zod';
import { check } from '../../util/check.js';
import { HintError } from '../../util/errors.js';
import { readJson } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { showValue } from '../../util/show-value.js';
import { weightFile, type TensorReader, type WeightFile, type WeightForm } from './weight-file.js';

const shardIndex = z.object({ weight_map: recordOf(z.string()) });

/** The tensor → shard map of an index file; a shard is a plain file name, so that no index reaches outside its folder. */
async function readWeightMap(path: string, ending: string): Promise<Map<string, string>> {
  const { data: index, faults } = check(shardIndex, await readJson(path, 'the shard index'));
  if (faults) {
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} has no "weight_map" of tensor names to file names; export the checkpoint again.`,
    );
  }
  const entries = Object.entries(index.weight_map);
  const outside = entries.find(([, shard]) => !/^[^/\\\0]+$/.test(shard) || !shard.endsWith(ending));
  if (outside !== undefined) {
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} puts tensor ${JSON.stringify(outside[0])} in ${JSON.stringify(outside[1])}; a shard must be a ${ending} file in the same directory.`,
    );
  }
  return new Map(entries);
}

async function openShard(
  index: string,
  name: string,
  total: number,
  open: (path: string) => Promise<WeightFile>,
): Promise<WeightFile> {
  const path = join(dirname(index), name);
  return open(path).catch((cause: unknown) => {
    if (!(cause instanceof HintError && cause.code === 'NOT_FOUND')) throw cause;
    throw new HintError(
      'NOT_FOUND',
      `${path} does not exist, one of the ${total} shards that ${index} names; download that file too.`,
      { cause },
    );
  });
}

/**
 * Opens the shards that an index names as if they were one file.
 *
 * @param options.ending of shards' names, such as `.safetensors`
 * @param options.open opens one shard
 * @param options.nameOf the name under which a shard has the tensor that the index calls so
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CHECKPOINT; what `open` throws
 */
export async function openSharded(
  path: string,
  options: {
    form: WeightForm;
    ending: string;
    open: (path: string) => Promise<WeightFile>;
    nameOf?: (name: string) => string;
  },
): Promise<WeightFile> {
  const weightMap = await readWeightMap(path, options.ending);
  const total = new Set(weightMap.values()).size;
  const shards = new Map<string, WeightFile>();
  const close = async (): Promise<void> => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    const tensors = new Map<string, TensorReader>();
    const metadata = new Map<string, string>();
    const aliases = new Map<string, string>();
    for (const [listed, shardName] of weightMap) {
      const name = options.nameOf?.(listed) ?? listed;
      const shard = shards.get(shardName) ?? (await openShard(path, shardName, total, options.open));
      if (!shards.has(shardName)) {
        shards.set(shardName, shard);
        for (const [key, value] of shard.metadata) metadata.set(key, value);
        for (const [alias, first] of shard.aliases) aliases.set(alias, first);
      }
      const tensor = shard.tensors.get(name);
      if (tensor === undefined) {
        throw new HintError(
          'INVALID_CHECKPOINT',
          `${path} puts tensor ${showValue(listed)} in ${shardName}, which does not hold it; download the shard again.`,
        );
      }
      tensors.set(name, {
        ...tensor,
        read: (signal) => shard.read(name, signal),
        pieces: (signal) => shard.pieces(name, signal),
        locate: () => shard.locate(name),
      });
    }
    for (const [alias, first] of aliases)
      if (!tensors.has(alias) || !tensors.has(first)) aliases.delete(alias);
    return weightFile({ path, form: options.form, tensors, metadata, aliases, close });
  } catch (error) {
    await close();
    throw error;
  }
}
