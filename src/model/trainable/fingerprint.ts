import { releasePages } from '../../tensor/mapped-file.js';
import type { Sliced } from '../../tensor/slices.js';
import { checked } from '../../util/arguments.js';
import { sha256Hex } from '../../util/hash.js';
import { summaryOf, type TensorSummary } from '../parameters/tensor-summary.js';
import { TRAINABLE, type TrainableModel } from './trainable.js';

/**
 * What tells two models apart: their configuration, and of every tensor its square norm and first values. Training
 * for a single step changes it; loading the same files does not.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export async function modelFingerprint(model: TrainableModel): Promise<string> {
  checked(TRAINABLE, model, 'model');
  const { device } = model;
  const parts: (string | Uint8Array)[] = [JSON.stringify({ ...model.configFile(), dropout_rate: 0 })];
  const made = await device.inSlices(device.tidied(summaries(model)));
  for (const [name] of model.parameters.storedEntries()) {
    const { total, head } = model.parameters.summary(name) ?? (made.get(name) as TensorSummary);
    parts.push(name, new Uint8Array(await total.readBytes()), new Uint8Array(await head.readBytes()));
  }
  for (const { total, head } of made.values()) for (const tensor of [total, head]) tensor.dispose();
  return sha256Hex(...parts);
}

function* summaries({ parameters }: TrainableModel): Sliced<Map<string, TensorSummary>> {
  const all = new Map<string, TensorSummary>();
  for (const [name, tensor] of parameters.storedEntries()) {
    if (parameters.summary(name)) continue;
    all.set(name, summaryOf(tensor));
    releasePages(tensor);
    yield;
  }
  return all;
}
