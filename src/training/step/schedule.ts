/** How the learning rate changes over a run. The paper's runs are constant without warm-up (method §5.7). */
export interface Schedule {
  /** `linear` falls to 0 behind the last step. */
  readonly kind: 'constant' | 'linear';
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
  return learningRate * Math.max(0, (steps - step) / Math.max(1, steps - warmupSteps));
}
