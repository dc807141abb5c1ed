import type { SafetensorsFile } from '../../formats/safetensors/file.js';
import { checkFinite } from '../../model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { MappedTensors } from '../../model/checkpoint/mapped-tensors.js';
import type { AdaptationName } from '../../model/modules/adaptation-name.js';
import { adaptationTable, attentionWidth } from '../../model/modules/adaptations.js';
import { slotsOf } from '../../model/modules/slots.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import { isMatrixModule, type GeneratedTensor } from '../../model/modules/task-modules.js';
import type { Device } from '../../tensor/device.js';
import { releasePages } from '../../tensor/mapped-file.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { HintError } from '../../util/errors.js';
import { disposeTasks, settled } from '../contract/compiled-tasks.js';
import type { ExpectedTask, Refuse, StoredTask, StoredTaskTensor, TaskStorage } from '../contract/family.js';
import {
  FIRST_FORMAT,
  INSTRUCTION,
  INSTRUCTION_KEYS,
  MAX_INSTRUCTION_TOKENS,
  type TaskMetadata,
} from '../contract/task-metadata.js';
import { asTuned, restoreTasks, wholeModules, type HintTasks } from './compile.js';

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
  const modules = await device.inSlices(device.tidied(wholeModules(model, tasks)));
  const again = modules === encoded.modules ? [] : [...modules.values()].map(({ tensor }) => tensor);
  const release = (): void => {
    for (const tensor of again) tensor.dispose();
  };
  const whole = (name: string, tensor: Tensor, dtype: ops.FloatDType = 'f32'): StoredTaskTensor => ({
    name,
    shape: tensor.shape,
    parts: [tensor],
    dtype,
  });
  // What was trained may be trained further, from the values that it has.
  const isRounded = dtype !== 'f32' && tasks.encodedInstructions !== undefined;
  const tensors = [...modules].map(([name, { tensor }]) =>
    whole(name, tensor, isRounded && isMatrixModule(name) ? 'bf16' : 'f32'),
  );
  if (encoded.instructions) tensors.push(whole(INSTRUCTION, encoded.instructions.rows));
  const slots = Object.fromEntries([...modules].map(([name, module]) => [name, module.slots]));
  const keys = shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]);
  const [key] = keys;
  if (!key) return { tensors, slots, release };
  tensors.push({ name: INSTRUCTION_KEYS, shape: [keys.length, ...key.shape], parts: keys });
  return { tensors, slots, keys: dtype, release };
}

function expected(
  file: SafetensorsFile,
  { source, inputPrefix, keys }: TaskMetadata,
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
  tensors.set(INSTRUCTION, [rows, config.dModel]);
  if (keys !== undefined)
    tensors.set(INSTRUCTION_KEYS, [2 * config.numDecoderLayers, rows, attentionWidth(config)]);
  if (rows < 1) refuse('it has no encoded instruction');
  if (rows > most) refuse(`its encoded instruction has ${rows} tokens, the limit is ${most}`);
  if (inputPrefix.length > 0) refuse('it has ids in front of inputs, but this model reads the instruction');
  const hasFusion = config.hint?.instructionFusion === true;
  const isFirst = file.metadata.get('format') === FIRST_FORMAT;
  if (keys !== undefined && (!hasFusion || isFirst))
    refuse(`it claims keys and values of the instruction, which ${isFirst ? 'files of its version' : 'tasks of this model'} do not have`); // prettier-ignore
  if (keys === undefined && hasFusion && !isFirst)
    refuse('it does not say what its keys and values of the instruction were computed in (keys)');
  const rounded = new Set<string>(table.map(({ name }) => name).filter(isMatrixModule));
  return { slots, tensors, rounded };
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
  using tensors = new TaskTensors(file, device, model.t5.computeDtype, signal);
  let compiled: HintTasks | undefined;
  try {
    const modules = await readModules(tensors, metadata, model);
    const rows = rowsOf(file);
    const offsets = Int32Array.of(0, rows);
    const instructions = { rows: await tensors.read(INSTRUCTION, [rows, model.config.dModel]), offsets };
    const shared = await readKeys(tensors, metadata, model, offsets);
    compiled = await restoreTasks(model, { modules, instructions }, { shared });
    await tensors.check(settled(compiled, signal));
    for (const { tensor, inFile } of modules.values()) if (inFile) releasePages(tensor);
    // The windows into it keep its buffer alive.
    tensors.dispose(INSTRUCTION_KEYS);
    return metadata.training ? asTuned(compiled) : compiled;
  } catch (error) {
    if (compiled) disposeTasks(compiled);
    tensors.dispose();
    throw error;
  }
}

