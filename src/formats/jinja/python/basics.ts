import { charactersOf, compareTexts, lengthOf } from './characters.js';
import { Attributed, Dict, DictView, isInteger, isText, List, OnceIterator, PythonError, PythonObject, Range, textHash, textOf, Tuple, typeOf, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** What Python does with any value: truth, length, iteration, equality, order, hashes. */

/** Python's `bool(value)`. */
export function isTrue(value: Value): boolean {
  if (!(value instanceof PythonObject)) return Boolean(value);
  if (value instanceof Undefined) return false;
  const length = sizeOf(value);
  return length === undefined || length > 0n;
}

/** Python's `len(value)`; undefined for what has none. */
export function sizeOf(value: Value): bigint | undefined {
  if (isText(value)) return BigInt(lengthOf(textOf(value)));
  if (value instanceof List || value instanceof Tuple) return BigInt(value.items.length);
  if (value instanceof Dict) return BigInt(value.entries.size);
  if (value instanceof DictView) return BigInt(value.dict.entries.size);
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0n;
  return value instanceof Attributed ? value.length?.() : undefined;
}

/** The length of what has one. @throws PythonError TypeError */
export function lengthOfValue(value: Value): bigint {
  const length = sizeOf(value);
  if (length === undefined)
    throw new PythonError('TypeError', `object of type '${typeOf(value)}' has no len()`);
  return length;
}

/** What a view of a dict has in it. */
export function viewItems({ dict, part }: DictView): Value[] {
  const all = [...dict.entries.values()];
  if (part === 'items') return all.map(({ key, value }) => new Tuple([key, value]));
  return all.map((entry) => (part === 'keys' ? entry.key : entry.value));
}

/** Python's `iter(value)`; undefined for what cannot be iterated. */
export function iteratorOf(value: Value): Iterator<Value> | undefined {
  if (isText(value)) return charactersOf(textOf(value))[Symbol.iterator]();
  // By place, so that a loop sees what is appended meanwhile.
  if (value instanceof List || value instanceof Tuple) return value.items[Symbol.iterator]();
  if (value instanceof Dict) return dictItems(new DictView(value, 'keys'));
  if (value instanceof DictView) return dictItems(value);
  if (value instanceof Range) return rangeItems(value);
  if (value instanceof OnceIterator) return value.items;
  return value instanceof Undefined ? [][Symbol.iterator]() : undefined;
}

function* dictItems(view: DictView): Generator<Value> {
  const { size } = view.dict.entries;
  for (const { key, value } of view.dict.entries.values()) {
    yield view.part === 'items' ? new Tuple([key, value]) : view.part === 'keys' ? key : value;
    if (view.dict.entries.size !== size)
      throw new PythonError('RuntimeError', 'dictionary changed size during iteration');
  }
}

function* rangeItems(range: Range): Generator<Value> {
  for (let at = 0n; at < range.length; at++) yield range.at(at);
}

/** The items of what can be iterated, one step each. @throws PythonError TypeError */
export function* itemsOf(value: Value, runtime: Runtime): Generator<Value, undefined> {
  const iterator = iteratorOf(value);
  if (!iterator) throw new PythonError('TypeError', `'${typeOf(value)}' object is not iterable`);
  for (;;) {
    const { done, value: item } = iterator.next();
    if (done) return undefined;
    runtime.step();
    yield item as Value;
  }
}

// Bytes of an item of a list.
const ITEM_BYTES = 16;

/** Python's `list(value)`, without the list. */
export function listOf(value: Value, runtime: Runtime): Value[] {
  const length = sizeOf(value);
  if (length !== undefined) runtime.allocate(ITEM_BYTES * Number(length));
  const items: Value[] = [];
  for (const item of itemsOf(value, runtime)) {
    if (length === undefined) runtime.allocate(ITEM_BYTES);
    items.push(item);
  }
  return items;
}

const numbers = new WeakMap<PythonObject, number>();
let count = 0;

/** A text that equal values share and others do not. @throws PythonError TypeError for what has no hash */
export function hashOf(value: Value): string {
  if (isText(value)) return textHash(textOf(value));
  if (isInteger(value)) return `n${BigInt(value)}`;
  if (typeof value === 'number') return Number.isInteger(value) ? `n${BigInt(value)}` : `f${value}`;
  if (value === null) return 'None';
  if (value instanceof Undefined) return 'undefined';
  if (value instanceof Tuple)
    return `t${value.items
      .map(hashOf)
      .map((hash) => `${hash.length}:${hash}`)
      .join('')}`;
  if (value instanceof Range)
    return value.length === 0n ? 'r' : `r${value.start},${value.length},${value.length === 1n ? 0n : value.increment}`; // prettier-ignore
  if (
    value instanceof List ||
    value instanceof Dict ||
    (value instanceof DictView && value.part !== 'values')
  )
    throw new PythonError('TypeError', `unhashable type: '${typeOf(value)}'`);
  if (!numbers.has(value)) numbers.set(value, count++);
  return `o${numbers.get(value)}`;
}

/** Sets an entry of a dict; the key of an entry that there is stays. */
export function put(dict: Dict, key: Value, value: Value): void {
  const hash = hashOf(key);
  const entry = dict.entries.get(hash);
  if (entry) entry.value = value;
  else dict.entries.set(hash, { key, value });
}

/** Python's `a == b`. */
export function equals(a: Value, b: Value, runtime: Runtime): boolean {
  runtime.step();
  if (a === b) return !(typeof a === 'number' && Number.isNaN(a));
  if (isText(a)) return isText(b) && textOf(a) === textOf(b);
  if (isInteger(a) || typeof a === 'number') {
    if (typeof b === 'number') return Number(a) === b && (typeof a === 'number' || sameNumber(BigInt(a), b));
    return isInteger(b) && (typeof a === 'number' ? sameNumber(BigInt(b), a) : BigInt(a) === BigInt(b));
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple))
    return (
      a.items.length === b.items.length &&
      nested(runtime, () => a.items.every((item, i) => same(item, b.items[i] as Value, runtime)))
    );
  if (a instanceof Dict && b instanceof Dict)
    return (
      a.entries.size === b.entries.size &&
      nested(runtime, () =>
        [...a.entries].every(([hash, { value }]) => {
          const other = b.entries.get(hash);
          return other !== undefined && same(value, other.value, runtime);
        }),
      )
    );
  if (a instanceof Range && b instanceof Range) return hashOf(a) === hashOf(b);
  if (a instanceof DictView && b instanceof DictView && a.part === b.part && a.part !== 'values')
    return equalViews(a, b, runtime);
  return a instanceof Undefined && b instanceof Undefined;
}

