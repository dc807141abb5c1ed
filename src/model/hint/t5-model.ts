import type { Device } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../config/config.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { EncoderDecoderModel, type EncodedTasks } from './encoder-decoder-model.js';

/** T5 v1.1 by itself, as in Tk-Instruct: an instruction is part of the input, and no task has anything of its own. */
export class T5Model extends EncoderDecoderModel {
  override readonly hypernetwork = undefined;

  /** @throws HintError INVALID_ARGUMENT, also for a configuration with a hypernetwork */
  constructor(device: Device, config: ModelConfig, parameters: ParameterStore) {
    super(device, config, parameters);
    if (config.hint) {
      throw new HintError(
        'INVALID_ARGUMENT',
        'config has a hypernetwork (hint); open the model with buildModel or HintModel, or leave hint out.',
      );
    }
  }

  override *encodeTasks(): Sliced<EncodedTasks> {
    return { instructions: undefined, modules: new Map() };
  }

  protected fused(): undefined {
    return undefined;
  }
}
