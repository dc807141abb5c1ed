import { bound, placeOf, positionals } from './arguments.js';
import { equals, hashOf, isTrue, itemsOf, listOf, put, same, sorted } from './basics.js';
import { Callable, Dict, DictView, isInteger, List, PythonError, Tuple, typeOf, type Arguments, type Range, type Runtime, type Value } from './values.js'; // prettier-ignore

type Method<T> = (self: T, args: Arguments, runtime: Runtime) => Value;

const ITEM_BYTES = 64;

function positionIn(items: readonly Value[], args: Arguments, type: string, runtime: Runtime): bigint {
  const [wanted = null, start = 0n, stop] = positionals('index', args, 1, 3);
  const clip = (place: Value): number => {
    const at = placeOf(place);
    return at < 0 ? Math.max(0, at + items.length) : at;
  };
  const to = Math.min(stop === undefined ? items.length : clip(stop), items.length);
  for (let at = clip(start); at < to; at++) if (same(items[at] as Value, wanted, runtime)) return BigInt(at);
  throw new PythonError('ValueError', type === 'list' ? 'the value is not in list' : 'tuple.index(x): x not in tuple'); // prettier-ignore
}

function countIn(items: readonly Value[], args: Arguments, runtime: Runtime): bigint {
  const [wanted = null] = positionals('count', args, 1, 1);
  return BigInt(items.filter((item) => same(item, wanted, runtime)).length);
}

export const TUPLE_METHODS: Readonly<Record<string, Method<Tuple>>> = {
  index: ({ items }, args, runtime) => positionIn(items, args, 'tuple', runtime),
  count: ({ items }, args, runtime) => countIn(items, args, runtime),
};

export const LIST_METHODS: Readonly<Record<string, Method<List>>> = {
  index: ({ items }, args, runtime) => positionIn(items, args, 'list', runtime),
  count: ({ items }, args, runtime) => countIn(items, args, runtime),
  append: ({ items }, args, runtime) => {
    runtime.allocate(ITEM_BYTES);
    items.push(positionals('append', args, 1, 1)[0] as Value);
    return null;
  },
  extend: ({ items }, args, runtime) => {
    const added = listOf(positionals('extend', args, 1, 1)[0] as Value, runtime);
    runtime.allocate(ITEM_BYTES * added.length);
    for (const item of added) items.push(item);
    return null;
  },
  insert: ({ items }, args, runtime) => {
    const [place = null, item = null] = positionals('insert', args, 2, 2);
    runtime.allocate(ITEM_BYTES);
    runtime.step(1 + items.length / 64);
    items.splice(placeOf(place), 0, item);
    return null;
  },
  pop: ({ items }, args, runtime) => {
    const [place = -1n] = positionals('pop', args, 0, 1);
    if (items.length === 0) throw new PythonError('IndexError', 'pop from empty list');
    const at = placeOf(place) < 0 ? placeOf(place) + items.length : placeOf(place);
    if (at < 0 || at >= items.length) throw new PythonError('IndexError', 'pop index out of range');
    runtime.step(1 + items.length / 64);
    return items.splice(at, 1)[0] as Value;
  },
  remove: ({ items }, args, runtime) => {
    const [wanted = null] = positionals('remove', args, 1, 1);
    const at = items.findIndex((item) => same(item, wanted, runtime));
    if (at < 0) throw new PythonError('ValueError', 'list.remove(x): x not in list');
    items.splice(at, 1);
    return null;
  },
  reverse: ({ items }, args, runtime) => {
    positionals('reverse', args, 0, 0);
    runtime.step(1 + items.length / 64);
    items.reverse();
    return null;
  },
  sort: ({ items }, args, runtime) => {
    if (args.positional.length > 0)
      throw new PythonError('TypeError', 'sort() takes no positional arguments');
    const [key = null, reverse = false] = bound('sort', args, ['key?', 'reverse?']);
    if (key !== null && !(key instanceof Callable)) throw new PythonError('TypeError', `'${typeOf(key)}' object is not callable`); // prettier-ignore
    const keyOf = (item: Value): Value => (key === null ? item : key.call({ positional: [item], named: new Map() })); // prettier-ignore
    const inOrder = sorted(items, keyOf, isTrue(reverse), runtime);
    items.splice(0, items.length, ...inOrder);
    return null;
  },
  clear: ({ items }, args) => {
    positionals('clear', args, 0, 0);
    items.length = 0;
    return null;
  },
  copy: ({ items }, args, runtime) => {
    positionals('copy', args, 0, 0);
    runtime.allocate(ITEM_BYTES * items.length);
    return new List([...items]);
  },
};

