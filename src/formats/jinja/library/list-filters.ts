import { bound, integerOf, placeOf, positionals, without } from '../python/arguments.js';
import { attributeOf, pythonAttribute, pythonItem } from '../python/attributes.js';
import { compares, equals, hashOf, isTrue, itemsOf, iteratorOf, lengthOfValue, listOf, sorted, viewItems } from '../python/basics.js'; // prettier-ignore
import { charactersOf } from '../python/characters.js';
import { operate } from '../python/operators.js';
import { Dict, DictView, isText, List, OnceIterator, PythonError, Range, textLike, textOf, Tuple, typeOf, Undefined, type Arguments, type Runtime, type Value } from '../python/values.js'; // prettier-ignore
import { attributeGetter, attributesGetter, withoutCase, type Getter } from './attribute-paths.js';
import type { Filter } from './filter.js';

/** Jinja's filters of lists and dicts, and promptsource's own two. */

function lazily(items: Generator<Value>): Value {
  return new OnceIterator(items, 'generator');
}

const caseOf = (sensitive: Value): Getter | undefined => (isTrue(sensitive) ? undefined : withoutCase);

function extreme(name: string, operator: '<' | '>'): Filter {
  return (value, args, runtime) => {
    const [sensitive = false, attribute = null] = bound(name, args, ['case_sensitive?', 'attribute?']);
    const get = attributeGetter(attribute, runtime, { after: caseOf(sensitive) });
    let best: { item: Value; key: Value } | undefined;
    for (const item of itemsOf(value, runtime)) {
      const key = get(item);
      if (!best || compares(operator, key, best.key, runtime)) best = { item, key };
    }
    return best ? best.item : new Undefined('No aggregated item, sequence was empty.');
  };
}

function sum(value: Value, args: Arguments, runtime: Runtime): Value {
  const [attribute = null, start = 0n] = bound('sum', args, ['attribute?', 'start?']);
  const get = attribute === null ? undefined : attributeGetter(attribute, runtime);
  if (isText(start)) throw new PythonError('TypeError', "sum() can't sum strings [use ''.join(seq) instead]");
  let total: Value = start;
  for (const item of itemsOf(value, runtime)) total = operate('+', total, get ? get(item) : item, runtime);
  return total;
}

/** What can be read from its end. */
function reversedItems(value: Value, runtime: Runtime): Value[] | undefined {
  if (isText(value)) return charactersOf(textOf(value)).toReversed();
  if (value instanceof DictView) return viewItems(value).toReversed();
  const known = [List, Tuple, Dict, Range, Undefined].some((kind) => value instanceof kind);
  return known ? listOf(value, runtime).reverse() : undefined;
}

function reversed(value: Value, args: Arguments, runtime: Runtime): Value {
  bound('reverse', args, []);
  if (isText(value)) return textLike(value, charactersOf(textOf(value)).toReversed().join(''));
  const items = reversedItems(value, runtime);
  if (items) return new OnceIterator(items[Symbol.iterator](), 'reversed');
  if (!iteratorOf(value)) throw new PythonError('FilterArgumentError', 'argument must be iterable');
  return new List(listOf(value, runtime).reverse());
}

function* unique(value: Value, get: Getter, runtime: Runtime): Generator<Value> {
  const seen = new Set<string>();
  for (const item of itemsOf(value, runtime)) {
    const hash = hashOf(get(item));
    if (seen.has(hash)) continue;
    runtime.allocate(2 * hash.length);
    seen.add(hash);
    yield item;
  }
}

function* batch(value: Value, size: number, fill: Value, runtime: Runtime): Generator<Value> {
  let items: Value[] = [];
  for (const item of itemsOf(value, runtime)) {
    if (items.length === size) {
      yield new List(items);
      items = [];
    }
    items.push(item);
  }
  if (items.length === 0) return;
  if (fill !== null && items.length < size) {
    runtime.allocate(8 * (size - items.length));
    while (items.length < size) items.push(fill);
  }
  yield new List(items);
}

function* slices(value: Value, count: Value, fill: Value, runtime: Runtime): Generator<Value> {
  const items = listOf(value, runtime);
  const parts = placeOf(count);
  if (parts === 0) throw new PythonError('ZeroDivisionError', 'integer division or modulo by zero');
  const [size, extra] = [Math.floor(items.length / parts), items.length % parts];
  let start = 0;
  for (let i = 0; i < parts; i++) {
    runtime.step();
    const end = start + size + (i < extra ? 1 : 0);
    const part = items.slice(start, end);
    if (fill !== null && i >= extra) part.push(fill);
    yield new List(part);
    start = end;
  }
}

