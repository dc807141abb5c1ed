import { releasePages } from '../../tensor/mapped-file.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checked } from '../../util/arguments.js';
import { sha256Hex } from '../../util/hash.js';
import { asFloat32 } from '../parameters/parameter-store.js';
import { TRAINABLE, type TrainableModel } from './trainable.js';

/** What a fingerprint knows of a tensor. */
export interface TensorSummary {
  /** Its square norm. */
  total: Tensor;
  /** Its first values, in f32. */
  head: Tensor;
}

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

/** Enqueues rounding a parameter to bf16, and the summary of what it was; `wide` goes. */
export function roundParameter(wide: Tensor): { tensor: Tensor; summary: TensorSummary } {
  const { device } = wide;
  const tensor = device.keep(ops.cast(wide, 'bf16'));
  const summary = summaryOf(wide);
  wide.dispose();
  return { tensor, summary };
}

/** Enqueues a tensor's summary, which its maker disposes. */
export function summaryOf(tensor: Tensor): TensorSummary {
  const { device } = tensor;
  return device.tidy(() => {
    const total = device.full([1], 0);
    ops.addSquareNorm(asFloat32(tensor), total);
    // A copy: a window would keep all of the tensor.
    const head = ops.cast(tensor.reshape([tensor.size]).narrow(0, Math.min(256, tensor.size)), 'f32');
    return { total, head };
  });
}
