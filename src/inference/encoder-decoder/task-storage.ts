import type { SafetensorsDType, SafetensorsFile } from '../../formats/safetensors/file.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { AdaptationName } from '../../model/modules/adaptation-name.js';
import { adaptationTable, attentionWidth } from '../../model/modules/adaptations.js';
import { slotsOf } from '../../model/modules/slots.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import {
  isMatrixModule,
  isPrefixModule,
  type GeneratedTensor,
  type TaskModules,
} from '../../model/modules/task-modules.js';
import { releasePages } from '../../tensor/mapped-file.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { disposeTasks, settled } from '../contract/compiled-tasks.js';
import type { ExpectedTask, Refuse, StoredTask, StoredTaskTensor, TaskStorage } from '../contract/family.js';
import {
  FIRST_FORMAT,
  INSTRUCTION,
  INSTRUCTION_KEYS,
  MAX_INSTRUCTION_TOKENS,
  NARROW_FORMAT,
  ROUNDED_FORMAT,
  type TaskMetadata,
} from '../contract/task-metadata.js';
import {
  asTuned,
  instructionDType,
  regenerateTasks,
  restingDType,
  restoreTasks,
  wholeModules,
  type HintTasks,
} from './compile.js';
import { isQuantized, packedSteps, unpacked } from './quantized-modules.js';
import { TaskTensors } from './task-tensors.js';

/**
 * Files of tasks whose instruction a hypernetwork has read: the modules, the encoded instruction, and the keys and values
 * of that in every decoder layer, [2 · layers, tokens, width], which follow from the former but take as long to compute as
 * loading all the rest does. Where weights are packed, the modules' matrices are packed straight from the file and stay
 * in it otherwise.
 */
export const hintStorage: TaskStorage<EncoderDecoderModel, HintTasks> = {
  stored,
  expected,
  fits: (file, instruction) => instruction?.length === rowsOf(file),
  read,
};

async function stored(model: EncoderDecoderModel, tasks: HintTasks): Promise<StoredTask> {
  const { encoded, shared, dtype } = tasks;
  const { device } = model;
  // What was trained may be trained further, from the values that it has.
  const isNarrow = dtype !== 'f32' && tasks.encodedInstructions !== undefined;
  const { tensors: made, modules } = await device.inSlices(
    device.tidied(modulesToStore(model, tasks, isNarrow)),
  );
  const again = modules === encoded.modules ? [] : [...modules.values()].map(({ tensor }) => tensor);
  const own = new Set([
    ...again,
    ...made.filter(({ dtype }) => dtype === 'int8').flatMap(({ parts }) => parts),
  ]);
  const tensors = [...made];
  if (encoded.instructions) tensors.push(whole(INSTRUCTION, encoded.instructions.rows));
  const slots = Object.fromEntries([...modules].map(([name, module]) => [name, module.slots]));
  const release = (): void => {
    for (const tensor of own) tensor.dispose();
  };
  const keys = shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]);
  const [key] = keys;
  if (!key) return { tensors, slots, release };
  const shape = [keys.length, ...key.shape];
  tensors.push({ name: INSTRUCTION_KEYS, shape, parts: keys, dtype: key.dtype as ops.FloatDType });
  return { tensors, slots, keys: dtype, release };
}

/** Modules as a file holds them; what they are made of again is theirs as far as it is not the task's. */
function* modulesToStore(
  model: EncoderDecoderModel,
  tasks: HintTasks,
  isNarrow: boolean,
): Sliced<{ tensors: StoredTaskTensor[]; modules: TaskModules }> {
  const kept = tasks.encoded.modules;
  const isGone = [...kept.values()].some(
    ({ tensor, packed }) => tensor.disposed && !(isNarrow && isQuantized(packed)),
  );
  const modules = isGone ? yield* wholeModules(model, tasks) : kept;
  const tensors: StoredTaskTensor[] = [];
  for (const [name, { tensor }] of modules) {
    const packed = kept.get(name)?.packed;
    if (isNarrow && isQuantized(packed)) {
      const { steps, scale, rowFactor } = yield* unpacked(packed, tensor.shape);
      tensors.push({ name, shape: tensor.shape, parts: steps, dtype: 'int8' });
      tensors.push(whole(`${name}_scale`, scale), whole(`${name}_factor`, rowFactor));
    } else {
      const isHeldNarrow = isMatrixModule(name) || isPrefixModule(name);
      tensors.push(whole(name, tensor, isNarrow && isHeldNarrow ? 'bf16' : 'f32'));
    }
  }
  return { tensors, modules };
}

