import { concatenate, type Ragged } from '../../data/batch.js';
import type { EncodedTasks, EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import { instructionTokens } from '../../model/decoder-only/prompt.js';
import { isDecoderOnly, type AnyModel } from '../../model/families/open-model.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import { packModules } from '../../model/modules/task-modules.js';
import { packedTensors, type WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { abortable } from '../../util/abortable.js';
import { runForKeys } from '../decoder-only/network.js';

/** Everything about some tasks that does not depend on the input (method §9.1). */
export interface CompiledTasks {
  encoded: EncodedTasks;
  /**
   * Per decoder layer the keys and values of the instructions: those of cross-attention for encoded instructions (none
   * without fusion), those of self-attention where the model is decoder-only.
   */
  shared: SharedKeys[];
  /** What the model's matrices were held in when {@link shared} was computed. */
  dtype: WeightDType;
  /** The instructions as they were given, of decoder-only models: what a task file holds of them. */
  prompts?: Ragged;
}

/**
 * Runs the hypernetwork over distinct instructions, once: adapters, prefixes, LoRA, encoded instructions, and their
 * keys and values in every decoder layer. Resolves when all is enqueued. The tensors belong to the caller: {@link disposeTasks}.
 *
 * @param instructions one sequence per task, end of sequence included; none for models that read no instruction
 * @throws HintError INVALID_TOKEN, INVALID_DATA for an instruction without tokens
 */
export async function compileTasks(model: AnyModel, instructions: Ragged): Promise<CompiledTasks> {
  if (isDecoderOnly(model)) return compileForDecoderOnly(model, instructions);
  return model.device.inSlices(model.device.tidied(compile(model, instructions)));
}

function* compile(model: EncoderDecoderModel, instructions: Ragged): Sliced<CompiledTasks> {
  return yield* withSharedKeys(model, packed(model, yield* model.encodeTasks(instructions)));
}

/** A decoder-only model's tasks: the keys and values of the instruction's own tokens in every layer. */
async function compileForDecoderOnly(
  model: DecoderOnlyModel,
  { ids, offsets }: Ragged,
): Promise<CompiledTasks> {
  const encoded = { instructions: undefined, modules: new Map() };
  const count = offsets.length - 1;
  if (count === 0) return { encoded, shared: [], dtype: 'f32' };
  const sequences = concatenate(
    Array.from({ length: count }, (_, task) =>
      instructionTokens(model.config, ids.subarray(offsets[task], offsets[task + 1])),
    ),
  );
  const keys = await runForKeys(model, sequences, undefined, undefined);
  const shared = keys.map(({ key, value }) => ({
    sharedKey: key,
    sharedValue: value,
    sharedOffsets: sequences.offsets,
  }));
  return { encoded, shared, dtype: 'f32', prompts: { ids, offsets } };
}

/**
 * Tasks whose modules and encoded instructions exist already, as in a task file. Modules with a value that is no finite
 * number make the result fail with NUMERIC where the model's weights are packed.
 *
 * @param shared keys and values of the instructions, where they exist too: of this model in its present dtype
 */
export function restoreTasks(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  shared?: SharedKeys[],
): Promise<CompiledTasks> {
  return model.device.inSlices(model.device.tidied(restore(model, encoded, shared)));
}

/**
 * Tasks of which only the encoded instructions are left: the modules are generated again, with the values they had.
 * `instructions` become part of the result.
 */
export function regenerateTasks(
  model: EncoderDecoderModel,
  instructions: EncodedInstructions,
): Promise<CompiledTasks> {
  return model.device.inSlices(model.device.tidied(regenerate(model, instructions)));
}

function* regenerate(model: EncoderDecoderModel, instructions: EncodedInstructions): Sliced<CompiledTasks> {
  const modules = model.hypernetwork ? yield* model.hypernetwork.generate(instructions) : new Map();
  return yield* withSharedKeys(model, packed(model, { instructions, modules }));
}

function* restore(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  shared: SharedKeys[] | undefined,
): Sliced<CompiledTasks> {
  const ready = packed(model, encoded, { finite: true });
  if (shared) return { encoded: ready, shared, dtype: model.inferenceDType };
  return yield* withSharedKeys(model, ready);
}

/** With packed modules where the model's own weights are packed. */
function packed(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  options: { finite?: boolean } = {},
): EncodedTasks {
  const dtype = model.inferenceWeights?.moduleDType;
  if (!dtype) return encoded;
  return { ...encoded, modules: packModules(encoded.modules, dtype, options) };
}

function* withSharedKeys(model: EncoderDecoderModel, encoded: EncodedTasks): Sliced<CompiledTasks> {
  const { instructions } = encoded;
  const { inferenceDType: dtype } = model;
  if (!instructions || !model.config.hint?.instructionFusion) return { encoded, shared: [], dtype };
  const tasks = model.taskRows(encoded, taskNumbers(instructions.offsets), instructions.offsets);
  const shared: SharedKeys[] = [];
  for (let layer = 0; layer < model.config.numDecoderLayers; layer++) {
    shared.push(model.t5.sharedKeys(layer, instructions, tasks));
    yield;
  }
  return { encoded, shared, dtype };
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

/** Bytes that tasks take on their device: all but modules that are used where they lie in a file. */
export function bytesOfTasks(tasks: CompiledTasks): number {
  const inFile = new Set([...tasks.encoded.modules.values()].filter((m) => m.inFile).map((m) => m.tensor));
  return tensorsOf(tasks).reduce((total, tensor) => total + (inFile.has(tensor) ? 0 : tensor.bytes), 0);
}

/**
 * Waits until tasks are there, so that what goes wrong is told now and not to their first input.
 *
 * @throws what making them failed with; ABORTED
 */
export async function settled(tasks: CompiledTasks, signal: AbortSignal | undefined): Promise<void> {
  // Of several windows of one tensor, one tells.
  const wholes = new Map(tensorsOf(tasks).map((tensor) => [tensor.base?.tensor ?? tensor, tensor]));
  await abortable(Promise.all([...wholes.values()].map(readFirstValue)), signal);
}

async function readFirstValue(tensor: Tensor): Promise<void> {
  const { device, size } = tensor;
  using value = device.tidy(() => tensor.reshape([size]).narrow(0, Math.min(1, size)));
  await value.readBytes();
}

/** Gives the memory of tasks back once the work that uses it has run. */
export function disposeTasks(tasks: CompiledTasks): void {
  for (const tensor of tensorsOf(tasks)) tensor.dispose();
}