export const RANGE_METHODS: Readonly<Record<string, Method<Range>>> = {
  index: (range, args) => {
    const [wanted = null] = positionals('index', args, 1, 1);
    if (isInteger(wanted)) {
      const offset = BigInt(wanted) - range.start;
      const at = offset / range.increment;
      if (offset % range.increment === 0n && at >= 0n && at < range.length) return at;
    }
    throw new PythonError('ValueError', 'the value is not in range');
  },
  count: (range, args, runtime) => {
    const [wanted = null] = positionals('count', args, 1, 1);
    let found = 0n;
    for (const item of itemsOf(range, runtime)) if (equals(item, wanted, runtime)) found++;
    return found;
  },
};

function view(part: 'keys' | 'values' | 'items'): Method<Dict> {
  return (dict, args) => {
    positionals(part, args, 0, 0);
    return new DictView(dict, part);
  };
}

export const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  keys: view('keys'),
  values: view('values'),
  items: view('items'),
  get: ({ entries }, args) => {
    const [key = null, otherwise = null] = positionals('get', args, 1, 2);
    return entries.get(hashOf(key))?.value ?? (entries.has(hashOf(key)) ? null : otherwise);
  },
  pop: ({ entries }, args) => {
    const [key = null, otherwise] = positionals('pop', args, 1, 2);
    const entry = entries.get(hashOf(key));
    if (!entry && otherwise === undefined) throw new PythonError('KeyError', 'the key is not in the dict');
    entries.delete(hashOf(key));
    return entry ? entry.value : (otherwise as Value);
  },
  popitem: ({ entries }, args) => {
    positionals('popitem', args, 0, 0);
    const last = [...entries].at(-1);
    if (!last) throw new PythonError('KeyError', 'popitem(): dictionary is empty');
    entries.delete(last[0]);
    return new Tuple([last[1].key, last[1].value]);
  },
  setdefault: (dict, args, runtime) => {
    const [key = null, value = null] = positionals('setdefault', args, 1, 2);
    const entry = dict.entries.get(hashOf(key));
    if (entry) return entry.value;
    runtime.allocate(ITEM_BYTES);
    put(dict, key, value);
    return value;
  },
  update: (dict, args, runtime) => {
    fill(dict, 'update', args, runtime);
    return null;
  },
  clear: ({ entries }, args) => {
    positionals('clear', args, 0, 0);
    entries.clear();
    return null;
  },
  copy: (dict, args, runtime) => {
    positionals('copy', args, 0, 0);
    const copy = new Dict();
    fill(copy, 'copy', { positional: [dict], named: new Map() }, runtime);
    return copy;
  },
};

/** What `dict(...)`, `update` and `namespace` take: a dict or pairs, and names. @throws PythonError */
export function fill(dict: Dict, name: string, { positional, named }: Arguments, runtime: Runtime): void {
  if (positional.length > 1) throw new PythonError('TypeError', `${name} expected at most 1 argument, got ${positional.length}`); // prettier-ignore
  const [given] = positional;
  if (given instanceof Dict)
    for (const { key, value } of [...given.entries.values()]) {
      runtime.allocate(ITEM_BYTES);
      put(dict, key, value);
    }
  else if (given !== undefined)
    for (const pair of itemsOf(given, runtime)) {
      const items = listOf(pair, runtime);
      if (items.length !== 2) throw new PythonError('ValueError', `dictionary update sequence element has length ${items.length}; 2 is required`); // prettier-ignore
      runtime.allocate(ITEM_BYTES);
      put(dict, items[0] as Value, items[1] as Value);
    }
  for (const [key, value] of named) put(dict, key, value);
}
