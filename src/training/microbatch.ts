import { HintError } from '../errors.js';
import type { RaggedBatch } from '../data/batch.js';
import type { DropoutPlan } from '../model/dropout.js';
import type { HintModel } from '../model/hint.js';
import * as ops from '../tensor/ops.js';
import { Tape, type Gradients } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';

/** How a microbatch is run. */
export interface MicrobatchOptions {
  /** The parameters whose gradients are wanted. */
  readonly parameters: readonly Tensor[];
  readonly zLoss: number;
  readonly dropout?: DropoutPlan | undefined;
  readonly recompute?: boolean | undefined;
}

/** Sums over the target tokens of one or several microbatches. */
export interface LossSums {
  crossEntropy: number;
  zLoss: number;
}

/**
 * Enqueues forward and backward pass of a microbatch and adds d(sum of the loss over tokens)/d(parameter) to
 * `gradients` (method §6: a sum, not a mean, so that microbatches just add up).
 *
 * @returns the sums once the device has got there
 */
export function accumulateGradients(
  model: HintModel,
  batch: RaggedBatch,
  gradients: Gradients,
  options: MicrobatchOptions,
): Promise<LossSums> {
  const { device } = model;
  const { zLoss, dropout, recompute } = options;
  const sums = device.tidy(() => {
    const tape = new Tape(device, options.parameters);
    const roots = tape.run(() => {
      const { loss, zTerm } = model.loss(batch, { zLoss, dropout, recompute });
      return [ops.sum(loss), ops.sum(zTerm)];
    });
    tape.backward(roots, gradients);
    return roots;
  });
  return readSums(sums);
}

/** Enqueues a forward pass only. */
export function evaluateLoss(model: HintModel, batch: RaggedBatch, zLoss: number): Promise<LossSums> {
  return readSums(
    model.device.tidy(() => {
      const { loss, zTerm } = model.loss(batch, { zLoss });
      return [ops.sum(loss), ops.sum(zTerm)];
    }),
  );
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
