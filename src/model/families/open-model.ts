import type { Device } from '../../tensor/device.js';
import { checked, path } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { LOAD_OPTIONS, type LoadModelOptions } from '../checkpoint/checkpoint.js';
import type { ModelContents } from '../checkpoint/model-contents.js';
import { missingTensors } from '../checkpoint/stored-config.js';
import type { AnyModel, ModelFamily, StartRequest } from '../family.js';
import { DEVICE } from '../parameters/parameter-store.js';
import { familyOfConfig, familyOfDirectory, modelFamily } from './registry.js';

/**
 * Opens a model directory of any family: T5 v1.1 or HINT, GPT-2, OPT, and what was registered.
 *
 * @throws HintError INVALID_ARGUMENT, NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG, INVALID_CHECKPOINT, OUT_OF_MEMORY, ABORTED
 */
export async function openModel(
  device: Device,
  directory: string,
  given: LoadModelOptions = {},
): Promise<AnyModel> {
  checked(DEVICE, device, 'device');
  checked(path, directory, 'directory');
  const options = checked(LOAD_OPTIONS, given, 'options');
  const { family } = await familyOfDirectory(directory);
  return family.open(device, directory, options);
}

/**
 * Checks the config.json of a model directory, whatever its family.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG
 */
export async function checkModelConfig(directory: string): Promise<void> {
  const { family, config, path } = await familyOfDirectory(directory);
  family.checkConfig(config, path);
}

/**
 * What a model directory holds, whatever its family, without reading weights; undefined where the family does not say.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG, INVALID_CHECKPOINT
 */
export async function examineModel(
  directory: string,
  signal?: AbortSignal,
): Promise<ModelContents | undefined> {
  const { family, config, path } = await familyOfDirectory(directory);
  family.checkConfig(config, path);
  return family.examine?.(directory, signal);
}

/**
 * Finds out whether a training run can start, as far as no weights have to be read for it.
 *
 * @throws HintError INVALID_CONFIG where `init` is of another family; as {@link examineModel}; INVALID_CHECKPOINT for
 *   tensors that are missing
 */
export async function checkStart(
  name: string,
  request: Pick<StartRequest, 'system' | 'init'>,
  signal?: AbortSignal,
): Promise<void> {
  const { init } = request;
  const family = await familyOfStart(name, request);
  if (typeof init !== 'string')
    return 'config' in init ? family.checkConfig(init.config, 'model.init.config') : undefined;
  const { missingTensors: missing = [] } = (await examineModel(init, signal)) ?? {};
  if (missing.length === 0) return;
  throw new HintError('INVALID_CHECKPOINT', missingTensors(init, missing));
}

/**
 * The model of the named family that a training run starts from.
 *
 * @throws HintError INVALID_CONFIG where `request.init` is of another family; as {@link openModel}
 */
export async function startModel(device: Device, name: string, request: StartRequest): Promise<AnyModel> {
  return (await familyOfStart(name, request)).start(device, request);
}

async function familyOfStart(
  name: string,
  { system, init }: Pick<StartRequest, 'system' | 'init'>,
): Promise<ModelFamily> {
  const family = modelFamily(name);
  const stored = await storedFamily(init);
  if (stored !== undefined && stored !== family) {
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} trains ${family.title}, but model.init is ${stored.title}; give a directory whose config.json has the model_type "${name}".`,
    );
  }
  return family;
}

/** Undefined for a size, which says nothing of a family. */
async function storedFamily(init: StartRequest['init']): Promise<ReturnType<typeof modelFamily> | undefined> {
  if (typeof init === 'string') return (await familyOfDirectory(init)).family;
  return 'config' in init ? familyOfConfig(init.config) : undefined;
}
