import type { RaggedBatch } from '../../data/batch.js';
import type { EncodedTasks, EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import type { AdaptationName } from '../../model/modules/adaptation-name.js';
import type { GeneratedTensor } from '../../model/modules/task-modules.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError } from '../../util/errors.js';
import type { TaskTuning } from '../contract/task-tuning.js';
import { asTuned, takenIn, wholeModules, type HintTasks } from './compile.js';

/**
 * Few-shot tuning from generated modules: adapters, prefixes and LoRA of a task are trained, the encoded instruction
 * and the model stay as they are.
 */
export const hintTuning: TaskTuning<EncoderDecoderModel, HintTasks> = { parameters, losses, tuned };

function* parameters(model: EncoderDecoderModel, task: HintTasks): Sliced<Map<string, Tensor>> {
  const { hypernetwork } = model;
  const { encoded } = task;
  if (!hypernetwork?.readsInstruction || encoded.modules.size === 0) {
    throw new HintError(
      'NOT_SUPPORTED',
      'This model makes no modules (adapters, prefixes, LoRA) of an instruction, so its tasks have nothing to train; open a model whose hypernetwork makes some, or train a model with "hint train".',
    );
  }
  const copies = new Map<string, Tensor>();
  for (const [name, { tensor }] of yield* wholeModules(model, task)) {
    copies.set(name, copyOf(tensor, 'f32'));
    yield;
  }
  return copies;
}

function* losses(
  model: EncoderDecoderModel,
  { encoded }: HintTasks,
  trained: ReadonlyMap<string, Tensor>,
  { inputs, targets, taskIndex }: RaggedBatch,
): Sliced<Tensor> {
  const { instructions } = encoded;
  const tasks: EncodedTasks = {
    // The weights that are read while a tape records compute in f32.
    instructions: instructions && { ...instructions, rows: asDType(instructions.rows, 'f32') },
    modules: replaced(encoded, trained, (tensor) => tensor),
  };
  const memory = yield* model.encodeInputs(inputs, tasks, taskIndex);
  const hidden = yield* model.decode(targets, memory, tasks, taskIndex);
  return model.t5.losses(hidden, model.device.tensor(targets.ids, [targets.ids.length])).loss;
}

async function tuned(
  model: EncoderDecoderModel,
  { encoded }: HintTasks,
  trained: ReadonlyMap<string, Tensor>,
): Promise<HintTasks> {
  await model.prepareInference();
  const { device } = model;
  const dtype = model.t5.computeDtype;
  const own = device.tidy((): EncodedTasks => ({
    instructions: encoded.instructions && copyOfInstructions(encoded.instructions),
    modules: replaced(encoded, trained, (tensor) => copyOf(tensor, dtype)),
  }));
  return asTuned(await takenIn(model, own));
}

function copyOfInstructions(instructions: EncodedInstructions): EncodedInstructions {
  const { rows } = instructions;
  return { ...instructions, rows: ops.copy(rows) };
}

/** The modules of a task with other values. */
function replaced(
  { modules }: EncodedTasks,
  trained: ReadonlyMap<string, Tensor>,
  use: (tensor: Tensor) => Tensor,
): Map<AdaptationName, GeneratedTensor> {
  return new Map(
    [...modules].map(([name, { slots }]) => [name, { tensor: use(trained.get(name) as Tensor), slots }]),
  );
}

function asDType(tensor: Tensor, dtype: ops.FloatDType): Tensor {
  return tensor.dtype === dtype ? tensor : ops.cast(tensor, dtype);
}

function copyOf(tensor: Tensor, dtype: ops.FloatDType): Tensor {
  return tensor.dtype === dtype ? ops.copy(tensor) : ops.cast(tensor, dtype);
}
