import { defaultMemoryBudget } from '../../accounting/memory-budget.js';
import { buildBatch } from '../../data/batch.js';
import { splitByTokens } from '../../data/sampling.js';
import { shapeOf, type BatchShape } from '../../model/memory/activation-memory.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { createYielder } from '../../util/event-loop-lag.js';
import type { MemorySettings } from '../config/parts.js';
import type { ExampleSource } from '../sources/example-source.js';
import { planMemory, type MemoryPlan } from '../memory/memory-plan.js';
import type { Optimizer } from '../step/optimizer.js';
import { stateMemoryOf } from '../memory/state-memory.js';

const BATCHES_LOOKED_AT = { least: 2, most: 8, microbatches: 32 };

/** A run before its first step. */
export interface UnplannedRun {
  readonly model: TrainableModel;
  readonly optimizer: Optimizer;
  /** Looked ahead in, and put back. */
  readonly source: ExampleSource;
  readonly settings: MemorySettings;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Chooses what a run keeps for its backward passes, from its model, its first batches and its budget. The same run on
 * the same machine chooses the same.
 *
 * @throws HintError OUT_OF_MEMORY when nothing fits, ABORTED, and what reading examples throws
 */
export async function planRun({
  model,
  optimizer,
  source,
  settings,
  signal,
}: UnplannedRun): Promise<MemoryPlan> {
  return planMemory({
    state: stateMemoryOf(model, optimizer),
    batches: await firstBatches(source, settings, signal),
    budget: settings.memoryBudget ?? defaultMemoryBudget(settings.device),
    tokenBudget: settings.tokenBudget,
    activationMemory: (shape, again) => model.activationMemory(shape, again),
    costOfRunningAgain: (shape) => model.costOfRunningAgain(shape),
  });
}

async function firstBatches(
  source: ExampleSource,
  { batchSize, tokenBudget }: MemorySettings,
  signal: AbortSignal | undefined,
): Promise<BatchShape[]> {
  const before = source.state;
  const shapes: BatchShape[] = [];
  const breathe = createYielder();
  const { least, most, microbatches } = BATCHES_LOOKED_AT;
  try {
    for (let drawn = 0; drawn < least || (drawn < most && shapes.length < microbatches); drawn++) {
      for (const examples of splitByTokens(await source.next(batchSize, signal), tokenBudget)) {
        shapes.push(shapeOf(buildBatch(examples)));
        await breathe();
      }
    }
  } finally {
    await source.restore(before);
  }
  return shapes;
}
