import { PythonError } from './values.js';

/** How a float is written in Python. */

/** Python's `repr` of a float: the shortest text that reads back as the same. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return specialFloat(value);
  const [mantissa = '', power = '0'] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (exponent < -4 || exponent >= 16) return sign + scientific(digits, exponent);
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** `inf`, `-inf` or `nan`. */
export function specialFloat(value: number): string {
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
}

function scientific(digits: string, exponent: number): string {
  const rest = digits.slice(1);
  return `${digits[0]}${rest === '' ? '' : `.${rest}`}e${exponentText(exponent)}`;
}

function exponentText(exponent: number): string {
  return `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

const view = new DataView(new ArrayBuffer(8));

/** A finite float as `mantissa · 2^exponent`, without its sign. */
export function fractionOf(value: number): { mantissa: bigint; exponent: number } {
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const power = Number(bits >> 52n);
  const mantissa = bits & 0xfffffffffffffn;
  return power === 0 ? { mantissa, exponent: -1074 } : { mantissa: mantissa | (1n << 52n), exponent: power - 1075 }; // prettier-ignore
}

/** A quotient of whole numbers above 0, rounded to a whole one, a half to the even one. */
export function roundedQuotient(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  const twice = 2n * (dividend % divisor);
  return twice > divisor || (twice === divisor && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** `|value| · 10^places`, rounded to a whole number, a half to the even one. Exact: nothing is rounded before. */
export function scaled(value: number, places: number): bigint {
  const { mantissa, exponent } = fractionOf(value);
  let [dividend, divisor] = [mantissa, 1n];
  if (places >= 0) dividend *= 10n ** BigInt(places);
  else divisor *= 10n ** BigInt(-places);
  if (exponent >= 0) dividend <<= BigInt(exponent);
  else divisor <<= BigInt(-exponent);
  return roundedQuotient(dividend, divisor);
}

/** The absolute value of a finite float with so many places behind the point. */
export function fixed(value: number, places: number): string {
  const digits = scaled(value, places)
    .toString()
    .padStart(places + 1, '0');
  const point = digits.length - places;
  return places === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** So many digits of the absolute value of a finite float, and its power of ten. */
export function significant(value: number, count: number): { digits: string; exponent: number } {
  if (value === 0) return { digits: '0'.repeat(count), exponent: 0 };
  let exponent = Number(Math.abs(value).toExponential().split('e')[1]);
  let digits = scaled(value, count - 1 - exponent).toString();
  if (digits.length > count) digits = scaled(value, count - 1 - ++exponent).toString();
  return { digits, exponent };
}

/** Python's `e` presentation of an absolute value. */
export function exponential(value: number, places: number, alternate = false): string {
  const { digits, exponent } = significant(value, places + 1);
  return `${digits[0]}${places > 0 || alternate ? '.' : ''}${digits.slice(1)}e${exponentText(exponent)}`;
}

/**
 * Python's `g` presentation of an absolute value.
 *
 * @param options.point keeps a place behind the point, as `str` does
 */
export function general(
  value: number,
  precision: number,
  options: { alternate?: boolean; point?: boolean } = {},
): string {
  // prettier-ignore
  const count = Math.max(precision, 1);
  const { digits, exponent } = significant(value, count);
  const kept = options.alternate ? digits : digits.replace(/0+$/, '') || '0';
  const limit = options.point ? count - 1 : count;
  if (exponent < -4 || exponent >= limit) {
    const rest = kept.slice(1);
    return `${kept[0]}${rest === '' && !options.alternate ? '' : `.${rest}`}e${exponentText(exponent)}`;
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const rest = kept.slice(exponent + 1);
  if (rest !== '') return `${whole}.${rest}`;
  return options.alternate ? `${whole}.` : options.point ? `${whole}.0` : whole;
}

/** Python's `round` of a float to so many places, before or behind the point. */
export function roundedFloat(value: number, places: number): number {
  // All floats are whole multiples of 10^-323 to within half of it, and none is above 10^309.
  if (!Number.isFinite(value) || places > 323) return value;
  if (places < -308) return value < 0 ? -0 : 0;
  const size = scaled(value, places);
  const rounded = places >= 0 ? Number(`${size}e-${places}`) : Number(`${size}e${-places}`);
  if (!Number.isFinite(rounded)) throw new PythonError('OverflowError', 'rounded value too large to represent'); // prettier-ignore
  return value < 0 || Object.is(value, -0) ? -rounded : rounded;
}
