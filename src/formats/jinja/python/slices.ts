import { charactersOf } from './characters.js';
import { integerOf, placeOf } from './arguments.js';
import { isInteger, isText, List, PythonError, Range, textLike, textOf, Tuple, typeOf, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** Items by number, and slices. */

/** The parts of `[start:stop:step]`, None where they are left out. */
export interface Slice {
  readonly start: Value;
  readonly stop: Value;
  readonly step: Value;
}

/** Where a slice of a sequence of some length begins, in which steps it goes on, and how many items it has. */
export function extentOf(
  { start, stop, step }: Slice,
  length: number,
): { from: number; by: number; count: number } {
  // prettier-ignore
  for (const one of [start, stop, step])
    if (one !== null && !isInteger(one))
      throw new PythonError('TypeError', 'slice indices must be integers or None or have an __index__ method');
  const by = step === null ? 1 : placeOf(step);
  if (by === 0) throw new PythonError('ValueError', 'slice step cannot be zero');
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const clip = (place: Value, absent: number): number => {
    if (place === null) return absent;
    const at = placeOf(place);
    return Math.min(Math.max(at < 0 ? at + length : at, low), high);
  };
  const from = clip(start, by > 0 ? low : high);
  const to = clip(stop, by > 0 ? high : low);
  return { from, by, count: Math.max(0, Math.ceil((to - from) / by)) };
}

function picked<T>(items: readonly T[], slice: Slice): T[] {
  const { from, by, count } = extentOf(slice, items.length);
  return Array.from({ length: count }, (_, i) => items[from + i * by] as T);
}

/** Python's `value[start:stop:step]`. @throws PythonError */
export function sliced(value: Value, slice: Slice, runtime: Runtime): Value {
  if (value instanceof Undefined) value.fail();
  if (isText(value)) {
    const characters = charactersOf(textOf(value));
    runtime.step(1 + characters.length / 64);
    return textLike(value, picked(characters, slice).join(''));
  }
  if (value instanceof List || value instanceof Tuple) {
    const items = picked(value.items, slice);
    runtime.step(1 + items.length / 64);
    return value instanceof List ? new List(items) : new Tuple(items);
  }
  if (value instanceof Range) {
    const { from, by, count } = extentOf(slice, Number(value.length));
    const start = value.at(BigInt(from));
    const increment = value.increment * BigInt(by);
    return new Range(start, start + BigInt(count) * increment, increment);
  }
  throw new PythonError('TypeError', `'${typeOf(value)}' object is not subscriptable by a slice`);
}

/** Python's `value[place]` of a sequence. @throws PythonError IndexError, TypeError */
export function itemAt(value: Value, place: Value): Value {
  const items = isText(value) ? charactersOf(textOf(value)) : value instanceof Range ? value : (value as List).items; // prettier-ignore
  if (!isInteger(place)) throw new PythonError('TypeError', `${typeOf(value)} indices must be integers or slices, not ${typeOf(place)}`); // prettier-ignore
  const length = BigInt(items.length);
  const whole = integerOf(place);
  const at = whole < 0n ? whole + length : whole;
  if (at < 0n || at >= length) throw new PythonError('IndexError', `${typeOf(value)} index out of range`);
  const item = items instanceof Range ? items.at(at) : (items[Number(at)] as Value);
  return isText(value) ? textLike(value, item as string) : item;
}
