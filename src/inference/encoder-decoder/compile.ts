import type { Ragged } from '../../data/batch.js';
import type { EncodedTasks, EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import type { AdaptationName } from '../../model/modules/adaptation-name.js';
import { isPrefixModule, packModules, type TaskModules } from '../../model/modules/task-modules.js';
import { cast, packedTensors, type FloatDType, type WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { RestingTasks } from './resting-tasks.js';

/** Tasks of T5 and HINT. */
export interface HintTasks extends CompiledTasks {
  /** As they are kept; layers read what {@link resting} gives. */
  readonly encoded: EncodedTasks;
  /** Per decoder layer the cross-attention keys and values of the encoded instructions; none without fusion. */
  readonly shared: readonly SharedKeys[];
  readonly resting: RestingTasks;
  /** What the model's matrices were held in when {@link shared} was computed. */
  readonly dtype: WeightDType;
}

/**
 * Runs the hypernetwork over distinct instructions, once: adapters, prefixes, LoRA, encoded instructions, and their
 * keys and values in every decoder layer.
 */
export function compileHintTasks(model: EncoderDecoderModel, instructions: Ragged): Promise<HintTasks> {
  return model.device.inSlices(model.device.tidied(compile(model, instructions)), { isPatient: true });
}

function* compile(model: EncoderDecoderModel, instructions: Ragged): Sliced<HintTasks> {
  const encoded = yield* model.encodeTasks(instructions);
  const ready = canRegenerate(model, encoded)
    ? yield* packed(model, yield* rested(model, encoded), { keepsTensors: false })
    : yield* packed(model, encoded, { keepsTensors: true });
  return yield* withSharedKeys(model, ready);
}

/**
 * Tasks whose modules and encoded instructions exist already, as in a task file. Modules with a value that is no finite
 * number make the result fail with NUMERIC where the model's weights are packed.
 *
 * @param options `shared`: keys and values of the instructions, where they exist too: of this model in its present dtype;
 *   `keepsTensors` false where nobody asks for the modules' matrices as they were given
 */
export function restoreTasks(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  options: { shared?: readonly SharedKeys[] | undefined; keepsTensors?: boolean } = {},
): Promise<HintTasks> {
  return model.device.inSlices(model.device.tidied(restore(model, encoded, options)), { isPatient: true });
}

/**
 * Tasks of which only the encoded instructions are left: the modules are generated again, with the values they had.
 * `instructions` become part of the result.
 */
export function regenerateTasks(
  model: EncoderDecoderModel,
  instructions: EncodedInstructions,
): Promise<HintTasks> {
  return model.device.inSlices(model.device.tidied(regenerate(model, instructions)), { isPatient: true });
}

/** {@link restoreTasks} of tensors that go with it where it fails. */
export async function takenIn(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  options: { keepsTensors?: boolean } = {},
): Promise<HintTasks> {
  try {
    return await restoreTasks(model, encoded, options);
  } catch (error) {
    encoded.instructions?.rows.dispose();
    for (const { tensor } of encoded.modules.values()) tensor.dispose();
    throw error;
  }
}

/** Tasks whose modules no instruction makes again. */
export function asTuned(tasks: HintTasks): HintTasks {
  return { ...tasks, encodedInstructions: undefined };
}

function* regenerate(model: EncoderDecoderModel, instructions: EncodedInstructions): Sliced<HintTasks> {
  const modules = model.hypernetwork ? yield* model.hypernetwork.generate(instructions) : new Map();
  const encoded = yield* rested(model, { instructions, modules });
  return yield* withSharedKeys(model, yield* packed(model, encoded, { keepsTensors: false }));
}

function* restore(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  { shared, keepsTensors = true }: { shared?: readonly SharedKeys[] | undefined; keepsTensors?: boolean },
): Sliced<HintTasks> {
  const ready = yield* packed(model, encoded, { finite: true, keepsTensors });
  if (shared) return hintTasks(model, ready, shared);
  return yield* withSharedKeys(model, ready);
}

/** With packed modules where the model's own weights are packed. */
function* packed(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  options: { keepsTensors: boolean; finite?: boolean },
): Sliced<EncodedTasks> {
  const weights = model.inferenceWeights;
  if (!weights) return encoded;
  const dtypeOf = (name: AdaptationName): WeightDType | undefined => weights.moduleDType(name);
  return { ...encoded, modules: yield* packModules(encoded.modules, dtypeOf, options) };
}

/** With prefixes as tasks are kept; those given are given back. */
function* rested(model: EncoderDecoderModel, encoded: EncodedTasks): Sliced<EncodedTasks> {
  const modules = new Map(encoded.modules);
  for (const [name, module] of encoded.modules) {
    if (!isPrefixModule(name)) continue;
    modules.set(name, { ...module, tensor: atRest(model, module.tensor) });
    yield;
  }
  return { ...encoded, modules };
}

/** What tasks keep prefixes and keys in. */
export function restingDType({ inferenceWeights, t5 }: EncoderDecoderModel): FloatDType {
  return inferenceWeights?.restingDType ?? t5.computeDtype;
}

/** What the hypernetwork makes of instructions, and so what it reads of encoded ones. */
export function instructionDType({ inferenceWeights, t5 }: EncoderDecoderModel): FloatDType {
  return inferenceWeights?.ofHypernetwork.computeDtype ?? t5.computeDtype;
}

/** A tensor in the dtype that tasks keep; the one given is given back where that is another. */
function atRest(model: EncoderDecoderModel, tensor: Tensor): Tensor {
  const dtype = restingDType(model);
  if (tensor.dtype === dtype) return tensor;
  const kept = cast(tensor, dtype);
  tensor.dispose();
  return kept;
}

/** Whether the hypernetwork makes the modules again, with the values that they have, of what a task keeps. */
function canRegenerate({ hypernetwork }: EncoderDecoderModel, { instructions }: EncodedTasks): boolean {
  return hypernetwork !== undefined && instructions !== undefined;
}

/** The modules with their matrices as they were generated: made again where a task keeps them packed alone. */
export function* wholeModules(model: EncoderDecoderModel, { encoded }: HintTasks): Sliced<TaskModules> {
  const { modules, instructions } = encoded;
  const isWhole = [...modules.values()].every(({ tensor }) => !tensor.disposed);
  if (isWhole || !model.hypernetwork) return modules;
  return yield* model.hypernetwork.generate(instructions);
}

function* withSharedKeys(model: EncoderDecoderModel, encoded: EncodedTasks): Sliced<HintTasks> {
  const { instructions } = encoded;
  if (!instructions || !model.config.hint?.instructionFusion) return hintTasks(model, encoded, []);
  const tasks = model.taskRows(encoded, taskNumbers(instructions.offsets), instructions.offsets);
  const shared: SharedKeys[] = [];
  for (let layer = 0; layer < model.config.numDecoderLayers; layer++) {
    const { sharedKey, sharedValue, sharedOffsets } = model.t5.sharedKeys(layer, instructions, tasks);
    shared.push({
      sharedKey: atRest(model, sharedKey),
      sharedValue: atRest(model, sharedValue),
      sharedOffsets,
    });
    yield;
  }
  return hintTasks(model, encoded, shared);
}

function taskNumbers(offsets: Int32Array): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, task) => task);
}

function hintTasks(
  model: EncoderDecoderModel,
  encoded: EncodedTasks,
  shared: readonly SharedKeys[],
): HintTasks {
  const { instructions } = encoded;
  const modules = [...encoded.modules.values()];
  const tensors: Tensor[] = [
    ...(instructions ? [instructions.rows] : []),
    ...modules.flatMap(({ tensor, packed }) => [
      ...(tensor.disposed ? [] : [tensor]),
      ...(packed ? packedTensors(packed) : []),
    ]),
    ...shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]),
  ];
  // Modules that are mapped from a file take no memory of the device.
  const inFile = new Set(modules.filter((module) => module.inFile).map(({ tensor }) => tensor));
  return {
    encoded,
    shared,
    resting: new RestingTasks({ encoded, shared }, model.t5.computeDtype),
    dtype: model.inferenceDType,
    tensors,
    bytes: tensors.reduce((total, tensor) => total + (inFile.has(tensor) ? 0 : tensor.bytes), 0),
    instructionTokens: instructions?.rows.shape[0] ?? 0,
    encodedInstructions: modules.length > 0 ? instructions : undefined,
  };
}
