import { HintError, throwIfAborted } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import { readValues, type LoadModelOptions } from '../checkpoint/checkpoint.js';
import { checkUnusedTensors, decoderOnlyRule } from '../checkpoint/unused-tensors.js';
import { roundParameter, type TensorSummary } from '../parameters/tensor-summary.js';
import { initialTensor } from '../parameters/initialise.js';
import { isRounded } from '../parameters/dtypes.js';
import { ParameterStore } from '../parameters/parameter-store.js';
import { openWeights } from '../../formats/checkpoint/open-weights.js';
import { sameTensor } from '../../formats/weights/compare.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';
import { missing, summaryOf } from '../checkpoint/stored-config.js';
import type { ModelContents } from '../checkpoint/model-contents.js';
import { sizeOf } from '../modules/adaptations.js';
import { serializeDecoderOnlyConfig, type DecoderOnlyConfig } from './config.js';
import { DecoderOnlyModel } from './decoder-only-model.js';
import { namePrefixes, split, storedGroups, storedShape, type StoredGroup } from './layout.js';
import { decoderOnlyParameters } from './parameter-table.js';

/** A model of random weights, as its family starts its own. */
export function initialiseDecoderOnlyModel(
  device: Device,
  config: DecoderOnlyConfig,
  seed: number,
): DecoderOnlyModel {
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape, start }] of decoderOnlyParameters(config)) {
    tensors.set(name, initialTensor(device, start, shape, seed, name));
  }
  return new DecoderOnlyModel(device, config, new ParameterStore(tensors));
}

/**
 * Opens a Hugging Face directory of GPT-2 or OPT as it is: weights in any form that openWeights reads, names with and without
 * the prefix of the base model. Masks that are stored are left aside; a stored head that
 * differs from the table is the head. With the dtype bf16, where the
 * device reads weights as they are, its matrices are held and it computes in that.
 *
 * @param described the directory's config.json
 * @throws HintError NOT_FOUND, INVALID_CHECKPOINT (missing tensor, wrong shape, NaN), ABORTED
 */
export async function loadDecoderOnlyModel(
  device: Device,
  directory: string,
  described: DecoderOnlyConfig,
  { dtype, signal, onProgress }: Pick<LoadModelOptions, 'dtype' | 'signal' | 'onProgress'> = {},
): Promise<DecoderOnlyModel> {
  const rounds = dtype === 'bf16' && !device.packsWeights;
  await using file = await openWeights(directory);
  const config = await withStoredHead(described, file, signal);
  const table = decoderOnlyParameters(config);
  const groups = storedGroups(config);
  const names = groups.map((group) => storedName(config, group, file));
  await checkUnusedTensors(file, decoderOnlyRule(names, namePrefixes(config)), signal);
  const tensors = new Map<string, Tensor>();
  const summaries = new Map<string, TensorSummary>();
  try {
    for (const [done, group] of groups.entries()) {
      throwIfAborted(signal);
      const shapes = group.parameters.map((name) => table.get(name)?.shape ?? []);
      const stored = await readValues(
        file,
        storedName(config, group, file),
        storedShape(group, shapes),
        signal,
      );
      for (const [i, values] of (await split(group, shapes, stored)).entries()) {
        const name = group.parameters[i] as string;
        const wide = await device.upload(values, shapes[i] as readonly number[]);
        if (rounds && isRounded(wide)) {
          const { tensor, summary } = roundParameter(wide);
          tensors.set(name, tensor);
          summaries.set(name, summary);
        } else {
          tensors.set(name, wide);
        }
      }
      onProgress?.(done + 1, groups.length);
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    for (const { total, head } of summaries.values()) for (const tensor of [total, head]) tensor.dispose();
    throw error;
  }
  const parameters = new ParameterStore(tensors, summaries);
  if (rounds) parameters.computeDtype = 'bf16';
  return new DecoderOnlyModel(device, config, parameters);
}

/** What a directory of GPT-2 or OPT holds; see `ModelFamily.examine`. */
export async function examineDecoderOnly(
  directory: string,
  described: DecoderOnlyConfig,
  signal?: AbortSignal,
): Promise<ModelContents> {
  await using file = await openWeights(directory);
  const config = await withStoredHead(described, file, signal);
  const table = decoderOnlyParameters(config);
  const count = (prefix: string): number =>
    [...table].reduce((total, [name, { shape }]) => total + (name.startsWith(prefix) ? sizeOf(shape) : 0), 0);
  return {
    config: serializeDecoderOnlyConfig(config),
    parameters: {
      total: count(''),
      embeddings: count('tokens.') + count('positions.'),
      layers: count('layers.'),
    },
    ...summaryOf(file),
    missingTensors: storedGroups(config).flatMap((group) => {
      const shapes = group.parameters.map((name) => table.get(name)?.shape ?? []);
      return missing(
        file,
        findStored(config, group, file),
        storedNames(config, group)[0],
        storedShape(group, shapes),
      );
    }),
  };
}

/** A head of its own that is stored beside a table is the head, as in transformers, whatever config.json says. */
async function withStoredHead(
  config: DecoderOnlyConfig,
  file: WeightFile,
  signal: AbortSignal | undefined,
): Promise<DecoderOnlyConfig> {
  const head = 'lm_head.weight';
  const [table] = storedGroups(config);
  if (!config.tiedHead || !file.tensors.has(head) || table === undefined) return config;
  const name = storedName(config, table, file);
  const isTied = await sameTensor({ file, name: head }, { file, name }, signal);
  return isTied ? config : { ...config, tiedHead: false };
}

function storedNames(config: DecoderOnlyConfig, { bare, name }: StoredGroup): [string, ...string[]] {
  const [first = '', ...more] = bare ? [''] : namePrefixes(config);
  return [first + name, ...more.map((prefix) => prefix + name)];
}

/** The name under which a file has a group; undefined: it has it not. */
function findStored(config: DecoderOnlyConfig, group: StoredGroup, file: WeightFile): string | undefined {
  // Tied, the table may be stored under the name of the head alone.
  const isTable = config.tiedHead && group.parameters[0] === 'tokens.weight';
  const names = [...storedNames(config, group), ...(isTable ? ['lm_head.weight'] : [])];
  return names.find((name) => file.tensors.has(name));
}

function storedName(config: DecoderOnlyConfig, group: StoredGroup, file: WeightFile): string {
  const found = findStored(config, group, file);
  if (found !== undefined) return found;
  const names = storedNames(config, group);
  throw new HintError(
    'INVALID_CHECKPOINT',
    `${file.path} has no tensor ${names.join(' or ')}, which its config.json asks for.`,
  );
}
