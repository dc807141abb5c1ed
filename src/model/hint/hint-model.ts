import { checkTokenIds, type Ragged } from '../../data/batch.js';
import type { Device } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../config/config.js';
import { makesModulesAgain } from '../memory/backward-plan.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import type { ForwardOptions } from '../trainable/trainable.js';
import { checkNoEmptySequence, EncoderDecoderModel, type EncodedTasks } from './encoder-decoder-model.js';
import { Hypernetwork, type EncodedInstructions } from './hypernetwork.js';

/**
 * T5 v1.1 with a hypernetwork: paper §3. An instruction is encoded once; adapters and prefixes are generated from it
 * for every layer, and the decoder reads it in front of each input.
 */
export class HintModel extends EncoderDecoderModel {
  override readonly hypernetwork: Hypernetwork;

  /** @throws HintError INVALID_ARGUMENT, also for a configuration without a hypernetwork */
  constructor(device: Device, config: ModelConfig, parameters: ParameterStore) {
    super(device, config, parameters);
    if (!config.hint) {
      throw new HintError(
        'INVALID_ARGUMENT',
        'config has no hypernetwork (hint is undefined); open a plain T5 with buildModel or T5Model.',
      );
    }
    this.hypernetwork = new Hypernetwork(
      { device, config, weights: this.weights.ofHypernetwork },
      config.hint,
    );
  }

  /** Instructions → encoded instructions and modules; each distinct instruction once (law 5). */
  *encodeTasks(instructions: Ragged, options: ForwardOptions = {}): Sliced<EncodedTasks> {
    checkTokenIds(instructions.ids, this.config.vocabSize);
    let encoded: EncodedInstructions | undefined;
    if (this.hypernetwork.readsInstruction) {
      checkNoEmptySequence(instructions, 'instruction');
      if (instructions.offsets.length < 2) {
        throw new HintError(
          'INVALID_DATA',
          'This model generates its modules from an instruction, but the batch has none; use a system that feeds instructions.',
        );
      }
      encoded = yield* this.hypernetwork.encode(instructions, options);
    }
    if (makesModulesAgain(options.backward) && this.device.tape && this.hypernetwork.generatesBySlot) {
      return {
        instructions: encoded,
        modules: new Map(),
        maker: this.hypernetwork.maker(encoded, options),
      };
    }
    return { instructions: encoded, modules: yield* this.hypernetwork.generate(encoded, options) };
  }

  /** Fusion (method §2.6): in front of the encoded input, cross-attention reads the encoded instruction. */
  protected fused({ instructions }: EncodedTasks): EncodedInstructions | undefined {
    return this.config.hint?.instructionFusion ? instructions : undefined;
  }
}