function whole(name: string, tensor: Tensor, dtype: ops.FloatDType = 'f32'): StoredTaskTensor {
  return { name, shape: tensor.shape, parts: [tensor], dtype };
}

function expected(
  file: SafetensorsFile,
  { source, inputPrefix, keys, training }: TaskMetadata,
  { config }: EncoderDecoderModel,
  refuse: Refuse,
): ExpectedTask {
  const rows = rowsOf(file);
  const most = Math.min(source?.maxTokens ?? MAX_INSTRUCTION_TOKENS, MAX_INSTRUCTION_TOKENS);
  const table = adaptationTable(config);
  const slots = new Map(table.map(({ name }) => [name as string, slotsOf(config, name)]));
  const tensors = new Map<string, readonly number[]>(
    table.map(({ name, shape }) => [name, [1, slots.get(name)?.length ?? 0, ...shape]]),
  );
  const format = file.metadata.get('format') ?? '';
  const dtypes = new Map(
    table.map(({ name }) => [name as string, dtypesOf(name, format, training !== undefined)]),
  );
  if (format === NARROW_FORMAT) dtypes.set(INSTRUCTION_KEYS, ['F32', 'BF16']);
  for (const { name, shape } of table) {
    if (file.tensors.get(name)?.dtype !== 'I8') continue;
    const [dIn, dOut] = shape as [number, number];
    tensors.set(`${name}_scale`, [1, slots.get(name)?.length ?? 0, dOut]);
    tensors.set(`${name}_factor`, [1, slots.get(name)?.length ?? 0, dIn]);
  }
  tensors.set(INSTRUCTION, [rows, config.dModel]);
  if (keys !== undefined)
    tensors.set(INSTRUCTION_KEYS, [2 * config.numDecoderLayers, rows, attentionWidth(config)]);
  if (rows < 1) refuse('it has no encoded instruction');
  if (rows > most) refuse(`its encoded instruction has ${rows} tokens, the limit is ${most}`);
  if (inputPrefix.length > 0) refuse('it has ids in front of inputs, but this model reads the instruction');
  const hasFusion = config.hint?.instructionFusion === true;
  const isFirst = format === FIRST_FORMAT;
  if (keys !== undefined && (!hasFusion || isFirst))
    refuse(`it claims keys and values of the instruction, which ${isFirst ? 'files of its version' : 'tasks of this model'} do not have`); // prettier-ignore
  if (keys === undefined && hasFusion && !isFirst)
    refuse('it does not say what its keys and values of the instruction were computed in (keys)');
  return { slots, tensors, dtypes };
}

/** The dtypes that files of a version hold a kind of module in. */
function dtypesOf(name: AdaptationName, format: string, isTrained: boolean): SafetensorsDType[] {
  if (format === ROUNDED_FORMAT) return isMatrixModule(name) ? ['F32', 'BF16'] : ['F32'];
  if (format !== NARROW_FORMAT || isTrained) return ['F32'];
  if (isPrefixModule(name)) return ['F32', 'BF16'];
  if (!isMatrixModule(name)) return ['F32'];
  return name.startsWith('adapter') ? ['F32', 'BF16', 'I8'] : ['F32', 'BF16'];
}

/** Tokens of the encoded instruction. */
function rowsOf(file: SafetensorsFile): number {
  return file.tensors.get(INSTRUCTION)?.shape[0] ?? 0;
}

