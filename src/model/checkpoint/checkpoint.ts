import { join } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import { firstNonFinite, releasePages } from '../../tensor/mapped-file.js';
import type * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  boolean,
  callback,
  checked,
  choice,
  integer,
  number,
  optional,
  options as optionsOf,
  path,
  record,
  signal,
  text,
} from '../../util/arguments.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { makeFolder } from '../../util/write-error.js';
import { HINT_CONFIG, readModelConfig, type HintConfig, type ModelConfig } from '../config/config.js';
import { variantOf } from '../config/variant.js';
import { roundParameter, type TensorSummary } from '../parameters/tensor-summary.js';
import { buildModel } from '../hint/build-model.js';
import type { EncoderDecoderModel } from '../hint/encoder-decoder-model.js';
import { initialisations } from '../parameters/initialisation.js';
import { parameterShapes } from '../parameters/parameter-shapes.js';
import { MappedTensors } from './mapped-tensors.js';
import { withoutPadding } from './padded-table.js';
import { missingTensors, storedName, withStoredHead } from './stored-config.js';
import { checkUnusedTensors, t5Rule } from './unused-tensors.js';
import { asFloat32, isRounded } from '../parameters/dtypes.js';
import { copiedFrom, initialTensor } from '../parameters/initialise.js';
import { DEVICE, ParameterStore } from '../parameters/parameter-store.js';
import { openWeights } from '../../formats/checkpoint/open-weights.js';
import {
  toBfloat16InPieces,
  toFloat32InPieces,
  writeSafetensors,
  type TensorInfo,
} from '../../formats/safetensors/file.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';
import { TRAINABLE, type TrainableModel } from '../trainable/trainable.js';

