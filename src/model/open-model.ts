import { join } from 'node:path';
import { readJson } from '../util/read-file.js';
import type { Device } from '../tensor/device.js';
import { where, type Kind } from '../util/arguments.js';
import { loadModel, type LoadModelOptions } from './checkpoint.js';
import { HintModel } from './hint.js';
import { loadLanguageModel } from './language-model/checkpoint.js';
import { isLanguageModelConfig, parseLanguageModelConfig } from './language-model/config.js';
import type { LanguageModelConfig } from './language-model/config.js';
import { LanguageModel } from './language-model/language-model.js';

/** A model of any family. */
export type AnyModel = HintModel | LanguageModel;

export const anyModel: Kind<AnyModel> = where(
  'a model, such as await loadModel(device, directory) or engine.model',
  (value) => value instanceof HintModel || value instanceof LanguageModel,
);

/**
 * The configuration of a directory with a decoder-only model, undefined where there is another one.
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG
 */
export async function readLanguageModelConfig(directory: string): Promise<LanguageModelConfig | undefined> {
  const path = join(directory, 'config.json');
  const json = await readJson(path, 'the model configuration');
  return isLanguageModelConfig(json) ? parseLanguageModelConfig(json, path) : undefined;
}

/**
 * Opens a model directory of any family: T5 v1.1 or HINT, GPT-2, OPT.
 * @throws HintError as loadModel and loadLanguageModel
 */
export async function openModel(
  device: Device,
  directory: string,
  options: LoadModelOptions = {},
): Promise<AnyModel> {
  const config = await readLanguageModelConfig(directory);
  return config
    ? loadLanguageModel(device, directory, config, options)
    : loadModel(device, directory, options);
}

/** Whether a model is decoder-only. */
export function isLanguageModel(model: AnyModel): model is LanguageModel {
  return model instanceof LanguageModel;
}

/** Whether a model takes the instruction apart from the input, to read it once per task. */
export function readsInstructionApart(model: AnyModel): boolean {
  return isLanguageModel(model) || model.hypernetwork?.readsInstruction === true;
}
