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

/** The tensors that are further off than their bound. */
export function beyondBound(comparisons: readonly Comparison[]): Comparison[] {
  return comparisons.filter(({ difference, bound }) => !(difference <= bound));
}

/**
 * Wraps comparisons into a result.
 *
 * @param tolerated share of the tensors that may be beyond their bound, though not beyond twice it
 */
export function caseResult(name: string, kind: string, comparisons: Comparison[], tolerated = 0): CaseResult {
  const beyond = beyondBound(comparisons);
  const passed =
    comparisons.length > 0 &&
    beyond.length <= tolerated * comparisons.length &&
    beyond.every(({ difference, bound }) => difference <= 2 * bound);
  return { name, kind, passed, comparisons };
}
