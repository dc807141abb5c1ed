import { bound, placeOf, positionals } from '../python/arguments.js';
import { fixed, roundedFloat, roundedQuotient } from '../python/floats.js';
import { integerIn, toFloat, toInteger, truncatedFloat } from '../python/numbers.js';
import { isTrue } from '../python/basics.js';
import { operate, withSign } from '../python/operators.js';
import { isInteger, isText, PythonError, textOf, typeOf, Undefined, type Arguments, type Runtime, type Value } from '../python/values.js'; // prettier-ignore
import type { Filter } from './filter.js';

/** Jinja's filters of numbers. */

function failedWith(error: unknown, kinds: readonly string[]): boolean {
  return error instanceof PythonError && kinds.includes(error.kind);
}

const wholeNumber: Filter = (value, args) => {
  const [otherwise = 0n, base = 10n] = bound('int', args, ['default?', 'base?']);
  try {
    return isText(value) ? integerIn(textOf(value), placeOf(base)) : toInteger(value);
  } catch (error) {
    if (!failedWith(error, ['TypeError', 'ValueError'])) throw error;
  }
  // So that "42.23" is 42.
  try {
    return truncatedFloat(toFloat(value));
  } catch (error) {
    if (!failedWith(error, ['TypeError', 'ValueError', 'OverflowError'])) throw error;
    return otherwise;
  }
};

const realNumber: Filter = (value, args) => {
  const [otherwise = 0] = bound('float', args, ['default?']);
  try {
    return toFloat(value);
  } catch (error) {
    if (!failedWith(error, ['TypeError', 'ValueError'])) throw error;
    return otherwise;
  }
};

function rounded(value: Value, args: Arguments, runtime: Runtime): Value {
  const [precision = 0n, method = 'common'] = bound('round', args, ['precision?', 'method?']);
  const how = isText(method) ? textOf(method) : '';
  if (!['common', 'ceil', 'floor'].includes(how)) throw new PythonError('FilterArgumentError', 'method must be common, ceil or floor'); // prettier-ignore
  if (how === 'common') return commonRounding(value, precision);
  const power = operate('**', 10n, precision, runtime);
  const scaled = operate('*', value, power, runtime);
  const whole = isInteger(scaled) ? BigInt(scaled) : floor(scaled, how);
  return operate('/', whole, power, runtime);
}

function floor(value: Value, how: string): bigint {
  if (typeof value !== 'number')
    throw new PythonError('TypeError', `must be real number, not ${typeOf(value)}`);
  return truncatedFloat(Number.isFinite(value) ? (how === 'floor' ? Math.floor(value) : Math.ceil(value)) : value); // prettier-ignore
}

function commonRounding(value: Value, precision: Value): Value {
  if (typeof value === 'number') return precision === null ? roundedWhole(value) : roundedFloat(value, placeOf(precision)); // prettier-ignore
  if (!isInteger(value))
    throw new PythonError('TypeError', `type ${typeOf(value)} doesn't define __round__ method`);
  const whole = BigInt(value);
  const places = precision === null ? 0 : placeOf(precision);
  if (places >= 0) return whole;
  const size = whole < 0n ? -whole : whole;
  if (-places > size.toString(16).length * 2) return 0n;
  const power = 10n ** BigInt(-places);
  const result = roundedQuotient(size, power) * power;
  return whole < 0n ? -result : result;
}

function roundedWhole(value: number): bigint {
  return truncatedFloat(Number.isFinite(value) ? roundedFloat(value, 0) : value);
}

function fileSize(value: Value, args: Arguments): Value {
  const [binary = false] = bound('filesizeformat', args, ['binary?']);
  const bytes = toFloat(value);
  const base = isTrue(binary) ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${truncatedFloat(bytes)} Bytes`;
  const units = [...'kMGTPEZY'].map((letter) =>
    isTrue(binary) ? `${letter.toUpperCase()}iB` : `${letter}B`,
  );
  let unit = base;
  for (const [i, name] of units.entries()) {
    unit *= base;
    if (bytes < unit || i === units.length - 1) {
      const size = (base * bytes) / unit;
      return `${Number.isFinite(size) ? fixed(size, 1) : Number.isNaN(size) ? 'nan' : 'inf'} ${name}`;
    }
  }
  return '';
}

export const NUMBER_FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value, args) => {
    positionals('abs', args, 0, 0);
    if (value instanceof Undefined || (!isInteger(value) && typeof value !== 'number')) throw new PythonError('TypeError', `bad operand type for abs(): '${typeOf(value)}'`); // prettier-ignore
    if (typeof value === 'number') return Math.abs(value);
    return BigInt(value) < 0n ? withSign('-', value) : BigInt(value);
  },
  int: wholeNumber,
  float: realNumber,
  round: rounded,
  filesizeformat: (value, args) => fileSize(value, args),
};