async function read(
  file: SafetensorsFile,
  metadata: TaskMetadata,
  model: EncoderDecoderModel,
  signal: AbortSignal | undefined,
): Promise<HintTasks> {
  const { device } = model;
  await model.prepareInference();
  using tensors = new TaskTensors(file, device, signal);
  let compiled: HintTasks | undefined;
  const modules = new Map<AdaptationName, GeneratedTensor>();
  try {
    const rows = rowsOf(file);
    const offsets = Int32Array.of(0, rows);
    const encoded = await tensors.read(INSTRUCTION, [rows, model.config.dModel], instructionDType(model));
    const instructions = { rows: encoded, offsets };
    if (await readModules(tensors, metadata, model, modules)) {
      const shared = await readKeys(tensors, metadata, model, offsets);
      compiled = await restoreTasks(model, { modules, instructions }, { shared });
    } else {
      compiled = await regenerateTasks(model, instructions);
    }
    await tensors.check(settled(compiled, signal));
    for (const { tensor, inFile } of modules.values()) if (inFile) releasePages(tensor);
    // The windows into it keep its buffer alive.
    tensors.dispose(INSTRUCTION_KEYS);
    return metadata.training ? asTuned(compiled) : compiled;
  } catch (error) {
    if (compiled) disposeTasks(compiled);
    else giveBack(modules);
    tensors.dispose();
    throw error;
  }
}

/**
 * Reads modules one after the other into `modules`.
 *
 * @returns false, and none, where the file holds some in 8 bits that this engine does not multiply by: it makes its own of the
 *   encoded instruction, as exactly as it holds them
 */
async function readModules(
  tensors: TaskTensors,
  metadata: TaskMetadata,
  model: EncoderDecoderModel,
  modules: Map<AdaptationName, GeneratedTensor>,
): Promise<boolean> {
  const { inferenceWeights, t5 } = model;
  for (const { name, shape } of adaptationTable(model.config)) {
    const slots = metadata.slots[name] ?? [];
    const whole = [1, slots.length, ...shape];
    if (tensors.isQuantized(name)) {
      const module =
        inferenceWeights?.moduleDType(name) === 'int8' && (await readQuantized(tensors, name, whole));
      if (!module) {
        giveBack(modules);
        modules.clear();
        return false;
      }
      modules.set(name, { ...module, slots });
      continue;
    }
    const window = inferenceWeights && isMatrixModule(name) ? tensors.window(name) : undefined;
    const ofPrefix = metadata.training ? t5.computeDtype : restingDType(model);
    const dtype = isPrefixModule(name) ? ofPrefix : instructionDType(model);
    const tensor = window ?? (await tensors.read(name, whole, dtype));
    modules.set(name, { tensor, slots, inFile: !!window });
  }
  return true;
}

/** The matrices of a kind as an engine of int8 multiplies by them. */
async function readQuantized(
  tensors: TaskTensors,
  name: AdaptationName,
  whole: readonly number[],
): Promise<Pick<GeneratedTensor, 'tensor' | 'packed'> | undefined> {
  const [, slots, dIn, dOut] = whole as [number, number, number, number];
  const scale = await tensors.read(`${name}_scale`, [1, slots, dOut], 'f32');
  const rowFactor = await tensors.read(`${name}_factor`, [1, slots, dIn], 'f32');
  const tensor = await tensors.readSteps(name, whole);
  const packed = await packedSteps(tensor, scale, rowFactor);
  return packed && { tensor, packed };
}

function giveBack(modules: TaskModules): void {
  for (const { tensor, packed } of modules.values())
    for (const each of [tensor, ...(packed ? ops.packedTensors(packed) : [])]) each.dispose();
}

/** The instruction's keys and values, where the file holds them as this model would compute them. */
async function readKeys(
  tensors: TaskTensors,
  metadata: TaskMetadata,
  model: EncoderDecoderModel,
  offsets: Int32Array,
): Promise<SharedKeys[] | undefined> {
  const { config, device, inferenceDType } = model;
  if (metadata.keys !== inferenceDType) return undefined;
  const { numDecoderLayers } = config;
  const each = [offsets.at(-1) as number, attentionWidth(config)];
  const all = await tensors.read(INSTRUCTION_KEYS, [2 * numDecoderLayers, ...each], restingDType(model));
  return device.tidy(() => {
    const one = (index: number): Tensor => device.keep(all.narrow(index, index + 1).reshape(each));
    return Array.from({ length: numDecoderLayers }, (_, layer) => ({
      sharedKey: one(2 * layer),
      sharedValue: one(2 * layer + 1),
      sharedOffsets: offsets,
    }));
  });
}