function* mapped(value: Value, args: Arguments, runtime: Runtime): Generator<Value> {
  if (!isTrue(value)) return;
  const get = mapping(args, runtime);
  for (const item of itemsOf(value, runtime)) yield get(item);
}

function mapping(args: Arguments, runtime: Runtime): Getter {
  const { positional, named } = args;
  if (positional.length === 0 && named.has('attribute')) {
    const [attribute, otherwise = null] = bound('map', args, ['attribute', 'default?']);
    return attributeGetter(attribute, runtime, { otherwise });
  }
  const [name] = positional;
  if (name === undefined) throw new PythonError('FilterArgumentError', 'map requires a filter argument');
  return (item) => runtime.filter(name, { positional: [item, ...positional.slice(1)], named });
}

function* chosen(
  value: Value,
  args: Arguments,
  wanted: boolean,
  byAttribute: boolean,
  runtime: Runtime,
): Generator<Value> {
  // prettier-ignore
  if (!isTrue(value)) return;
  const [attribute] = args.positional;
  if (byAttribute && attribute === undefined) throw new PythonError('FilterArgumentError', 'Missing parameter for attribute name'); // prettier-ignore
  const get = byAttribute ? attributeGetter(attribute as Value, runtime) : undefined;
  const { positional, named } = without(args, byAttribute ? 1 : 0);
  const [name] = positional;
  for (const item of itemsOf(value, runtime)) {
    const asked = get ? get(item) : item;
    const answer = name === undefined ? asked : runtime.test(name, { positional: [asked, ...positional.slice(1)], named }); // prettier-ignore
    if (isTrue(answer) === wanted) yield item;
  }
}

const chooses =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, args, runtime) =>
    lazily(chosen(value, args, wanted, byAttribute, runtime));

