/** One compared tensor of a fixture. */
export interface Comparison {
  name: string;
  /** max |a − b| / max |b|, b being the expected tensor; Infinity when shapes or finiteness differ. */
  difference: number;
  bound: number;
}

/** What one fixture directory gave. */
export interface CaseResult {
  name: string;
  kind: string;
  passed: boolean;
  comparisons: Comparison[];
}

/** Largest absolute difference relative to the largest expected value. */
export function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Infinity;
  let gap = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number;
    const b = expected[i] as number;
    const distance = Math.abs(a - b);
    if (Number.isNaN(distance)) return Infinity;
    gap = Math.max(gap, distance);
    largest = Math.max(largest, Math.abs(b));
  }
  return gap === 0 ? 0 : gap / Math.max(largest, 1e-30);
}

/** Wraps comparisons into a result. */
export function caseResult(name: string, kind: string, comparisons: Comparison[]): CaseResult {
  const passed = comparisons.length > 0 && comparisons.every(({ difference, bound }) => difference <= bound);
  return { name, kind, passed, comparisons };
}
