import { stripped, withAsciiDigits } from './characters.js';
import { isInteger, isText, PythonError, textOf, typeOf, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** Python's arithmetic of ints of any size and floats. */

export type Operator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

const LARGEST_FLOAT = BigInt(Number.MAX_VALUE);

/** An int as a float. @throws PythonError OverflowError */
export function floatOfInteger(value: bigint | boolean): number {
  const whole = BigInt(value);
  const float = Number(whole);
  if (!Number.isFinite(float) || whole > 2n * LARGEST_FLOAT)
    throw new PythonError('OverflowError', 'int too large to convert to float');
  return float;
}

function bitsOf(value: bigint): number {
  return 4 * (value < 0n ? -value : value).toString(16).length;
}

/** The result of an operator on two numbers. @throws PythonError ZeroDivisionError, OverflowError */
export function calculate(
  operator: Operator,
  a: bigint | boolean | number,
  b: bigint | boolean | number,
  runtime: Runtime,
): Value {
  // prettier-ignore
  if (typeof a !== 'number' && typeof b !== 'number') return ofIntegers(operator, BigInt(a), BigInt(b), runtime);
  const [x, y] = [a, b].map((one) => (typeof one === 'number' ? one : floatOfInteger(one))) as [
    number,
    number,
  ];
  return ofFloats(operator, x, y);
}

function ofIntegers(operator: Operator, a: bigint, b: bigint, runtime: Runtime): Value {
  // Products and quotients of large numbers take longer than their size alone.
  if (operator !== '+' && operator !== '-')
    runtime.step(1 + Math.floor(((bitsOf(a) / 64) * (bitsOf(b) / 64)) / 64));
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      runtime.allocate((bitsOf(a) + bitsOf(b)) / 8);
      return a * b;
    case '/':
      return quotientOf(a, b);
    case '//':
    case '%': {
      if (b === 0n) throw new PythonError('ZeroDivisionError', 'integer division or modulo by zero');
      const rest = a % b;
      const wrapped = rest !== 0n && rest < 0n !== b < 0n;
      if (operator === '%') return wrapped ? rest + b : rest;
      return wrapped ? a / b - 1n : a / b;
    }
    case '**':
      return integerPower(a, b, runtime);
  }
}

function integerPower(base: bigint, power: bigint, runtime: Runtime): Value {
  if (power < 0n) return ofFloats('**', floatOfInteger(base), floatOfInteger(power));
  if (base === 0n || base === 1n || base === -1n) return base ** (power === 0n ? 0n : 2n - (power % 2n));
  const bits = bitsOf(base) * Number(power);
  runtime.allocate(bits / 8);
  runtime.step(Math.ceil(Math.min(bits, 1e9) ** 1.6 / 1e5));
  return base ** power;
}

/** A quotient of ints as the float that is nearest to it. */
function quotientOf(a: bigint, b: bigint): number {
  if (b === 0n) throw new PythonError('ZeroDivisionError', 'division by zero');
  const exact = (value: bigint): boolean => value <= 2n ** 53n && value >= -(2n ** 53n);
  if (exact(a) && exact(b)) return Number(a) / Number(b);
  const negative = a < 0n !== b < 0n;
  const [dividend, divisor] = [a < 0n ? -a : a, b < 0n ? -b : b];
  const shift = Math.max(0, bitsOf(divisor) - bitsOf(dividend) + 72);
  const shifted = dividend << BigInt(shift);
  // A last bit that stands for all that is cut off makes the one rounding to a float right.
  const quotient = 2n * (shifted / divisor) + (shifted % divisor === 0n ? 0n : 1n);
  const result = Number(quotient) * 2 ** -(shift + 1);
  if (!Number.isFinite(result)) throw new PythonError('OverflowError', 'integer division result too large for a float'); // prettier-ignore
  return negative ? -result : result;
}

function ofFloats(operator: Operator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      if (b === 0) throw new PythonError('ZeroDivisionError', 'float division by zero');
      return a / b;
    case '//':
    case '%': {
      if (b === 0) throw new PythonError('ZeroDivisionError', 'float floor division or modulo by zero');
      return operator === '%' ? remainder(a, b) : floorQuotient(a, b);
    }
    case '**':
      return floatPower(a, b);
  }
}

function remainder(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

function floorQuotient(a: number, b: number): number {
  const rest = a % b;
  let quotient = (a - rest) / b;
  if (rest !== 0 && rest < 0 !== b < 0) quotient -= 1;
  if (quotient === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatPower(a: number, b: number): number {
  if (a === 1 || b === 0) return 1;
  if (a === 0 && b < 0)
    throw new PythonError('ZeroDivisionError', '0.0 cannot be raised to a negative power');
  if (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) return 1;
  if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b))
    throw new PythonError(
      'NotSupported',
      'complex numbers, such as roots of negative ones, are not supported',
    );
  const result = a ** b;
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b))
    throw new PythonError('OverflowError', "(34, 'Numerical result out of range')");
  return result;
}

