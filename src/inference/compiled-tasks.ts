import type { Ragged } from '../data/batch.js';
import type { EncodedTasks, HintModel } from '../model/hint.js';
import type { SharedKeys } from '../model/t5.js';
import { packModules } from '../model/task-modules.js';
import { packedTensors } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';

/** Everything about some tasks that does not depend on the input (method §9.1). */
export interface CompiledTasks {
  encoded: EncodedTasks;
  /** Per decoder layer the cross-attention keys and values of the encoded instructions; empty without fusion. */
  shared: SharedKeys[];
}

/**
 * Runs the hypernetwork over distinct instructions, once: adapters, prefixes, LoRA, encoded instructions, and their
 * keys and values in every decoder layer. Only enqueues. The tensors belong to the caller: {@link disposeTasks}.
 *
 * @param instructions one sequence per task, end of sequence included; none for models that read no instruction
 * @throws HintError INVALID_TOKEN, INVALID_DATA for an instruction without tokens
 */
export function compileTasks(model: HintModel, instructions: Ragged): CompiledTasks {
  return keepAll(
    model,
    model.device.tidy(() => withSharedKeys(model, packed(model, model.encodeTasks(instructions)))),
  );
}

/** Tasks whose modules and encoded instructions exist already, as in a task file. */
export function restoreTasks(model: HintModel, encoded: EncodedTasks): CompiledTasks {
  return keepAll(
    model,
    model.device.tidy(() => withSharedKeys(model, packed(model, encoded))),
  );
}

/** With packed modules where the model's own weights are packed. */
function packed(model: HintModel, encoded: EncodedTasks): EncodedTasks {
  const { inferenceWeights } = model.t5;
  if (!inferenceWeights) return encoded;
  return { ...encoded, modules: packModules(encoded.modules, inferenceWeights.dtype) };
}

function withSharedKeys(model: HintModel, encoded: EncodedTasks): CompiledTasks {
  const { instructions } = encoded;
  if (!instructions || !model.config.hint?.instructionFusion) return { encoded, shared: [] };
  const tasks = model.taskRows(encoded, taskNumbers(instructions.offsets), instructions.offsets);
  const layers = Array.from({ length: model.config.numDecoderLayers }, (_, layer) => layer);
  return { encoded, shared: layers.map((layer) => model.t5.sharedKeys(layer, instructions, tasks)) };
}

function keepAll(model: HintModel, tasks: CompiledTasks): CompiledTasks {
  for (const tensor of tensorsOf(tasks)) model.device.keep(tensor);
  return tasks;
}

function taskNumbers(offsets: Int32Array): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, task) => task);
}

/** Every tensor that tasks own. */
export function tensorsOf({ encoded, shared }: CompiledTasks): Tensor[] {
  return [
    ...(encoded.instructions ? [encoded.instructions.rows] : []),
    ...[...encoded.modules.values()].flatMap(({ tensor, packed }) => [
      tensor,
      ...(packed ? packedTensors(packed) : []),
    ]),
    ...shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]),
  ];
}

/** Gives the memory of tasks back once the work that uses it has run. */
export function disposeTasks(tasks: CompiledTasks): void {
  for (const tensor of tensorsOf(tasks)) tensor.dispose();
}