/** How a model directory is opened. */
export interface LoadModelOptions {
  /** The model's hypernetwork instead of the directory's own; tensors that are new with it start fresh. */
  hint?: HintConfig | undefined;
  /** How a hyperencoder or decoder generator that is new starts: as T5's own (default), or fresh too. */
  hyperencoderInit?: 'pretrained' | 'random' | undefined;
  /** Drop the directory's hypernetwork: plain T5 from a HINT checkpoint. */
  withoutHint?: boolean | undefined;
  /** From 0 to below 1, instead of that of config.json; matters for training alone. */
  dropoutRate?: number | undefined;
  /**
   * Use weights where they lie in the file, as far as it holds them in f32 or bf16 and the device computes in host
   * memory: they take no memory of their own until they are changed, and opening copies nothing. The file must not be
   * written to in place or made shorter while the model is open; replacing it (by renaming) is harmless.
   */
  mapped?: boolean | undefined;
  /**
   * What inference will hold matrices in. Where the device reads weights as they are, those of bf16 are held in nothing
   * else: rounded one by one as they come, or taken from a bf16 file as it has them.
   */
  dtype?: ops.WeightDType | undefined;
  /** For tensors that start fresh. */
  seed?: number | undefined;
  /** Ends the reading, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with the number of tensors read, and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export const LOAD_OPTIONS = optionsOf<LoadModelOptions>({
  hint: optional(HINT_CONFIG),
  hyperencoderInit: optional(choice('pretrained', 'random')),
  withoutHint: optional(boolean),
  dropoutRate: optional(number(0, 1, { below: true })),
  mapped: optional(boolean),
  dtype: optional(choice('f32', 'bf16', 'int8')),
  seed: optional(integer(0)),
  signal: optional(signal),
  onProgress: optional(callback()),
});

/** How a model directory is written. */
export interface SaveModelOptions {
  /** Of the weights (default F32). */
  dtype?: 'F32' | 'BF16';
  /** Free-form strings for the header of the weights' file. */
  metadata?: Record<string, string>;
  /** Ends the writing, which rejects with ABORTED and leaves the old files. */
  signal?: AbortSignal | undefined;
}

const SAVE = optionsOf<SaveModelOptions>({
  dtype: optional(choice('F32', 'BF16')),
  metadata: optional(record(text)),
  signal: optional(signal),
});

// Values checked for NaN between two turns of the event loop: about a millisecond.
const CHECK_CHUNK = 1 << 20;

/**
 * Opens a checkpoint directory: config.json and weights in any form that openWeights reads, ours or any T5, mT5 or umT5 of
 * Hugging Face.
 * @throws HintError NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT (missing tensor, wrong shape, NaN), NOT_SUPPORTED,
 *   LIMIT_EXCEEDED, ABORTED
 */
export async function loadModel(
  device: Device,
  directory: string,
  given: LoadModelOptions = {},
): Promise<EncoderDecoderModel> {
  checked(DEVICE, device, 'device');
  checked(path, directory, 'directory');
  const options = checked(LOAD_OPTIONS, given, 'options');
  const described = await readModelConfig(directory);
  await using opened = await openWeights(directory);
  const file = withoutPadding(opened, described);
  const stored = await withStoredHead(described, file, options.signal);
  const config = adaptConfig(stored, options);
  const shapes = parameterShapes(config);
  const starts = initialisations(config);
  const promised = parameterShapes(stored);
  const dropped = options.withoutHint ? [...file.tensors.keys()].filter((name) => /^(hypernetwork|peft)\./.test(name)) : []; // prettier-ignore
  const names = [...shapes.keys(), ...promised.keys(), ...dropped];
  await checkUnusedTensors(
    file,
    t5Rule(names, sourceOf('shared.weight', file) ?? 'shared.weight'),
    options.signal,
  );
  const mapped = options.mapped && device.packsWeights ? new MappedTensors(device, file) : undefined;
  const rounds = options.dtype === 'bf16' && !device.packsWeights;
  const tensors = new Map<string, Tensor>();
  const summaries = new Map<string, TensorSummary>();
  try {
    let done = 0;
    for (const [name, shape] of shapes) {
      throwIfAborted(options.signal);
      const source = sourceOf(name, file);
      if (source && rounds && isRounded({ shape })) {
        const { tensor, summary } = await loadRounded(device, file, source, shape, options.signal);
        tensors.set(name, tensor);
        if (summary) summaries.set(name, summary);
      } else {
        const tensor = source
          ? await loadTensor(device, file, source, shape, mapped, options.signal)
          : initialTensor(
              device,
              starts.get(name) ?? missing(name, directory),
              shape,
              options.seed ?? 0,
              name,
            );
        tensors.set(name, tensor);
      }
      options.onProgress?.(++done, shapes.size);
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    for (const { total, head } of summaries.values()) for (const tensor of [total, head]) tensor.dispose();
    throw error;
  }
  return buildModel(device, config, new ParameterStore(tensors, summaries));

  function missing(name: string, where: string): never {
    const others = [...promised.keys()].filter(
      (other) => other !== name && storedName(other, file, variantOf(config).tiedHead) === undefined,
    );
    throw new HintError('INVALID_CHECKPOINT', missingTensors(where, [name, ...others]));
  }

  /** The file's name for a tensor; undefined: it starts fresh. */
  function sourceOf(name: string, from: WeightFile): string | undefined {
    const stored = storedName(name, from, variantOf(config).tiedHead);
    if (stored !== undefined) return stored;
    const isNew = !promised.has(name);
    const copied = isNew && options.hyperencoderInit !== 'random' ? copiedFrom(name) : undefined;
    if (copied && from.tensors.has(copied)) return copied;
    return isNew ? undefined : missing(name, directory);
  }
}

async function loadTensor(
  device: Device,
  file: WeightFile,
  name: string,
  shape: readonly number[],
  mapped: MappedTensors | undefined,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  checkShape(file, name, shape);
  const tensor = mapped?.tensor(name);
  if (!tensor) return device.upload(await readValues(file, name, shape, signal), shape);
  try {
    const index = await firstNonFinite(tensor);
    if (index >= 0) {
      using value = device.tidy(() => asFloat32(tensor.reshape([tensor.size]).narrow(index, index + 1)));
      throw notFinite(describe(file, name), index, await value.item());
    }
  } catch (error) {
    tensor.dispose();
    throw error;
  }
  releasePages(tensor);
  return tensor;
}

/** A tensor in bf16, and, where that rounds it, the summary of what the file holds. */
async function loadRounded(
  device: Device,
  file: WeightFile,
  name: string,
  shape: readonly number[],
  signal: AbortSignal | undefined,
): Promise<{ tensor: Tensor; summary?: TensorSummary }> {
  if (checkShape(file, name, shape).dtype === 'BF16')
    return { tensor: await loadBytes(device, file, name, shape, signal) };
  const wide = await device.upload(await readValues(file, name, shape, signal), shape);
  return roundParameter(wide);
}

/** A bf16 tensor as its file holds it, all values finite. */
async function loadBytes(
  device: Device,
  file: WeightFile,
  name: string,
  shape: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const tensor = device.keep(device.tensor(null, shape, 'bf16'));
  try {
    let at = 0;
    let finite = true;
    for await (const piece of file.pieces(name, signal)) {
      finite &&= allFinite(piece);
      device.write(tensor, piece, at);
      at += piece.length;
    }
    // Tells which it is.
    if (!finite) await readValues(file, name, shape, signal);
    return tensor;
  } catch (error) {
    tensor.dispose();
    throw error;
  }
}

/** Whether bf16 values are all finite: none has an exponent of ones alone. */
function allFinite(bytes: Uint8Array): boolean {
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  let finite = true;
  for (let i = 0; i < values.length; i++) finite &&= ((values[i] as number) & 0x7f80) !== 0x7f80;
  return finite;
}

/** The configuration of a model that is opened with other options than it was stored with. */
export function adaptConfig(stored: ModelConfig, options: LoadModelOptions): ModelConfig {
  const { hint: storedHint, ...plain } = stored;
  const hint = options.withoutHint ? undefined : (options.hint ?? storedHint);
  return { ...plain, dropoutRate: options.dropoutRate ?? stored.dropoutRate, ...(hint ? { hint } : {}) };
}

/**
 * A tensor of a checkpoint as f32, every value of it finite.
 * @throws HintError INVALID_CHECKPOINT when it is missing or has another shape, ABORTED
 */
export async function readValues(
  file: WeightFile,
  name: string,
  shape: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const info = checkShape(file, name, shape);
  const what = describe(file, name);
  const values = await toFloat32InPieces(await file.read(name, signal), info.dtype, what);
  await checkFinite(values, what, signal);
  return values;
}

function checkShape(file: WeightFile, name: string, shape: readonly number[]): TensorInfo {
  const info = file.tensors.get(name);
  if (info && info.shape.length === shape.length && info.shape.every((side, i) => side === shape[i]))
    return info;
  throw new HintError(
    'INVALID_CHECKPOINT',
    `${describe(file, name)} has shape [${info?.shape.join(', ')}]; config.json asks for [${shape.join(', ')}].`,
  );
}

function describe(file: WeightFile, name: string): string {
  return `The tensor ${name} of ${file.path}`;
}

function notFinite(what: string, index: number, value: number): HintError {
  return new HintError(
    'INVALID_CHECKPOINT',
    `${what} holds ${value} at index ${index}; the checkpoint is damaged or its training diverged.`,
  );
}

/** @throws HintError INVALID_CHECKPOINT naming the first value that is no finite number */
export async function checkFinite(values: Float32Array, what: string, signal?: AbortSignal): Promise<void> {
  for (let begin = 0; begin < values.length; begin += CHECK_CHUNK) {
    throwIfAborted(signal);
    const end = Math.min(values.length, begin + CHECK_CHUNK);
    // A sum stays finite unless a value is not: one branch a chunk instead of one a value.
    let sum = 0;
    for (let i = begin; i < end; i++) sum += values[i] as number;
    if (!Number.isFinite(sum)) {
      const index = values.findIndex((value) => !Number.isFinite(value));
      throw notFinite(what, index, values[index] as number);
    }
    if (end < values.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Writes config.json and model.safetensors (f32 or bf16) into `directory`, each atomically.
 *
 * @throws HintError INVALID_ARGUMENT, IO, ABORTED
 */
export async function saveModel(
  model: TrainableModel,
  directory: string,
  given: SaveModelOptions = {},
): Promise<void> {
  checked(TRAINABLE, model, 'model');
  checked(path, directory, 'directory');
  await saveStored(model, directory, checked(SAVE, given, 'options'));
}

/** A model as its files hold it. */
export type StoredModel = Pick<TrainableModel, 'storedTensors' | 'configFile'>;

/** {@link saveModel} of what its files are made of. @throws HintError IO, ABORTED */
export async function saveStored(
  model: StoredModel,
  directory: string,
  options: SaveModelOptions,
): Promise<void> {
  await makeFolder(directory);
  const dtype = options.dtype ?? 'F32';
  const tensors = model.storedTensors().map(({ name, shape, read }) => ({
    name,
    dtype,
    shape,
    data: async () => {
      const values = await read();
      return dtype === 'F32' ? new Uint8Array(values.buffer) : toBfloat16InPieces(values);
    },
  }));
  await writeSafetensors(
    join(directory, 'model.safetensors'),
    tensors,
    { format: 'pt', ...options.metadata },
    options.signal,
  );
  await writeFileAtomic(join(directory, 'config.json'), `${JSON.stringify(model.configFile(), null, 2)}\n`);
}
