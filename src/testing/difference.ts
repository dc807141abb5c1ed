import { checked, number, text, where, type Kind } from '../util/arguments.js';
import { HintError } from '../util/errors.js';

const VALUES: Kind<Float32Array> = where('a Float32Array', (value) => value instanceof Float32Array);
const BOUND = number(0);

/**
 * Largest absolute difference relative to the largest expected value, max |a − b| / max |b|: what `hint verify` holds to its bounds.
 *
 * @returns Infinity where there are not equally many values, or one is no finite number
 * @throws HintError INVALID_ARGUMENT
 */
export function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  checked(VALUES, actual, 'actual');
  checked(VALUES, expected, 'expected');
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

/**
 * Holds values to those of another program.
 *
 * @param bound of {@link relativeDifference}: 2e-5 is what this engine's f32 is held to
 * @param name of what is compared, for the error
 * @throws HintError NUMERIC naming the worst value and its place; INVALID_ARGUMENT
 */
export function assertClose(
  actual: Float32Array,
  expected: Float32Array,
  bound: number,
  name = 'The tensor',
): void {
  checked(VALUES, actual, 'actual');
  checked(VALUES, expected, 'expected');
  checked(BOUND, bound, 'bound');
  checked(text, name, 'name');
  if (actual.length !== expected.length)
    throw new HintError(
      'NUMERIC',
      `${name} has ${actual.length} values and is to have ${expected.length}; compare tensors of one shape.`,
    );
  const difference = relativeDifference(actual, expected);
  if (difference <= bound) return;
  let worst = 0;
  const distance = (at: number): number => {
    const gap = Math.abs((actual[at] as number) - (expected[at] as number));
    return Number.isNaN(gap) ? Infinity : gap;
  };
  for (let at = 1; at < expected.length; at++) if (distance(at) > distance(worst)) worst = at;
  throw new HintError(
    'NUMERIC',
    `${name} is off by ${difference.toExponential(2)} of its largest value, the bound is ${bound}; value number ${worst} is ${actual[worst]} and is to be ${expected[worst]}.`,
  );
}