function grouped(value: Value, args: Arguments, runtime: Runtime): Value {
  const [attribute, otherwise = null, sensitive = false] = bound('groupby', args, ['attribute', 'default?', 'case_sensitive?']); // prettier-ignore
  const plainly = attributeGetter(attribute, runtime, { otherwise });
  const get = attributeGetter(attribute, runtime, { otherwise, after: caseOf(sensitive) });
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value, runtime), get, false, runtime)) {
    const last = groups.at(-1);
    const key = get(item);
    if (last && equals(last.key, key, runtime)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  // A group is called as its first item is, not by that in lower case.
  return new List(groups.map(({ key, items }) => new Tuple([isTrue(sensitive) ? key : plainly(items[0] as Value), new List(items)], ['grouper', 'list']))); // prettier-ignore
}

function dictSorted(value: Value, args: Arguments, runtime: Runtime): Value {
  const [sensitive = false, by = 'key', reverse = false] = bound('dictsort', args, ['case_sensitive?', 'by?', 'reverse?']); // prettier-ignore
  const part = ['key', 'value'].indexOf(isText(by) ? textOf(by) : '');
  if (part < 0) throw new PythonError('FilterArgumentError', 'You can only sort by either "key" or "value"');
  if (value instanceof Undefined) value.fail();
  if (!(value instanceof Dict)) throw new PythonError('AttributeError', `'${typeOf(value)}' object has no attribute 'items'`); // prettier-ignore
  const after = caseOf(sensitive);
  const key = (pair: Value): Value => {
    const one = (pair as Tuple).items[part] as Value;
    return after ? after(one) : one;
  };
  return new List(sorted(viewItems(new DictView(value, 'items')), key, isTrue(reverse), runtime));
}

/** promptsource's: the items that come most often, in the order of their first. */
function mostFrequent(value: Value, args: Arguments, runtime: Runtime): Value {
  bound('most_frequent', args, []);
  if (!isTrue(value)) return new List([]);
  const counts = new Map<string, { item: Value; count: number }>();
  const keys = value instanceof Dict ? [...value.entries.values()].map(({ key, value: count }) => ({ item: key, count })) : undefined; // prettier-ignore
  if (keys) return mostOfCounts(keys, runtime);
  for (const item of itemsOf(value, runtime)) {
    const hash = hashOf(item);
    counts.set(hash, { item: counts.get(hash)?.item ?? item, count: (counts.get(hash)?.count ?? 0) + 1 });
  }
  const most = [...counts.values()].reduce((most, { count }) => Math.max(most, count), 0);
  if (counts.size === 0) throw new PythonError('IndexError', 'list index out of range');
  return new List([...counts.values()].filter(({ count }) => count === most).map(({ item }) => item));
}

/** A dict counts as the numbers of its keys. */
function mostOfCounts(entries: readonly { item: Value; count: Value }[], runtime: Runtime): Value {
  const inOrder = sorted(entries.map(({ item, count }) => new Tuple([item, count])), (pair) => (pair as Tuple).items[1] as Value, true, runtime) as Tuple[]; // prettier-ignore
  const most = inOrder[0]?.items[1] as Value;
  return new List(inOrder.filter(({ items }) => equals(items[1] as Value, most, runtime)).map(({ items }) => items[0] as Value)); // prettier-ignore
}

function drawn(value: Value, empty: () => Value, runtime: Runtime): Value {
  const length = lengthOfValue(value);
  if (value instanceof Undefined || length === 0n) return empty();
  const at = BigInt(Math.floor(runtime.random() * Number(length)));
  return pythonItem(value, at);
}

const counts: Filter = (value, args) => {
  positionals('len', args, 0, 0);
  return lengthOfValue(value);
};

const otherwise: Filter = (value, args) => {
  const [instead = '', also = false] = bound('default', args, ['default_value?', 'boolean?']);
  return value instanceof Undefined || (isTrue(also) && !isTrue(value)) ? instead : value;
};

export const LIST_FILTERS: Readonly<Record<string, Filter>> = {
  attr: (value, args, runtime) => {
    const [name] = bound('attr', args, ['name']);
    const found = isText(name) ? pythonAttribute(value, textOf(name), runtime) : undefined;
    if (!isText(name)) throw new PythonError('TypeError', 'attribute name must be string');
    return found ?? (value instanceof Dict ? new Undefined(`'dict object' has no attribute '${textOf(name)}'`) : attributeOf(value, textOf(name), runtime)); // prettier-ignore
  },
  batch: (value, args, runtime) => {
    const [size, fill = null] = bound('batch', args, ['linecount', 'fill_with?']);
    return lazily(batch(value, Number(integerOf(size)), fill, runtime));
  },
  choice: (value, args, runtime) => {
    bound('choice', args, ['choices?']);
    return drawn(value, () => { throw new PythonError('IndexError', 'Cannot choose from an empty sequence'); }, runtime); // prettier-ignore
  },
  count: counts,
  d: otherwise,
  default: otherwise,
  dictsort: dictSorted,
  first: (value, args, runtime) => {
    bound('first', args, []);
    for (const item of itemsOf(value, runtime)) return item;
    return new Undefined('No first item, sequence was empty.');
  },
  groupby: grouped,
  highlight: (value, args, runtime) => {
    bound('highlight', args, []);
    return operate('+', operate('+', "<span style='color: #F08080'>", value, runtime), '</span>', runtime);
  },
  items: (value, args) => {
    bound('items', args, []);
    return lazily(pairs(value));
  },
  last: (value, args, runtime) => {
    bound('last', args, []);
    const items = reversedItems(value, runtime);
    if (!items) throw new PythonError('TypeError', `'${typeOf(value)}' object is not reversible`);
    return items.length === 0 ? new Undefined('No last item, sequence was empty.') : (items[0] as Value);
  },
  length: counts,
  list: (value, args, runtime) => {
    bound('list', args, []);
    return new List(listOf(value, runtime));
  },
  map: (value, args, runtime) => lazily(mapped(value, args, runtime)),
  max: extreme('max', '>'),
  min: extreme('min', '<'),
  most_frequent: mostFrequent,
  random: (value, args, runtime) => {
    bound('random', args, []);
    return drawn(value, () => new Undefined('No random item, sequence was empty.'), runtime);
  },
  reject: chooses(false, false),
  rejectattr: chooses(false, true),
  reverse: reversed,
  select: chooses(true, false),
  selectattr: chooses(true, true),
  slice: (value, args, runtime) => {
    const [count, fill = null] = bound('slice', args, ['slices', 'fill_with?']);
    return lazily(slices(value, count, fill, runtime));
  },
  sort: (value, args, runtime) => {
    const [reverse = false, sensitive = false, attribute = null] = bound('sort', args, ['reverse?', 'case_sensitive?', 'attribute?']); // prettier-ignore
    const get = attributesGetter(attribute, runtime, caseOf(sensitive));
    return new List(sorted(listOf(value, runtime), get, isTrue(reverse), runtime));
  },
  sum,
  unique: (value, args, runtime) => {
    const [sensitive = false, attribute = null] = bound('unique', args, ['case_sensitive?', 'attribute?']);
    return lazily(unique(value, attributeGetter(attribute, runtime, { after: caseOf(sensitive) }), runtime));
  },
};

function* pairs(value: Value): Generator<Value> {
  if (value instanceof Undefined) return;
  if (!(value instanceof Dict)) throw new PythonError('TypeError', 'Can only get item pairs from a mapping.');
  yield* viewItems(new DictView(value, 'items'));
}
