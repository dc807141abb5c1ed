import type { Device } from '../../tensor/device.js';
import { HintError } from '../../util/errors.js';
import { readModelFile } from '../config/model-file.js';
import type { ModelFamily, StartRequest } from '../family.js';
import { examineDecoderOnly, initialiseDecoderOnlyModel, loadDecoderOnlyModel } from './checkpoint.js';
import { parseDecoderOnlyConfig, type DecoderOnlyConfig, type DecoderOnlyFamily } from './config.js';
import { DecoderOnlyModel } from './decoder-only-model.js';

/** GPT-2 or OPT: one model class, whose configuration says which of the two it is. */
export function decoderOnlyModels(name: DecoderOnlyFamily, title: string): ModelFamily<DecoderOnlyModel> {
  return {
    name,
    title,
    recognises: (config) => (config as { model_type?: unknown } | null)?.model_type === name,
    owns: (model): model is DecoderOnlyModel =>
      model instanceof DecoderOnlyModel && model.config.family === name,
    checkConfig: (config, source) => void parseDecoderOnlyConfig(config, source),
    examine: async (directory, signal) => examineDecoderOnly(directory, await readConfig(directory), signal),
    open: async (device, directory, options) =>
      loadDecoderOnlyModel(device, directory, await readConfig(directory), options),
    start,
  };
}

export const gpt2Models = decoderOnlyModels('gpt2', 'a GPT-2 model');
export const optModels = decoderOnlyModels('opt', 'an OPT model');

async function start(device: Device, request: StartRequest): Promise<DecoderOnlyModel> {
  const { system, init, dropoutRate, seed, asksForHypernetwork } = request;
  if (asksForHypernetwork || (typeof init !== 'string' && 'size' in init)) {
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} trains a decoder-only model without a hypernetwork, but ${asksForHypernetwork ? 'model.hint or model.hyperencoderInit is set; leave it out' : 'model.init is a size of T5; give a directory or a configuration'}.`,
    );
  }
  if (typeof init === 'string')
    return loadDecoderOnlyModel(device, init, { ...(await readConfig(init)), dropoutRate }, request);
  const config = parseDecoderOnlyConfig(init.config, 'model.init.config');
  return initialiseDecoderOnlyModel(device, { ...config, dropoutRate }, seed);
}

async function readConfig(directory: string): Promise<DecoderOnlyConfig> {
  const { config, path } = await readModelFile(directory);
  return parseDecoderOnlyConfig(config, path);
}
