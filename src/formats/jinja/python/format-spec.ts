import { between, charactersOf, lengthOf } from './characters.js';
import { exponential, fixed, general, specialFloat } from './floats.js';
import { floatOfInteger } from './numbers.js';
import { integerText, textOfValue } from './show.js';
import { isInteger, isText, PythonError, textOf, typeOf, type Runtime, type Value } from './values.js';

/** Python's format specifications: what stands behind the colon of `{:>8.2f}`. */

interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  readonly alternate: boolean;
  readonly zero: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?(.)?$/su;

function parsed(spec: string, type: string): Spec {
  const match = SPEC.exec(spec);
  if (!match) throw new PythonError('ValueError', `Invalid format specifier '${spec}' for object of type '${type}'`); // prettier-ignore
  const [, fill, align, sign = '-', , alternate, zero, width, grouping = '', precision, kind = ''] = match;
  if ([width, precision].some((digits) => digits !== undefined && digits.length > 15))
    throw new PythonError('ValueError', 'Too many decimal digits in format string');
  return {
    fill: fill ?? (zero && !align ? '0' : ' '),
    align: align ?? (zero ? '=' : undefined),
    ...{ sign, grouping, type: kind, alternate: alternate !== undefined, zero: zero !== undefined },
    width: width === undefined ? 0 : Number(width),
    precision: precision === undefined ? undefined : Number(precision),
  };
}

/** Python's `format(value, spec)`. @throws PythonError */
export function formatted(value: Value, spec: string, runtime: Runtime): string {
  if (isText(value)) return formattedText(textOf(value), spec, runtime);
  if (typeof value === 'boolean' && spec === '') return textOfValue(value, runtime);
  if (isInteger(value)) return formattedInteger(BigInt(value), spec, runtime);
  if (typeof value === 'number') return formattedFloat(value, parsed(spec, 'float'), runtime, 'float');
  if (spec !== '') throw new PythonError('TypeError', `unsupported format string passed to ${typeOf(value)}.__format__`); // prettier-ignore
  return textOfValue(value, runtime);
}

/** Puts a text into a field of some width. */
export function padded(text: string, width: number, align: string, fill: string, runtime: Runtime): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  runtime.allocate(2 * fill.length * missing);
  const left = align === '>' ? missing : align === '^' ? Math.floor(missing / 2) : 0;
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

function formattedText(text: string, given: string, runtime: Runtime): string {
  if (given === '') return text;
  const spec = parsed(given, 'str');
  const refused = spec.sign !== '-' || /^[^<>=^]?[<>=^]?[-+ ]/.test(given.replace(/^.?[<>=^]/su, '')) ? 'Sign' : spec.alternate ? 'Alternate form (#)' : undefined; // prettier-ignore
  if (refused) throw new PythonError('ValueError', `${refused} not allowed in string format specifier`);
  if (spec.grouping !== '')
    throw new PythonError('ValueError', `Cannot specify '${spec.grouping}' with 's'.`);
  if (spec.type !== '' && spec.type !== 's') throw new PythonError('ValueError', `Unknown format code '${spec.type}' for object of type 'str'`); // prettier-ignore
  // A zero in front of the width asks for `=` only where Python is older than 3.10.
  const align =
    spec.align === '=' && !given.replace(/^.?=/su, '=').startsWith('=') ? '<' : (spec.align ?? '<');
  if (align === '=')
    throw new PythonError('ValueError', "'=' alignment not allowed in string format specifier");
  const cut = spec.precision === undefined ? text : between(text, 0, spec.precision);
  return padded(cut, spec.width, align, spec.fill, runtime);
}

const BASES: Readonly<Record<string, number>> = { b: 2, o: 8, d: 10, x: 16, X: 16, n: 10, '': 10 };

function formattedInteger(value: bigint, given: string, runtime: Runtime): string {
  const spec = parsed(given, 'int');
  if ('eEfFgG%'.includes(spec.type) && spec.type !== '') return formattedFloat(floatOfInteger(value), spec, runtime, 'int'); // prettier-ignore
  const base = BASES[spec.type];
  if (base === undefined && spec.type !== 'c') throw new PythonError('ValueError', `Unknown format code '${spec.type}' for object of type 'int'`); // prettier-ignore
  if (spec.precision !== undefined) throw new PythonError('ValueError', 'Precision not allowed in integer format specifier'); // prettier-ignore
  if (base === undefined) {
    if (spec.sign !== '-' || spec.grouping !== '') throw new PythonError('ValueError', "Sign not allowed with integer format specifier 'c'"); // prettier-ignore
    return padded(characterOf(value), spec.width, spec.align === '=' ? '>' : (spec.align ?? '>'), spec.fill, runtime); // prettier-ignore
  }
  if ((spec.grouping === ',' && base !== 10) || (spec.grouping !== '' && spec.type === 'n'))
    throw new PythonError('ValueError', `Cannot specify '${spec.grouping}' with '${spec.type}'.`);
  const size = value < 0n ? -value : value;
  const digits = base === 10 ? integerText(size) : size.toString(base);
  const prefix = spec.alternate && base !== 10 ? `0${spec.type}` : '';
  const cased = spec.type === 'X' ? digits.toUpperCase() : digits;
  return numberInField(value < 0n, prefix, cased, '', spec, base === 10 ? 3 : 4, runtime);
}

