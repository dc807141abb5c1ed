import { join } from 'node:path';
import { checkFinite, saveStored, type StoredModel } from '../../model/checkpoint/checkpoint.js';
import type { StoredTensor, TrainableModel } from '../../model/trainable/trainable.js';
import { openSafetensors, toFloat32InPieces, writeSafetensors } from '../../formats/safetensors/file.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Optimizer, SavedMoment } from '../step/optimizer.js';

const OPTIMIZER_FILE = 'optimizer.safetensors';

// Beyond what a copy takes, for what else comes and goes while it is written.
const SPARE = 1.1;

/** What a checkpoint is written from. */
export interface CheckpointContent {
  readonly model: StoredModel;
  /** In the order in which they must be read. */
  readonly moments: readonly SavedMoment[];
  /** Name of the optimizer. */
  readonly optimizer: string;
}

/**
 * The weights and moments of this moment, copied into the host's memory behind what the device has before it, so that training can
 * go on at once. Where several ranks train, rank 0 has those of all, which the others give meanwhile.
 *
 * @returns undefined where the host has too little memory left for a copy
 */
export async function copyContent(
  model: TrainableModel,
  optimizer: Optimizer,
): Promise<CheckpointContent | undefined> {
  const values = [...model.storedTensors(), ...optimizer.savedState()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  );
  if (4 * values * SPARE > process.availableMemory()) return undefined;
  return model.device.inSlices(copies(contentOf(model, optimizer)));
}

function* copies({ model, moments, optimizer }: CheckpointContent): Sliced<CheckpointContent> {
  const tensors: StoredTensor[] = [];
  for (const { name, shape, read } of model.storedTensors()) {
    const values = begun(read());
    tensors.push({ name, shape, read: () => values });
    yield;
  }
  const copied: SavedMoment[] = [];
  for (const { name, shape, data } of moments) {
    const values = begun(data());
    copied.push({ name, shape, data: () => values });
    yield;
  }
  const file = model.configFile();
  return {
    model: { storedTensors: () => tensors, configFile: () => file },
    moments: copied,
    optimizer,
  };
}

/** Whoever awaits it gets its error; until then the error is not unhandled. */
function begun<T>(reading: Promise<T>): Promise<T> {
  reading.catch(() => undefined);
  return reading;
}

/**
 * Writes the model's files and the optimizer's moments, all f32, so that nothing is rounded.
 *
 * @param metadata what the model's file says of itself
 * @throws HintError IO
 */
export async function writeContent(
  directory: string,
  { model, moments, optimizer }: CheckpointContent,
  metadata: Record<string, string> = {},
): Promise<void> {
  await saveStored(model, directory, { metadata });
  const tensors = moments.map((moment) => ({ ...moment, dtype: 'F32' as const }));
  await writeSafetensors(join(directory, OPTIMIZER_FILE), tensors, { optimizer });
}

/**
 * A model and its moments as they are, which must not change while they are written. Where several ranks train, rank 0 has
 * those of all, which the others give it meanwhile.
 */
export function contentOf(model: TrainableModel, optimizer: Optimizer): CheckpointContent {
  return { model, moments: optimizer.savedState(), optimizer: optimizer.settings.name };
}

/**
 * Puts the moments of a checkpoint back.
 * @throws HintError INVALID_CHECKPOINT when they are those of another optimizer or model, or one is no finite number,
 *   NOT_FOUND, IO
 */
export async function readOptimizerState(
  directory: string,
  optimizer: Optimizer,
  signal?: AbortSignal,
): Promise<void> {
  await using file = await openSafetensors(join(directory, OPTIMIZER_FILE));
  await optimizer.restore(async (name) => {
    const info = file.tensors.get(name);
    if (!info) return undefined;
    const values = await toFloat32InPieces(await file.read(name, signal), info.dtype);
    await checkFinite(values, `The moment ${name} of ${file.path}`, signal);
    return values;
  });
}
