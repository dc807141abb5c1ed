import type { Device } from '../../tensor/device.js';
import { adaptConfig, loadModel } from '../checkpoint/checkpoint.js';
import { examineCheckpoint } from '../checkpoint/stored-config.js';
import { parseModelConfig, readModelConfig, type ModelConfig } from '../config/config.js';
import type { ModelFamily, StartRequest } from '../family.js';
import { EncoderDecoderModel } from '../hint/encoder-decoder-model.js';
import { initialiseWithCopies } from '../parameters/initialise.js';
import { buildModel } from '../hint/build-model.js';
import { sizedConfig } from '../config/sizes.js';

/**
 * T5, mT5 and umT5, with a hypernetwork beside it or without. It is asked last and takes every configuration that no other family
 * recognises: its reader says what is wrong with one that is not T5's either.
 */
export const t5Models: ModelFamily<EncoderDecoderModel> = {
  name: 't5',
  title: 'a T5 or HINT model',
  recognises: () => true,
  owns: (model): model is EncoderDecoderModel => model instanceof EncoderDecoderModel,
  checkConfig: (config, source) => void parseModelConfig(config, source),
  examine: examineCheckpoint,
  open: loadModel,
  start: startT5,
};

async function startT5(device: Device, request: StartRequest): Promise<EncoderDecoderModel> {
  const { init, dropoutRate, seed, hyperencoderInit = 'pretrained', signal, onProgress } = request;
  const base = { ...(await storedConfig(init)), dropoutRate };
  const hint = request.hypernetwork(base);
  const withoutHint = hint === undefined;
  if (typeof init === 'string')
    return loadModel(device, init, {
      hint,
      withoutHint,
      hyperencoderInit,
      dropoutRate,
      seed,
      signal,
      onProgress,
    });
  const full = adaptConfig(base, { hint, withoutHint });
  const copies = hyperencoderInit === 'pretrained';
  return buildModel(device, full, await initialiseWithCopies(device, full, seed, copies));
}

async function storedConfig(init: StartRequest['init']): Promise<ModelConfig> {
  if (typeof init === 'string') return readModelConfig(init);
  return 'size' in init ? sizedConfig(init.size) : parseModelConfig(init.config, 'model.init.config');
}
