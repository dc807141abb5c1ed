import { join } from 'node:path';
import { checkFinite, saveStored, type StoredModel } from '../../model/checkpoint/checkpoint.js';
import type { StoredTensor, TrainableModel } from '../../model/trainable/trainable.js';
import { toFloat32InPieces } from '../../formats/safetensors/file.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Optimizer, SavedMoment } from '../step/optimizer.js';
import { joinMoments, momentsFile, openMoments, writeMoments } from './moment-files.js';

// Beyond what a copy takes, for what else comes and goes while it is written.
const SPARE = 1.1;

/** What a checkpoint is written from. */
export interface CheckpointContent {
  readonly model: StoredModel;
  /** In the order in which they must be read. */
  readonly moments: readonly SavedMoment[];
  /** Name of the optimizer. */
  readonly optimizer: string;
  /** Where each rank writes the moments that it has: whose these are, and where the others are. */
  readonly shards?: MomentShards | undefined;
}

/** The moments of a checkpoint among the ranks that write them. */
export interface MomentShards {
  readonly rank: number;
  readonly ranks: number;
  /** Of every moment by its name. */
  readonly owners: ReadonlyMap<string, number>;
  /** Whether a rank is lost. */
  readonly isLost: () => boolean;
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
  shards?: MomentShards,
): Promise<CheckpointContent | undefined> {
  const content = contentOf(model, optimizer, shards);
  if (!hasRoom([...model.storedTensors(), ...content.moments])) return undefined;
  return model.device.inSlices(copies(content));
}

/** The same of the moments that this rank has; undefined where there is too little memory for a copy. */
export async function copyOwnMoments(
  model: TrainableModel,
  optimizer: Optimizer,
): Promise<readonly SavedMoment[] | undefined> {
  const moments = optimizer.ownState();
  return hasRoom(moments) ? model.device.inSlices(copiesOf(moments)) : undefined;
}

function hasRoom(tensors: readonly { shape: readonly number[] }[]): boolean {
  const values = tensors.reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  );
  return 4 * values * SPARE <= process.availableMemory();
}

function* copiesOf(moments: readonly SavedMoment[]): Sliced<SavedMoment[]> {
  const copied: SavedMoment[] = [];
  for (const { name, shape, data } of moments) {
    const values = begun(data());
    copied.push({ name, shape, data: () => values });
    yield;
  }
  return copied;
}

function* copies({ model, moments, optimizer, shards }: CheckpointContent): Sliced<CheckpointContent> {
  const tensors: StoredTensor[] = [];
  for (const { name, shape, read } of model.storedTensors()) {
    const values = begun(read());
    tensors.push({ name, shape, read: () => values });
    yield;
  }
  const copied = yield* copiesOf(moments);
  const file = model.configFile();
  return {
    model: { storedTensors: () => tensors, configFile: () => file },
    moments: copied,
    optimizer,
    shards,
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
  { model, moments, optimizer, shards }: CheckpointContent,
  metadata: Record<string, string> = {},
): Promise<void> {
  await saveStored(model, directory, { metadata });
  await writeMoments(join(directory, momentsFile(shards)), moments, optimizer);
  if (shards) await joinMoments(directory, shards);
}

/**
 * A model and its moments as they are, which must not change while they are written. Where several ranks train, rank 0 has
 * those of all, which the others give it meanwhile.
 */
export function contentOf(
  model: TrainableModel,
  optimizer: Optimizer,
  shards?: MomentShards,
): CheckpointContent {
  const moments = shards ? optimizer.ownState() : optimizer.savedState();
  return { model, moments, optimizer: optimizer.settings.name, shards };
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
  await using file = await openMoments(directory);
  await optimizer.restore(async (name) => {
    const info = file.tensors.get(name);
    if (!info) return undefined;
    const values = await toFloat32InPieces(await file.read(name, signal), info.dtype);
    await checkFinite(values, `The moment ${name} of ${file.path}`, signal);
    return values;
  });
}
