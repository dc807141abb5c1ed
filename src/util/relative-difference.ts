import { checked, where, type Kind } from './arguments.js';

/** Values of a tensor as they are read. */
export const FLOATS: Kind<Float32Array> = where('a Float32Array', (value) => value instanceof Float32Array);

/**
 * Largest absolute difference relative to the largest expected value, max |a − b| / max |b|: what `hint verify` holds to its bounds.
 *
 * @returns Infinity where there are not equally many values, or one is no finite number
 * @throws HintError INVALID_ARGUMENT
 */
export function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  checked(FLOATS, actual, 'actual');
  checked(FLOATS, expected, 'expected');
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