/** Python's `chr`. @throws PythonError OverflowError */
export function characterOf(value: bigint): string {
  if (value < 0n || value > 0x10ffffn)
    throw new PythonError('OverflowError', '%c arg not in range(0x110000)');
  return String.fromCodePoint(Number(value));
}

// Digits that a float may be asked for.
const MOST_PLACES = 100_000;

/** The absolute value of a float in a presentation: `e`, `f` or `g`, of either case, or `%`. */
export function presented(
  value: number,
  type: string,
  precision: number,
  alternate: boolean,
  runtime: Runtime,
): string {
  // prettier-ignore
  if (!Number.isFinite(value)) {
    const text = specialFloat(Math.abs(value)) + (type === '%' ? '%' : '');
    return type === type.toUpperCase() && type !== '%' ? text.toUpperCase() : text;
  }
  if (precision > MOST_PLACES) throw new PythonError('NotSupported', `more than ${MOST_PLACES} digits of a float are not supported`); // prettier-ignore
  runtime.step(1 + precision ** 1.6 / 64);
  switch (type) {
    case 'e':
      return exponential(value, precision, alternate);
    case 'E':
      return exponential(value, precision, alternate).toUpperCase();
    case '%':
      return `${presented(100 * value, 'f', precision, alternate, runtime)}%`;
    case 'g':
      return general(value, precision, { alternate });
    case 'G':
      return general(value, precision, { alternate }).toUpperCase();
    default:
      return fixed(value, precision) + (alternate && precision === 0 ? '.' : '');
  }
}

function formattedFloat(value: number, spec: Spec, runtime: Runtime, of: string): string {
  const { type, precision } = spec;
  if (!['', 'e', 'E', 'f', 'F', 'g', 'G', 'n', '%'].includes(type))
    throw new PythonError('ValueError', `Unknown format code '${type}' for object of type '${of}'`);
  const size = Math.abs(value);
  let text: string;
  if (type === '' && Number.isFinite(value))
    text = precision === undefined ? textOfValue(size, runtime) : general(size, Math.min(precision, MOST_PLACES), { alternate: spec.alternate, point: true }); // prettier-ignore
  else
    text = presented(size, type === 'n' || type === '' ? 'g' : type, precision ?? 6, spec.alternate, runtime);
  const [, digits = '', rest = ''] = /^(\d*)(.*)$/s.exec(text) as string[];
  return numberInField(value < 0 || Object.is(value, -0), '', digits, rest, spec, 3, runtime);
}

function numberInField(
  negative: boolean,
  prefix: string,
  digits: string,
  rest: string,
  spec: Spec,
  group: number,
  runtime: Runtime,
): string {
  const sign = (negative ? '-' : spec.sign === '-' ? '' : spec.sign) + prefix;
  // Zeros in front of the number are grouped with it.
  const zeros = spec.align === '=' && spec.fill === '0';
  const least = zeros ? spec.width - sign.length - rest.length : 0;
  runtime.allocate(2 * Math.max(0, least));
  const body = grouped(digits, least, spec.grouping, group);
  const text = body + rest;
  if (spec.align !== '=') return padded(sign + text, spec.width, spec.align ?? '>', spec.fill, runtime);
  return sign + padded(text, spec.width - sign.length, '>', spec.fill, runtime);
}

/** Digits with a mark between groups, and with zeros in front as far as they have to reach. */
function grouped(digits: string, least: number, mark: string, size: number): string {
  if (mark === '' || digits === '') return digits.padStart(least, '0');
  let text = '';
  const characters = charactersOf(digits);
  for (let i = 0; i < characters.length || text.length < least; i++) {
    if (i > 0 && i % size === 0) text = mark + text;
    text = (characters[characters.length - 1 - i] ?? '0') + text;
  }
  return text;
}