async function readModules(
  tensors: TaskTensors,
  metadata: TaskMetadata,
  { config, inferenceWeights }: EncoderDecoderModel,
): Promise<Map<AdaptationName, GeneratedTensor>> {
  const modules = new Map<AdaptationName, GeneratedTensor>();
  for (const { name, shape } of adaptationTable(config)) {
    const slots = metadata.slots[name] ?? [];
    const whole = [1, slots.length, ...shape];
    const window = inferenceWeights && isMatrixModule(name) ? tensors.window(name) : undefined;
    modules.set(name, { tensor: window ?? (await tensors.read(name, whole)), slots, inFile: !!window });
  }
  return modules;
}

/** The instruction's keys and values, where the file holds them as this model would compute them. */
async function readKeys(
  tensors: TaskTensors,
  metadata: TaskMetadata,
  { config, device, inferenceDType }: EncoderDecoderModel,
  offsets: Int32Array,
): Promise<SharedKeys[] | undefined> {
  if (metadata.keys !== inferenceDType) return undefined;
  const { numDecoderLayers } = config;
  const each = [offsets.at(-1) as number, attentionWidth(config)];
  const all = await tensors.read(INSTRUCTION_KEYS, [2 * numDecoderLayers, ...each]);
  return device.tidy(() => {
    const one = (index: number): Tensor => device.keep(all.narrow(index, index + 1).reshape(each));
    return Array.from({ length: numDecoderLayers }, (_, layer) => ({
      sharedKey: one(2 * layer),
      sharedValue: one(2 * layer + 1),
      sharedOffsets: offsets,
    }));
  });
}

/** The tensors of a task file on the device, on their way to be checked. */
class TaskTensors {
  private readonly mapped: MappedTensors | undefined;
  private readonly tensors = new Map<string, Tensor>();
  /** Not finite if a value that was read is not. */
  private readonly norm: Tensor;

  constructor(
    private readonly file: SafetensorsFile,
    private readonly device: Device,
    /** What tensors are read into. */
    private readonly dtype: ops.FloatDType,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.mapped = device.packsWeights ? new MappedTensors(device, file) : undefined;
    this.norm = device.keep(device.full([1], 0));
  }

  get path(): string {
    return this.file.path;
  }

  /** A tensor in memory of the device's own. @throws HintError INVALID_CHECKPOINT, IO, ABORTED */
  async read(name: string, shape: readonly number[]): Promise<Tensor> {
    const { device } = this;
    using window = this.window(name);
    const held = this.file.tensors.get(name)?.dtype === 'BF16' ? 'bf16' : 'f32';
    const stored = device.keep(window ? ops.copy(window) : device.tensor(null, shape, held));
    this.tensors.set(name, stored);
    let at = 0;
    for await (const piece of window ? [] : this.file.pieces(name, this.signal)) {
      device.write(stored, piece, at);
      at += piece.length;
    }
    const tensor = held === 'f32' ? stored : device.keep(ops.cast(stored, 'f32'));
    this.tensors.set(name, tensor);
    if (tensor !== stored) stored.dispose();
    ops.addSquareNorm(tensor, this.norm);
    if (this.dtype === 'f32') return tensor;
    const rounded = device.keep(ops.cast(tensor, this.dtype));
    this.tensors.set(name, rounded);
    tensor.dispose();
    return rounded;
  }

  /** A tensor where it lies in the file, undefined where that cannot be; its user checks its values. */
  window(name: string): Tensor | undefined {
    const tensor = this.mapped?.tensor(name);
    if (tensor) this.tensors.set(name, tensor);
    return tensor;
  }

  /**
   * Waits for what is made of the tensors.
   *
   * @throws HintError INVALID_CHECKPOINT naming a value that is no finite number; what `made` rejects with
   */
  async check(made: Promise<void>): Promise<void> {
    const [norm, rest] = await Promise.allSettled([this.norm.item(), made]);
    const isNumeric = rest.status === 'rejected' && (rest.reason as HintError).code === 'NUMERIC';
    if (isNumeric || (norm.status === 'fulfilled' && !Number.isFinite(norm.value))) {
      for (const [name, tensor] of this.tensors)
        await checkFinite(await this.values(tensor), `The tensor ${name} of ${this.path}`, this.signal);
    }
    for (const result of [rest, norm]) if (result.status === 'rejected') throw result.reason;
  }

  private async values(tensor: Tensor): Promise<Float32Array> {
    using wide = this.device.keep(ops.cast(tensor, 'f32'));
    return await wide.read();
  }

  /** Gives one, or all of them, back. */
  dispose(only?: string): void {
    for (const [name, tensor] of this.tensors) if (name === (only ?? name)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.norm.dispose();
  }
}
