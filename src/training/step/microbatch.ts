import { HintError } from '../../util/errors.js';
import type { RaggedBatch } from '../../data/batch.js';
import type { BackwardPlan } from '../../model/memory/backward-plan.js';
import type { DropoutPlan } from '../../model/trainable/dropout.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import { Tape, type Gradients } from '../../tensor/tape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** How a microbatch is run. */
export interface MicrobatchOptions {
  /** The parameters whose gradients are wanted. */
  readonly parameters: readonly Tensor[];
  readonly zLoss: number;
  readonly dropout?: DropoutPlan | undefined;
  /** What the backward pass runs again; absent: nothing. */
  readonly backward?: BackwardPlan | undefined;
  /** Told of each parameter, by its id, when all that this microbatch adds to its gradient is enqueued. */
  readonly onFinal?: ((parameter: number) => void) | undefined;
  /** Given the sums where they are on the device, [1] each: cross entropy and z-loss. They end with the call. */
  readonly onSums?: ((crossEntropy: Tensor, zLoss: Tensor) => void) | undefined;
}

/** Sums over the target tokens of one or several microbatches. */
export interface LossSums {
  crossEntropy: number;
  zLoss: number;
}

/** A microbatch that the device has before it. */
export interface EnqueuedMicrobatch {
  /** Resolves once the device has got there; rejects with the error of what it depends on. */
  readonly sums: Promise<LossSums>;
}

/**
 * Enqueues forward and backward pass of a microbatch and adds d(sum of the loss over tokens)/d(parameter) to
 * `gradients` (method §6: a sum, not a mean, so that microbatches just add up). The event loop turns in between.
 *
 * @returns when everything is enqueued
 */
export async function accumulateGradients(
  model: TrainableModel,
  batch: RaggedBatch,
  gradients: Gradients,
  options: MicrobatchOptions,
): Promise<EnqueuedMicrobatch> {
  const { device } = model;
  // Packed weights of earlier inference would take memory, and would stand in for the parameters in a layer that runs again.
  model.releaseInference?.();
  const roots = await device.inSlices(device.tidied(forwardAndBackward(model, batch, gradients, options)));
  const [crossEntropy, zLoss] = roots as [Tensor, Tensor];
  options.onSums?.(crossEntropy, zLoss);
  const sums = readSums(roots);
  // The caller awaits the sums and gets their error; until then a failure must not count as unhandled.
  sums.catch(() => undefined);
  return { sums };
}

function* forwardAndBackward(
  model: TrainableModel,
  batch: RaggedBatch,
  gradients: Gradients,
  options: MicrobatchOptions,
): Sliced<Tensor[]> {
  const tape = new Tape(model.device, options.parameters);
  const roots = yield* tape.recording(lossSums(model, batch, options));
  yield* tape.backwardSliced(roots, gradients, options.onFinal);
  return roots;
}

/** Forward pass only. */
export async function evaluateLoss(
  model: TrainableModel,
  batch: RaggedBatch,
  zLoss: number,
): Promise<LossSums> {
  const { device } = model;
  return readSums(await device.inSlices(device.tidied(lossSums(model, batch, { zLoss }))));
}

/**
 * Cross entropy of every target token, forward pass only, in the order of the batch's targets. Weights that inference has
 * packed are given back first: what is read then does not depend on what ran before.
 */
export async function targetLosses(model: TrainableModel, batch: RaggedBatch): Promise<Float32Array> {
  const { device } = model;
  model.releaseInference?.();
  const losses = await device.inSlices(device.tidied(tokenLosses(model, batch)));
  const read = losses[0].read();
  losses[0].dispose();
  return read;
}

function* tokenLosses(model: TrainableModel, batch: RaggedBatch): Sliced<[Tensor]> {
  return [(yield* model.loss(batch, { zLoss: 0 })).loss];
}

function* lossSums(
  model: TrainableModel,
  batch: RaggedBatch,
  { zLoss, dropout, backward }: Omit<MicrobatchOptions, 'parameters'>,
): Sliced<Tensor[]> {
  const { loss, zTerm } = yield* model.loss(batch, { zLoss, dropout, backward });
  return [ops.sum(loss), ops.sum(zTerm)];
}

async function readSums(sums: Tensor[]): Promise<LossSums> {
  const reads = sums.map((sum) => sum.item());
  // Freeing is stream-ordered: the reads above come first.
  for (const sum of sums) sum.dispose();
  const [crossEntropy, zLoss] = await Promise.all(reads);
  if (crossEntropy === undefined || zLoss === undefined)
    throw new HintError('INTERNAL', 'A microbatch has no loss.');
  return { crossEntropy, zLoss };
}
