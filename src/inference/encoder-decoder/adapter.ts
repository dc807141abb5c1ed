import type { PeftAdapter } from '../../formats/peft/adapter.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { modulesOfAdapter } from '../../model/modules/adapter-modules.js';
import type { AdaptationName } from '../../model/modules/adaptation-name.js';
import { slotCount } from '../../model/modules/slots.js';
import type { GeneratedTensor } from '../../model/modules/task-modules.js';
import * as ops from '../../tensor/ops.js';
import { HintError } from '../../util/errors.js';
import { takenIn, type HintTasks } from './compile.js';

/**
 * A task of a plain T5 that an adapter of PEFT changes: its LoRA acts as that of a compiled task.
 *
 * @throws HintError NOT_SUPPORTED, INVALID_CHECKPOINT
 */
export async function taskOfAdapter(
  model: EncoderDecoderModel,
  adapter: PeftAdapter,
  folder: string,
): Promise<HintTasks> {
  const { device, config, hypernetwork } = model;
  if (hypernetwork)
    throw new HintError(
      'NOT_SUPPORTED',
      `${folder} is an adapter of PEFT, which belongs to a T5 without hypernetwork; open that model, or compile a task of this one.`,
    );
  const parts = modulesOfAdapter(config, adapter);
  await model.prepareInference();
  const dtype = model.t5.computeDtype;
  const slots = Array.from({ length: slotCount(config) }, (_, slot) => slot);
  const modules = device.tidy(() => {
    const made = new Map<AdaptationName, GeneratedTensor>();
    for (const [name, { shape, values }] of parts) {
      const tensor = device.tensor(values, shape);
      made.set(name, { tensor: dtype === 'f32' ? tensor : ops.cast(tensor, dtype), slots });
    }
    return made;
  });
  return {
    ...(await takenIn(model, { instructions: undefined, modules }, { keepsTensors: false })),
    readFrom: folder,
  };
}