const DIGITS: Readonly<Record<number, RegExp>> = { 2: /^[01]$/, 8: /^[0-7]$/, 10: /^\d$/, 16: /^[\da-f]$/ };
const PREFIXES: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16 };
const MOST_DIGITS = 4300;

/** Python's `int(text, base)`. @throws PythonError ValueError */
export function integerIn(text: string, base: number): bigint {
  const fail = (): never => {
    throw new PythonError('ValueError', `invalid literal for int() with base ${base}: ${JSON.stringify(text.slice(0, 100))}`); // prettier-ignore
  };
  if (base !== 0 && (base < 2 || base > 36)) throw new PythonError('ValueError', 'int() base must be >= 2 and <= 36, or 0'); // prettier-ignore
  const match = /^([+-]?)(?:0([box])_?(?=.))?([\da-z]+(?:_[\da-z]+)*)$/.exec(
    withAsciiDigits(stripped(text)).toLowerCase(),
  );
  if (!match) return plainInteger(text, base, fail);
  const [, sign = '', prefix, digits = ''] = match;
  const named = prefix === undefined ? undefined : PREFIXES[prefix];
  if (named !== undefined && (base === 0 || base === named))
    return signed(sign, digitsOf(digits, named, fail));
  return plainInteger(text, base, fail);
}

function plainInteger(text: string, base: number, fail: () => never): bigint {
  const match = /^([+-]?)([\da-z]+(?:_[\da-z]+)*)$/.exec(withAsciiDigits(stripped(text)).toLowerCase());
  if (!match) return fail();
  const [, sign = '', digits = ''] = match;
  if (base === 0 && /^0[0_]*[1-9]/.test(digits)) return fail();
  return signed(sign, digitsOf(digits, base || 10, fail));
}

function signed(sign: string, value: bigint): bigint {
  return sign === '-' ? -value : value;
}

function digitsOf(text: string, base: number, fail: () => never): bigint {
  const digits = text.replaceAll('_', '');
  const valid = DIGITS[base];
  const isPowerOfTwo = (base & (base - 1)) === 0;
  if (digits.length > MOST_DIGITS && !isPowerOfTwo)
    throw new PythonError(
      'ValueError',
      `Exceeds the limit (${MOST_DIGITS} digits) for integer string conversion`,
    );
  let value = 0n;
  if (base === 10) return /^\d+$/.test(digits) ? BigInt(digits) : fail();
  for (const digit of digits) {
    const one = Number.parseInt(digit, 36);
    if (!(one < base) || (valid && !valid.test(digit))) return fail();
    value = value * BigInt(base) + BigInt(one);
  }
  return value;
}

const FLOAT = /^[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?|inf(?:inity)?|nan)$/; // prettier-ignore

/** Python's `float(text)`. @throws PythonError ValueError */
export function floatIn(text: string): number {
  const written = withAsciiDigits(stripped(text)).toLowerCase();
  if (!FLOAT.test(written)) throw new PythonError('ValueError', `could not convert string to float: ${JSON.stringify(text.slice(0, 100))}`); // prettier-ignore
  const number = written.replaceAll('_', '');
  if (/inf/.test(number)) return number.startsWith('-') ? -Infinity : Infinity;
  return Number(number);
}

/** Python's `int(value)`. @throws PythonError TypeError, ValueError, OverflowError */
export function toInteger(value: Value): bigint {
  if (value instanceof Undefined) value.fail();
  if (isText(value)) return integerIn(textOf(value), 10);
  if (isInteger(value)) return BigInt(value);
  if (typeof value === 'number') return truncatedFloat(value);
  throw new PythonError(
    'TypeError',
    `int() argument must be a string or a real number, not '${typeOf(value)}'`,
  );
}

/** A float without its fraction. @throws PythonError ValueError, OverflowError */
export function truncatedFloat(value: number): bigint {
  if (Number.isNaN(value)) throw new PythonError('ValueError', 'cannot convert float NaN to integer');
  if (!Number.isFinite(value))
    throw new PythonError('OverflowError', 'cannot convert float infinity to integer');
  return BigInt(Math.trunc(value));
}

/** Python's `float(value)`. @throws PythonError TypeError, ValueError, OverflowError */
export function toFloat(value: Value): number {
  if (value instanceof Undefined) value.fail();
  if (isText(value)) return floatIn(textOf(value));
  if (isInteger(value)) return floatOfInteger(value);
  if (typeof value === 'number') return value;
  throw new PythonError(
    'TypeError',
    `float() argument must be a string or a real number, not '${typeOf(value)}'`,
  );
}
