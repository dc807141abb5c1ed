import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import { checkFinite } from '../../model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { MappedTensors } from '../../model/checkpoint/mapped-tensors.js';
import { isDecoderOnly, readsInstructionApart, type AnyModel } from '../../model/families/open-model.js';
import { adaptationTable, attentionWidth } from '../../model/modules/adaptations.js';
import { type AdaptationName } from '../../model/modules/adaptation-name.js';
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors/file.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import { isMatrixModule, type GeneratedTensor } from '../../model/modules/task-modules.js';
import type { Device } from '../../tensor/device.js';
import { releasePages } from '../../tensor/mapped-file.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { disposeTasks, restoreTasks, settled, type CompiledTasks } from '../compile/compiled-tasks.js';
import {
  checkFingerprint,
  checkSeal,
  damaged,
  INSTRUCTION,
  INSTRUCTION_KEYS,
  isSealed,
  parseMetadata,
  type TaskMetadata,
} from './task-file.js';
import { checkTaskFits } from './task-fit.js';
import { instructionIds, sourceKey } from './task-source.js';
import type { TaskSource } from './task.js';

/** A task that came back from its file. */
export interface LoadedTask {
  /** Absent where the model is decoder-only: its instruction, `inputPrefix`, is to be run again. */
  compiled: CompiledTasks | undefined;
  source: TaskSource | undefined;
  inputPrefix: Int32Array;
}

/** Options of {@link loadTaskFile}. */
export interface LoadTaskOptions {
  /** The model's, with which files without a seal are checked to hold the instruction they name. */
  tokenizer?: Tokenizer | undefined;
  /** What the task must have been compiled from. */
  source?: TaskSource | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Reads a task compiled by this very model; its tensors are the caller's. Where weights are packed, the modules' matrices
 * are packed straight from the file and stay in it otherwise: it must not be written to in place or made shorter while
 * the task is in use. Replacing it (by renaming) is harmless.
 *
 * @param fingerprint of `model`
 * @throws HintError FINGERPRINT_MISMATCH for a task of another model; NOT_FOUND, IO, INVALID_FILE, INVALID_CHECKPOINT, ABORTED
 */
export async function loadTaskFile(
  path: string,
  model: AnyModel,
  fingerprint: string,
  { tokenizer, source, signal }: LoadTaskOptions = {},
): Promise<LoadedTask> {
  await using file = await openSafetensors(path);
  const metadata = parseMetadata(file);
  checkFingerprint(path, metadata, fingerprint);
  checkTaskFits(file, metadata, model);
  checkSeal(file);
  if (source && !(metadata.source && sourceKey(metadata.source) === sourceKey(source)))
    throw new HintError('INVALID_FILE', `${path} holds another task than it did; compile the task again.`);
  if (!isSealed(file)) checkSource(file, metadata, model, tokenizer);
  const compiled = isDecoderOnly(model) ? undefined : await read(file, metadata, model, signal);
  return { compiled, source: metadata.source, inputPrefix: Int32Array.from(metadata.inputPrefix) };
}

/**
 * Checks that what a file was compiled from has as many tokens as the instruction that it holds, or the same where the ids
 * are there: the task cache finds a task by it.
 *
 * @throws HintError INVALID_CHECKPOINT
 */
function checkSource(
  file: SafetensorsFile,
  { source, inputPrefix }: TaskMetadata,
  model: AnyModel,
  tokenizer: Tokenizer | undefined,
): void {
  if (!source || !tokenizer || !readsInstructionApart(model)) return;
  let ids: Int32Array | undefined;
  try {
    ids = instructionIds(tokenizer, source);
  } catch (cause) {
    throw damaged(file.path, `what it was compiled from cannot be compiled (${(cause as Error).message})`);
  }
  const fits = isDecoderOnly(model) ? ids?.join() === inputPrefix.join() : ids?.length === rowsOf(file);
  if (!fits) throw damaged(file.path, 'the instruction it holds is not the one it says it was compiled from');
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
): Promise<CompiledTasks> {
  const { device } = model;
  await model.prepareInference();
  if (!model.hypernetwork?.readsInstruction) {
    const none = { ids: new Int32Array(), offsets: Int32Array.of(0) };
    const encoded = await device.inSlices(device.tidied(model.encodeTasks(none)));
    const compiled = await restoreTasks(model, encoded);
    await settled(compiled, signal).catch((error: unknown) => {
      disposeTasks(compiled);
      throw error;
    });
    return compiled;
  }
  using tensors = new TaskTensors(file, device, model.t5.computeDtype, signal);
  let compiled: CompiledTasks | undefined;
  try {
    const modules = await readModules(tensors, metadata, model);
    const rows = rowsOf(file);
    const offsets = Int32Array.of(0, rows);
    const instructions = { rows: await tensors.read(INSTRUCTION, [rows, model.config.dModel]), offsets };
    const shared = await readKeys(tensors, metadata, model, offsets);
    compiled = await restoreTasks(model, { modules, instructions }, shared);
    await tensors.check(settled(compiled, signal));
    for (const { tensor, inFile } of modules.values()) if (inFile) releasePages(tensor);
    // Its windows keep it.
    tensors.dispose(INSTRUCTION_KEYS);
    return compiled;
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
    const tensor = device.keep(window ? ops.copy(window) : device.tensor(null, shape, 'f32'));
    this.tensors.set(name, tensor);
    let at = 0;
    for await (const piece of window ? [] : this.file.pieces(name, this.signal)) {
      device.write(tensor, piece, at);
      at += piece.length;
    }
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
