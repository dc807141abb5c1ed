/** Of Student's distribution, what 97.5 % lie below, by degrees of freedom from 1. */
const STUDENT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL = 1.96;

/** A mean and half the width of its 95 % confidence interval. */
export interface MeanInterval {
  readonly mean: number;
  /** Undefined for fewer than two values. */
  readonly halfWidth: number | undefined;
}

/** The mean of values and how sure it is, by Student's distribution. @returns NaN for no values */
export function meanInterval(values: readonly number[]): MeanInterval {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count < 2) return { mean, halfWidth: undefined };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { mean, halfWidth: (STUDENT[count - 2] ?? NORMAL) * Math.sqrt(variance / count) };
}
