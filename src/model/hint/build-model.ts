import type { Device } from '../../tensor/device.js';
import { checked } from '../../util/arguments.js';
import { MODEL_CONFIG, type ModelConfig } from '../config/config.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import type { EncoderDecoderModel } from './encoder-decoder-model.js';
import { HintModel } from './hint-model.js';
import { T5Model } from './t5-model.js';

/**
 * The model of a configuration: HINT where it has a hypernetwork, else a plain T5.
 *
 * @param parameters become the model's, which disposes them
 * @throws HintError INVALID_ARGUMENT
 */
export function buildModel(
  device: Device,
  config: ModelConfig,
  parameters: ParameterStore,
): EncoderDecoderModel {
  const { hint } = checked(MODEL_CONFIG, config, 'config');
  return hint ? new HintModel(device, config, parameters) : new T5Model(device, config, parameters);
}
