import type { RaggedBatch } from '../../data/batch.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { Gradients } from '../../tensor/tape.js';
import { accumulateGradients, evaluateLoss } from './microbatch.js';
import type { Optimizer } from './optimizer.js';

/** Mean loss per target token before an update. */
export interface BatchLoss {
  crossEntropyMean: number;
  totalMean: number;
}

/**
 * Trains on one batch again and again, without dropout: the shortest possible training loop, for comparing with other
 * implementations and for overfitting tests. Changes the model.
 *
 * @param settings `firstStep`: global step of the first update
 * @returns the losses before each update and after the last one, `updates` + 1 in all
 */
export async function trainOnBatch(
  model: TrainableModel,
  batch: RaggedBatch,
  optimizer: Optimizer,
  settings: { updates: number; learningRate: number; zLoss: number; firstStep?: number },
): Promise<BatchLoss[]> {
  const { updates, learningRate, zLoss, firstStep = 0 } = settings;
  const tokens = batch.targets.ids.length;
  const parameters = optimizer.parameters();
  const gradients = new Gradients(model.device);
  const losses: BatchLoss[] = [];
  try {
    for (let update = 0; update <= updates; update++) {
      const sums =
        update < updates
          ? await (
              await accumulateGradients(model, batch, gradients, { parameters, zLoss })
            ).sums
          : await evaluateLoss(model, batch, zLoss);
      losses.push({
        crossEntropyMean: sums.crossEntropy / tokens,
        totalMean: (sums.crossEntropy + sums.zLoss) / tokens,
      });
      if (update < updates)
        await optimizer.apply(gradients, { update, step: firstStep + update, learningRate });
      gradients.reset();
    }
  } finally {
    gradients.dispose();
  }
  return losses;
}
