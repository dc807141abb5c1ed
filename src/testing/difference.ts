import { checked, number, text } from '../util/arguments.js';
import { FLOATS, relativeDifference } from '../util/relative-difference.js';
import { HintError } from '../util/errors.js';

export { relativeDifference };

const BOUND = number(0);

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
  checked(FLOATS, actual, 'actual');
  checked(FLOATS, expected, 'expected');
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
