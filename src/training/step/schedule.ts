import type { ScheduleKind } from '../config/schedules.js';

/** How the learning rate changes over a run. The paper's runs are constant without warm-up (method §5.7). */
export interface Schedule {
  /**
   * `linear` falls to 0 behind the last step, `cosine` along half a wave. `inverse-sqrt` falls with the square root of the
   * step, counted from the warm-up's last one, and does not depend on how many steps there are.
   */
  readonly kind: ScheduleKind;
  /** The highest rate. */
  readonly learningRate: number;
  /** Steps over which the rate rises from 0; 0 = none. */
  readonly warmupSteps: number;
  /** Steps of the whole run. */
  readonly steps: number;
}

/** The learning rate of the update with index `step` (0-based); never 0 before the run's end. */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { kind, learningRate, warmupSteps, steps } = schedule;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  if (kind === 'constant') return learningRate;
  // Of the update with index warmupSteps - 1, which has the whole rate; without a warm-up the first has it.
  if (kind === 'inverse-sqrt') return learningRate * Math.sqrt(Math.max(1, warmupSteps) / (step + 1));
  const left = Math.max(0, (steps - step) / Math.max(1, steps - warmupSteps));
  return learningRate * (kind === 'linear' ? left : (1 - Math.cos(Math.PI * left)) / 2);
}
