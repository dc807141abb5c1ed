import { between } from './characters.js';
import { integerOf } from './arguments.js';
import { escapedText } from './escape.js';
import { characterOf, padded, presented } from './format-spec.js';
import { toFloat, truncatedFloat } from './numbers.js';
import { asciiOf, integerText, representation, textOfValue } from './show.js';
import { hashOf } from './basics.js';
import { Dict, isInteger, isText, List, Markup, PythonError, Range, textLike, textOf, Tuple, typeOf, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** Python's `format % values`, as old as C's printf. */

const CONVERSION = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)?/gsu;

interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
}

/** @throws PythonError TypeError, ValueError, KeyError */
export function percentFormatted(format: string | Markup, values: Value, runtime: Runtime): string | Markup {
  const list = values instanceof Tuple ? values.items : [values];
  // What has items by key is a mapping here, though lists take no names.
  const isMapping = values instanceof Dict || values instanceof List || values instanceof Range || values instanceof Undefined; // prettier-ignore
  let next = 0;
  let named = false;
  const argument = (): Value => {
    if (named || next >= list.length)
      throw new PythonError('TypeError', 'not enough arguments for format string');
    return list[next++] as Value;
  };
  const number = (text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    const value = text === '*' ? integerOf(argument()) : BigInt(text);
    if (value > 2n ** 31n - 1n) throw new PythonError('ValueError', 'width too big');
    return Number(value);
  };
  const pieces: string[] = [];
  let last = 0;
  for (const match of textOf(format).matchAll(CONVERSION)) {
    const [whole, key, flags = '', width, precision, type] = match;
    pieces.push(textOf(format).slice(last, match.index));
    last = match.index + whole.length;
    if (type === undefined) throw new PythonError('ValueError', 'incomplete format');
    let member: Value | undefined;
    if (key !== undefined) {
      if (!isMapping) throw new PythonError('TypeError', 'format requires a mapping');
      member = memberOf(values, key);
      named = true;
    }
    let size = number(width) ?? 0;
    const left = size < 0 ? '-' : '';
    size = Math.abs(size);
    const hasPoint = /\.(?:\*|\d+)?[hlL]?.$/su.test(whole) && whole.slice(0, -1).replace(/^%(?:\(.*\))?/su, '').includes('.'); // prettier-ignore
    const conversion = { flags: flags + left, width: size, precision: hasPoint ? Math.max(0, number(precision) ?? 0) : undefined }; // prettier-ignore
    if (type === '%') {
      pieces.push('%');
      continue;
    }
    const value = member === undefined ? argument() : member;
    pieces.push(converted(value, type, conversion, format instanceof Markup, runtime));
  }
  if (!named && next < list.length && !isMapping)
    throw new PythonError('TypeError', 'not all arguments converted during string formatting');
  pieces.push(textOf(format).slice(last));
  const text = pieces.join('');
  runtime.allocate(2 * text.length);
  return textLike(format, text);
}

function memberOf(values: Value, key: string): Value {
  if (values instanceof Undefined) values.fail();
  if (!(values instanceof Dict)) throw new PythonError('TypeError', `${typeOf(values)} indices must be integers or slices, not str`); // prettier-ignore
  const entry = values.entries.get(hashOf(key));
  if (!entry) throw new PythonError('KeyError', `'${key}'`);
  return entry.value;
}

function converted(
  value: Value,
  type: string,
  conversion: Conversion,
  escapes: boolean,
  runtime: Runtime,
): string {
  switch (type) {
    case 's':
      return text(escapes ? escapedText(value, runtime) : textOfValue(value, runtime), conversion, runtime);
    case 'r':
      return text(escapes ? escapedText(representation(value, runtime), runtime) : representation(value, runtime), conversion, runtime); // prettier-ignore
    case 'a':
      return text(asciiOf(value, runtime), conversion, runtime);
    case 'c':
      return text(character(value), { ...conversion, precision: undefined }, runtime);
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return integer(value, type, conversion, runtime);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      if (!isInteger(value) && typeof value !== 'number') throw new PythonError('TypeError', `must be real number, not ${typeOf(value)}`); // prettier-ignore
      const float = toFloat(value);
      const size = presented(Math.abs(float), type, conversion.precision ?? 6, conversion.flags.includes('#'), runtime); // prettier-ignore
      return numeric(float < 0 || Object.is(float, -0), '', size, conversion, runtime);
    }
    default:
      throw new PythonError('ValueError', `unsupported format character '${type}' (0x${(type.codePointAt(0) as number).toString(16)})`); // prettier-ignore
  }
}

function text(value: string, { flags, width, precision }: Conversion, runtime: Runtime): string {
  const cut = precision === undefined ? value : between(value, 0, precision);
  return padded(cut, width, flags.includes('-') ? '<' : '>', ' ', runtime);
}

function character(value: Value): string {
  if (isInteger(value)) return characterOf(BigInt(value));
  if (isText(value) && [...textOf(value)].length === 1) return textOf(value);
  throw new PythonError('TypeError', '%c requires int or char');
}

function integer(value: Value, type: string, conversion: Conversion, runtime: Runtime): string {
  const isDecimal = 'diu'.includes(type);
  if (!isInteger(value) && !(isDecimal && typeof value === 'number'))
    throw new PythonError('TypeError', `%${type} format: ${isDecimal ? 'a real number' : 'an integer'} is required, not ${typeOf(value)}`); // prettier-ignore
  const whole = typeof value === 'number' ? truncatedFloat(value) : BigInt(value);
  const size = whole < 0n ? -whole : whole;
  const base = isDecimal ? 10 : type === 'o' ? 8 : 16;
  const digits = base === 10 ? integerText(size) : size.toString(base);
  runtime.allocate(2 * (conversion.precision ?? 0));
  const filled = digits.padStart(conversion.precision ?? 0, '0');
  const prefix = conversion.flags.includes('#') && base !== 10 ? `0${type}` : '';
  return numeric(whole < 0n, prefix, type === 'X' ? filled.toUpperCase() : filled, conversion, runtime);
}

function numeric(
  negative: boolean,
  prefix: string,
  digits: string,
  { flags, width }: Conversion,
  runtime: Runtime,
): string {
  // prettier-ignore
  const sign = (negative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') + prefix;
  if (flags.includes('-')) return padded(sign + digits, width, '<', ' ', runtime);
  if (!flags.includes('0')) return padded(sign + digits, width, '>', ' ', runtime);
  return sign + padded(digits, width - sign.length, '>', '0', runtime);
}
