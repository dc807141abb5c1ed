const DIGITS = 1e9;

/**
 * A difference of scores, or a ratio of them, without what their rounding adds: scores that are equal but for the order of their sums
 * differ by nothing, in place of some 1e-15, which would count as higher.
 */
export function withoutRounding(value: number): number {
  // Not -0, which is shown with its sign.
  return Math.round(value * DIGITS) / DIGITS + 0;
}
