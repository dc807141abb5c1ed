import { join } from 'node:path';
import { checkFinite, saveModel } from '../../model/checkpoint/checkpoint.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { openSafetensors, toFloat32InPieces, writeSafetensors } from '../../formats/safetensors/file.js';
import type { Optimizer } from '../step/optimizer.js';

const OPTIMIZER_FILE = 'optimizer.safetensors';

/**
 * Writes the model's files and the optimizer's moments, all f32, so that nothing is rounded. Where several ranks train, rank 0
 * writes, and all others give it the moments that they have meanwhile.
 *
 * @param metadata what the model's file says of itself
 */
export async function writeTrainingCheckpoint(
  directory: string,
  model: TrainableModel,
  optimizer: Optimizer,
  metadata: Record<string, string> = {},
): Promise<void> {
  await saveModel(model, directory, { metadata });
  const tensors = optimizer.savedState().map((moment) => ({ ...moment, dtype: 'F32' as const }));
  await writeSafetensors(join(directory, OPTIMIZER_FILE), tensors, { optimizer: optimizer.settings.name });
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
