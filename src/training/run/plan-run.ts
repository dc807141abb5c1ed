import { defaultMemoryBudget } from '../../accounting/memory-budget.js';
import { smallerBudgets } from '../../accounting/training-memory.js';
import { buildBatch, type TokenizedExample } from '../../data/batch.js';
import { splitByTokens } from '../../data/sampling.js';
import { shapeOf, type BatchShape } from '../../model/memory/activation-memory.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';
import type { BatchSettings, DeviceSettings, MemorySettings } from '../config/parts.js';
import type { ExampleSource } from '../sources/example-source.js';
import { planMemory, type MemoryPlan } from '../memory/memory-plan.js';
import type { Optimizer } from '../step/optimizer.js';
import { stateMemoryOf } from '../memory/state-memory.js';

const BATCHES_LOOKED_AT = { least: 2, most: 8, microbatches: 32 };

/** How large a run's microbatches may be, and what memory it has for them. */
export interface PlanSettings extends BatchSettings, MemorySettings, DeviceSettings {}

/** A run before its first step. */
export interface UnplannedRun {
  readonly model: TrainableModel;
  readonly optimizer: Optimizer;
  /** Looked ahead in, and put back. */
  readonly source: ExampleSource;
  readonly settings: PlanSettings;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Chooses what a run keeps for its backward passes, and how large its microbatches are, from its model, its first batches and
 * its budget: smaller microbatches, down to a quarter, come before work that runs again, because each of them costs only its
 * launches. Where nothing fits the largest microbatches, the largest that something fits are taken. The same run on the same
 * machine chooses the same.
 *
 * @throws HintError OUT_OF_MEMORY when nothing fits the smallest microbatches either, ABORTED, and what reading examples throws
 */
export async function planRun({
  model,
  optimizer,
  source,
  settings,
  signal,
}: UnplannedRun): Promise<MemoryPlan> {
  const state = stateMemoryOf(model, optimizer);
  const examples = await firstBatches(source, settings, signal);
  const planFor = async (tokenBudget: number): Promise<MemoryPlan> =>
    planMemory({
      state,
      batches: await shapesOf(examples, tokenBudget),
      budget: settings.memoryBudget ?? defaultMemoryBudget(settings.device),
      tokenBudget,
      activationMemory: (shape, again) => model.activationMemory(shape, again),
      costOfRunningAgain: (shape) => model.costOfRunningAgain(shape),
    });
  let largest: MemoryPlan | undefined;
  let refusal: unknown;
  for (const tokenBudget of [settings.tokenBudget, ...smallerBudgets(settings.tokenBudget)]) {
    throwIfAborted(signal);
    try {
      const plan = await planFor(tokenBudget);
      if (plan.mode === 'none') return plan;
      largest ??= plan;
    } catch (error) {
      if (!(error instanceof HintError) || error.code !== 'OUT_OF_MEMORY') throw error;
      // What is said of the tokenBudget that was asked for is the advice.
      refusal ??= error;
    }
  }
  if (largest) return largest;
  throw refusal;
}

/** Examples of the first batches, as many as tell how large microbatches become. */
async function firstBatches(
  source: ExampleSource,
  { batchSize, tokenBudget }: BatchSettings,
  signal: AbortSignal | undefined,
): Promise<(readonly TokenizedExample[])[]> {
  const before = source.state;
  const batches: (readonly TokenizedExample[])[] = [];
  const { least, most, microbatches } = BATCHES_LOOKED_AT;
  try {
    for (let seen = 0; batches.length < least || (batches.length < most && seen < microbatches);) {
      const examples = await source.next(batchSize, signal);
      seen += splitByTokens(examples, tokenBudget).length;
      batches.push(examples);
    }
  } finally {
    await source.restore(before);
  }
  return batches;
}

/** Of every microbatch. */
async function shapesOf(
  batches: readonly (readonly TokenizedExample[])[],
  tokenBudget: number,
): Promise<BatchShape[]> {
  const breathe = createYielder();
  const shapes: BatchShape[] = [];
  for (const batch of batches)
    for (const examples of splitByTokens(batch, tokenBudget)) {
      shapes.push(shapeOf(buildBatch(examples)));
      await breathe();
    }
  return shapes;
}
