import { isInteger, PythonError, typeOf, Undefined, type Arguments, type Value } from './values.js';

/** How functions take what they are called with. */

const NONE: ReadonlyMap<string, Value> = new Map();

/** Arguments without names. */
export function plain(...positional: Value[]): Arguments {
  return { positional, named: NONE };
}

/** Arguments without the first so many. */
export function without({ positional, named }: Arguments, count: number): Arguments {
  return { positional: positional.slice(count), named };
}

/**
 * The values of a function's parameters; undefined for one that is not given.
 *
 * @param parameters their names, with `?` behind those that may be left out
 * @throws PythonError TypeError for what the function does not take
 */
export function bound<const Names extends readonly string[]>(
  name: string,
  { positional, named }: Arguments,
  parameters: Names,
): { [I in keyof Names]: Names[I] extends `${string}?` ? Value | undefined : Value } {
  if (positional.length > parameters.length)
    throw new PythonError('TypeError', `${name}() takes at most ${parameters.length} arguments (${positional.length} given)`); // prettier-ignore
  const names = parameters.map((parameter) => parameter.replace('?', ''));
  for (const key of named.keys()) {
    const at = names.indexOf(key);
    if (at < 0) throw new PythonError('TypeError', `${name}() got an unexpected keyword argument '${key}'`);
    if (at < positional.length) throw new PythonError('TypeError', `${name}() got multiple values for argument '${key}'`); // prettier-ignore
  }
  const values = names.map((one, i) => (i < positional.length ? positional[i] : named.get(one)));
  const missing = parameters.findIndex((one, i) => !one.endsWith('?') && values[i] === undefined);
  if (missing >= 0) throw new PythonError('TypeError', `${name}() missing a required argument: '${names[missing]}'`); // prettier-ignore
  return values as never;
}

/** The values of a function that takes no names, so many at least and at most. @throws PythonError TypeError */
export function positionals(
  name: string,
  { positional, named }: Arguments,
  least: number,
  most: number,
): readonly Value[] {
  // prettier-ignore
  if (named.size > 0) throw new PythonError('TypeError', `${name}() takes no keyword arguments`);
  if (positional.length < least || positional.length > most)
    throw new PythonError('TypeError', `${name}() takes ${least === most ? least : `${least} to ${most}`} arguments (${positional.length} given)`); // prettier-ignore
  return positional;
}

/** What is used as an int. @throws PythonError TypeError */
export function integerOf(value: Value): bigint {
  if (value instanceof Undefined) value.fail();
  if (isInteger(value)) return BigInt(value);
  throw new PythonError('TypeError', `'${typeOf(value)}' object cannot be interpreted as an integer`);
}

/** A count or place, as far as numbers of JavaScript are exact; what lies beyond is as good as their ends. */
export function placeOf(value: Value): number {
  const whole = integerOf(value);
  const [least, most] = [BigInt(Number.MIN_SAFE_INTEGER), BigInt(Number.MAX_SAFE_INTEGER)];
  return Number(whole < least ? least : whole > most ? most : whole);
}
