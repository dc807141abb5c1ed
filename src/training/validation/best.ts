import { HintError } from '../../util/errors.js';
import type { ValidationMetric } from '../config/validation-config.js';

/** How far a run's validation has come: what a checkpoint keeps of it. */
export interface ValidationState {
  metric: ValidationMetric;
  /** Of the examples: scores of others cannot be compared. */
  fingerprint: string;
  /** The step that was validated last. */
  step: number;
  bestStep: number;
  bestScore: number;
  /** Validations since the best one. */
  sinceBest: number;
}

/** Whether a score is better than another by a metric. */
export function isBetter(metric: ValidationMetric, score: number, than: number): boolean {
  return metric === 'loss' ? score < than : score > than;
}

/**
 * The state after a validation. A score as good as the best leaves the earlier model the best one.
 *
 * @throws HintError NUMERIC for a score that is no finite number
 */
export function afterValidation(
  before: ValidationState | undefined,
  found: Pick<ValidationState, 'metric' | 'fingerprint' | 'step'> & { score: number },
): ValidationState {
  const { metric, fingerprint, step, score } = found;
  if (!Number.isFinite(score))
    throw new HintError(
      'NUMERIC',
      `Validation after step ${step} has the ${metric} ${score}. The last checkpoint is intact; lower the learning rate and resume from it.`,
    );
  if (before && !isBetter(metric, score, before.bestScore))
    return { ...before, step, sinceBest: before.sinceBest + 1 };
  return { metric, fingerprint, step, bestStep: step, bestScore: score, sinceBest: 0 };
}
