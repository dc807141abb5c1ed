import { HintError } from '../../util/errors.js';
import { adaptConfig } from '../../model/checkpoint/checkpoint.js';
import { readModelConfig } from '../../model/config/config.js';
import { parameterShapes } from '../../model/parameters/parameter-shapes.js';
import { openWeights } from '../../formats/checkpoint/open-weights.js';
import type { System } from '../../systems/index.js';
import type { TrainingConfig } from '../config/config.js';
import type { OptimizerGroup } from '../step/parameter-groups.js';

/** Steps the LM-adapted T5 v1.1 checkpoints were trained for (method §4.4). */
export const LM_ADAPTED_STEPS = 1_100_000;

/** How far a model has come, as its file says. */
export interface Lineage {
  /** Steps all in all, those before this engine included. */
  step: number;
  /** Per optimiser group the global step at which its schedule counts from 1. */
  stepOffsets: Readonly<Record<string, number>>;
}

/** What a trained model's file says about how far it has come; {@link readLineage} reads it. */
export function lineageMetadata(
  step: number,
  groups: readonly Pick<OptimizerGroup, 'name' | 'stepOffset'>[],
): Record<string, string> {
  const offsets = Object.fromEntries(groups.map(({ name, stepOffset }) => [name, stepOffset]));
  return { step: String(step), step_offsets: JSON.stringify(offsets) };
}

/**
 * How far a model directory has come; undefined when it does not say, as those of other programs.
 *
 * @throws HintError INVALID_CHECKPOINT for a record that cannot be read, NOT_FOUND
 */
export async function readLineage(directory: string): Promise<Lineage | undefined> {
  await using file = await openWeights(directory);
  const [step, offsets] = [file.metadata.get('step'), file.metadata.get('step_offsets')];
  if (step === undefined) return undefined;
  try {
    const lineage = {
      step: Number(step),
      stepOffsets: JSON.parse(offsets ?? '{}') as Record<string, number>,
    };
    if ([lineage.step, ...Object.values(lineage.stepOffsets)].every(Number.isSafeInteger)) return lineage;
  } catch {
    // Ends in the error below, as the other cases do.
  }
  throw new HintError(
    'INVALID_CHECKPOINT',
    `${directory} records that it was trained for ${step} steps with offsets ${offsets}, which are no numbers; fetch or write it again.`,
  );
}

/**
 * Fills in where the step counter of a run begins, unless the configuration says it: behind the steps of the model it
 * starts from. A hypernetwork that is taken over whole keeps its schedule (method §5.4): pretrained from step
 * 1,100,000 to 1,110,000, its decay goes on at 10,001 in fine-tuning. Text pretraining takes a model without a record
 * for an LM-adapted T5.
 *
 * @throws HintError as {@link readLineage}
 */
export async function continueFrom(config: TrainingConfig, system: System): Promise<TrainingConfig> {
  const { init, hint: options } = config.model;
  if (typeof init !== 'string') return { ...config, firstStep: config.firstStep ?? 0 };
  const lineage = await readLineage(init);
  const isAdapted = config.data.kind === 'text';
  const firstStep = config.firstStep ?? lineage?.step ?? (isAdapted ? LM_ADAPTED_STEPS : 0);
  const { optimizer } = config;
  const hasNew = system.groups.some(({ stepOffset }) => stepOffset === 'first-step');
  if (!lineage || !hasNew || optimizer.name !== 'adafactor' || optimizer.grouping === 'single')
    return { ...config, firstStep };
  const stored = await readModelConfig(init);
  const promised = parameterShapes(stored);
  const wanted = parameterShapes(adaptConfig(stored, { hint: system.hint(stored, options) }));
  const groups = { ...optimizer.groups };
  for (const { name, takes, stepOffset } of system.groups) {
    const recorded = lineage.stepOffsets[name];
    if (stepOffset !== 'first-step' || recorded === undefined || recorded > firstStep) continue;
    if ([...wanted.keys()].every((parameter) => !takes(parameter) || promised.has(parameter)))
      groups[name] = { stepOffset: recorded, ...groups[name] };
  }
  return { ...config, firstStep, optimizer: { ...optimizer, groups } };
}

/**
 * Takes over from a run's own configuration what {@link continueFrom}, and a plan of its memory, filled in when it was
 * started: a run that another mode went on with would differ in rounding, one with other microbatches in its masks.
 *
 * @param planned tokens of a microbatch as the plan made them, out of the same number or a larger one
 */
export function continueRun(
  config: TrainingConfig,
  before: TrainingConfig,
  planned: number | undefined,
): TrainingConfig {
  const isPlanned = before.tokenBudget === planned && config.tokenBudget > planned;
  const continued = {
    ...config,
    firstStep: config.firstStep ?? before.firstStep,
    recompute: config.recompute === 'auto' ? before.recompute : config.recompute,
    tokenBudget: config.recompute === 'auto' && isPlanned ? before.tokenBudget : config.tokenBudget,
  };
  if (config.optimizer.name !== 'adafactor' || before.optimizer.name !== 'adafactor') return continued;
  const groups = { ...config.optimizer.groups };
  for (const [name, { stepOffset }] of Object.entries(before.optimizer.groups))
    if (stepOffset !== undefined) groups[name] = { stepOffset, ...groups[name] };
  return { ...continued, optimizer: { ...config.optimizer, groups } };
}
