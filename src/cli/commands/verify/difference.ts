/** One compared tensor of a fixture. */
export interface Comparison {
  name: string;
  /** max |a − b| / max |b|, b being the expected tensor; Infinity when shapes or finiteness differ. */
  difference: number;
  bound: number;
  /** In bf16: how far the tensor is typically off when every value that is stored is rounded by chance. */
  byRounding?: number;
}

/** What one fixture directory gave. */
export interface CaseResult {
  name: string;
  kind: string;
  passed: boolean;
  comparisons: Comparison[];
}

/** The tensors that are further off than their bound. */
export function beyondBound(comparisons: readonly Comparison[]): Comparison[] {
  return comparisons.filter(({ difference, bound }) => !(difference <= bound));
}

/**
 * Differences over those that rounding by chance makes, averaged over a case's tensors; undefined where nothing was
 * simulated. Rounding to the nearest gives about 0.7. Sums that are rounded on the way spread over all tensors behind them.
 */
export function shareOfRounding(comparisons: readonly Comparison[]): number | undefined {
  const shares = comparisons.flatMap(({ difference, byRounding }) =>
    byRounding ? [difference / byRounding] : [],
  );
  return shares.length ? shares.reduce((sum, share) => sum + share, 0) / shares.length : undefined;
}

/** Wraps comparisons into a result: no tensor may be beyond its bound, nor all together further off than by rounding. */
export function caseResult(name: string, kind: string, comparisons: Comparison[]): CaseResult {
  const passed =
    comparisons.length > 0 &&
    beyondBound(comparisons).length === 0 &&
    (shareOfRounding(comparisons) ?? 0) <= 1;
  return { name, kind, passed, comparisons };
}
