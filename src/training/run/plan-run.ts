import { totalmem } from 'node:os';
import { buildBatch } from '../../data/batch.js';
import { splitByTokens } from '../../data/sampling.js';
import { shapeOf, type BatchShape } from '../../model/memory/activation-memory.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { cudaReport } from '../../tensor/device.js';
import { createYielder } from '../../util/event-loop-lag.js';
import type { MemorySettings } from '../config/parts.js';
import type { ExampleSource } from '../sources/example-source.js';
import { planMemory, type MemoryPlan } from '../memory/memory-plan.js';
import type { Optimizer } from '../step/optimizer.js';
import { stateMemoryOf } from '../memory/state-memory.js';

// Contexts, libraries and their work space, and what kernels need while they run.
const SHARE_OF_GPU = 0.9;
// The rest is the system's, the examples', and JavaScript's.
const SHARE_OF_MACHINE = 0.8;
const BATCHES_LOOKED_AT = { least: 2, most: 8, microbatches: 32 };

/**
 * Bytes that tensors may take where nothing is said: a share of the memory that the GPU, or the machine or the container
 * around this process, has in all. Not of what is free, which would make a run depend on its neighbours.
 *
 * @param device cpu, cuda or cuda:N
 */
export function defaultMemoryBudget(device: string): number {
  if (device.startsWith('cuda')) {
    const { devices } = cudaReport();
    const memory = devices[Number(device.split(':')[1] ?? 0)]?.memory ?? Infinity;
    return Math.floor(memory * SHARE_OF_GPU);
  }
  // 0, or more than there is, where nothing constrains the process.
  const constrained = process.constrainedMemory() || Infinity;
  return Math.floor(Math.min(totalmem(), constrained) * SHARE_OF_MACHINE);
}

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
