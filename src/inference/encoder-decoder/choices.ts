import { concatenate } from '../../data/batch.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ChoiceBatch } from '../contract/family.js';
import type { HintTasks } from './compile.js';

/** −log p of every token of every choice, [target rows]: encoder over the inputs, decoder over all their choices. */
export function* choiceLosses(
  model: EncoderDecoderModel,
  tasks: HintTasks,
  { inputs, choices, taskOf }: ChoiceBatch,
): Sliced<Tensor> {
  const targets = concatenate(choices.flat());
  const readers = new Int32Array(inputs.length + 1);
  choices.forEach((own, i) => {
    readers[i + 1] = (readers[i] as number) + own.reduce((sum, { length }) => sum + length, 0);
  });
  const taskOfChoice = Int32Array.from(choices.flatMap((own, i) => own.map(() => taskOf[i] as number)));
  const { encoded, shared } = tasks.resting.readable();
  const memory = yield* model.encodeInputs(concatenate(inputs), encoded, taskOf);
  const hidden = yield* model.decode(targets, { ...memory, readers, shared }, encoded, taskOfChoice);
  const ids = model.device.tensor(targets.ids, [targets.ids.length]);
  return model.t5.losses(hidden, ids).loss;
}
