import { join } from 'node:path';
import { readJson } from '../../util/read-file.js';
import type { Device } from '../../tensor/device.js';
import { where, type Kind } from '../../util/arguments.js';
import { loadModel, type LoadModelOptions } from '../checkpoint/checkpoint.js';
import { EncoderDecoderModel } from '../hint/encoder-decoder-model.js';
import { loadDecoderOnlyModel } from '../decoder-only/checkpoint.js';
import { isDecoderOnlyConfig, parseDecoderOnlyConfig } from '../decoder-only/config.js';
import type { DecoderOnlyConfig } from '../decoder-only/config.js';
import { DecoderOnlyModel } from '../decoder-only/decoder-only-model.js';

/** A model of any family. */
export type AnyModel = EncoderDecoderModel | DecoderOnlyModel;

export const anyModel: Kind<AnyModel> = where(
  'a model, such as await loadModel(device, directory) or engine.model',
  (value) => value instanceof EncoderDecoderModel || value instanceof DecoderOnlyModel,
);

/**
 * The configuration of a directory with a decoder-only model, undefined where there is another one.
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG
 */
export async function readDecoderOnlyConfig(directory: string): Promise<DecoderOnlyConfig | undefined> {
  const path = join(directory, 'config.json');
  const json = await readJson(path, 'the model configuration');
  return isDecoderOnlyConfig(json) ? parseDecoderOnlyConfig(json, path) : undefined;
}

/**
 * Opens a model directory of any family: T5 v1.1 or HINT, GPT-2, OPT.
 * @throws HintError as loadModel and loadDecoderOnlyModel
 */
export async function openModel(
  device: Device,
  directory: string,
  options: LoadModelOptions = {},
): Promise<AnyModel> {
  const config = await readDecoderOnlyConfig(directory);
  return config
    ? loadDecoderOnlyModel(device, directory, config, options)
    : loadModel(device, directory, options);
}

/** Whether a model is decoder-only. */
export function isDecoderOnly(model: AnyModel): model is DecoderOnlyModel {
  return model instanceof DecoderOnlyModel;
}

/** Whether a model takes the instruction apart from the input, to read it once per task. */
export function readsInstructionApart(model: AnyModel): boolean {
  return isDecoderOnly(model) || model.hypernetwork?.readsInstruction === true;
}