function sameNumber(whole: bigint, float: number): boolean {
  return Number.isInteger(float) && BigInt(float) === whole;
}

function equalViews(a: DictView, b: DictView, runtime: Runtime): boolean {
  const [left, right] = [a, b].map((view) => viewItems(view)) as [Value[], Value[]];
  return (
    left.length === right.length && left.every((one) => right.some((other) => same(one, other, runtime)))
  );
}

// Lists within lists that Python still compares and writes.
const DEEPEST = 200;
let depth = 0;

/** Ends recursion into values that hold one another. @throws PythonError RecursionError */
export function nested<T>(runtime: Runtime, work: () => T): T {
  runtime.step();
  if (depth >= DEEPEST) throw new PythonError('RecursionError', 'values are nested too deeply');
  depth++;
  try {
    return work();
  } finally {
    depth--;
  }
}

/** The same object, or an equal one: what `in` and comparisons of lists ask. */
export function same(a: Value, b: Value, runtime: Runtime): boolean {
  return Object.is(a, b) || equals(a, b, runtime);
}

/**
 * Python's `a < b` and the like.
 *
 * @param operator stands in the error
 * @throws PythonError TypeError for what has no order
 */
export function compares(operator: '<' | '<=' | '>' | '>=', a: Value, b: Value, runtime: Runtime): boolean {
  runtime.step();
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  const holds = (order: number): boolean => (operator[0] === '<' ? order < 0 : order > 0) || (order === 0 && operator.length === 2); // prettier-ignore
  if (isText(a) && isText(b)) return holds(compareTexts(textOf(a), textOf(b)));
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [a, b].map((one) => (typeof one === 'boolean' ? BigInt(one) : one)) as [bigint, bigint];
    return { '<': x < y, '<=': x <= y, '>': x > y, '>=': x >= y }[operator];
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    const at = a.items.findIndex((item, i) => i >= b.items.length || !nested(runtime, () => same(item, b.items[i] as Value, runtime))); // prettier-ignore
    if (at < 0 || at >= b.items.length) return holds(a.items.length - b.items.length);
    return nested(runtime, () => compares(operator, a.items[at] as Value, b.items[at] as Value, runtime));
  }
  throw new PythonError('TypeError', `'${operator}' not supported between instances of '${typeOf(a)}' and '${typeOf(b)}'`); // prettier-ignore
}

/** Whether something is an int, a float or a boolean. */
export function isNumber(value: Value): value is bigint | boolean | number {
  return isInteger(value) || typeof value === 'number';
}

/** Python's `item in container`. @throws PythonError TypeError */
export function contains(container: Value, item: Value, runtime: Runtime): boolean {
  if (isText(container)) {
    if (!isText(item)) throw new PythonError('TypeError', `'in <string>' requires string as left operand, not ${typeOf(item)}`); // prettier-ignore
    return textOf(container).includes(textOf(item));
  }
  if (container instanceof Dict) return container.entries.has(hashOf(item));
  if (container instanceof DictView && container.part === 'keys')
    return container.dict.entries.has(hashOf(item));
  if (container instanceof Range && isInteger(item)) {
    const offset = BigInt(item) - container.start;
    const at = offset / container.increment;
    return offset % container.increment === 0n && at >= 0n && at < container.length;
  }
  if (!iteratorOf(container)) throw new PythonError('TypeError', `argument of type '${typeOf(container)}' is not iterable`); // prettier-ignore
  for (const one of itemsOf(container, runtime)) if (same(one, item, runtime)) return true;
  return false;
}

/** Python's `sorted`, which keeps the order of what is equal, also in reverse. */
export function sorted(
  items: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
  runtime: Runtime,
): Value[] {
  // prettier-ignore
  const keyed = items.map((item) => ({ item, key: key(item) }));
  if (reverse) keyed.reverse();
  keyed.sort((a, b) =>
    compares('<', a.key, b.key, runtime) ? -1 : compares('<', b.key, a.key, runtime) ? 1 : 0,
  );
  if (reverse) keyed.reverse();
  return keyed.map(({ item }) => item);
}
