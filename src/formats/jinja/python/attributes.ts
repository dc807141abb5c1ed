import { DICT_METHODS, LIST_METHODS, RANGE_METHODS, TUPLE_METHODS } from './container-methods.js';
import { hashOf } from './basics.js';
import { positionals } from './arguments.js';
import { itemAt } from './slices.js';
import { TEXT_METHODS } from './text-methods.js';
import { textFormatted, type Members } from './text-format.js';
import { Attributed, Callable, Dict, isInteger, isText, List, PythonError, Range, textOf, Tuple, typeOf, Undefined, type Arguments, type Runtime, type Value } from './values.js'; // prettier-ignore

/** How Python, and Jinja, find `value.name` and `value[key]`. Nothing but what is listed here can be reached. */

// What Python has and templates have no use for: said by name instead of being taken for undefined.
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  str: ['encode', 'translate', 'maketrans', 'format_map'],
  Markup: ['encode', 'translate', 'maketrans', 'format_map', 'unescape', 'striptags', 'escape'],
  int: ['as_integer_ratio', 'from_bytes', 'to_bytes'],
  float: ['as_integer_ratio', 'fromhex', 'hex'],
  dict: ['fromkeys'],
  dict_keys: ['isdisjoint', 'mapping'],
  dict_items: ['isdisjoint', 'mapping'],
  dict_values: ['mapping'],
  generator: ['close', 'send', 'throw'],
};

// What leads from a value of Python to its class, and from there to the rest of the program.
const INTERNALS = new Set(
  'add bases bool call class class_getitem closure code contains defaults delattr delitem dict dir doc eq float format func ge get getattribute getitem getnewargs getstate globals gt hash html iadd imul init init_subclass int ior iter le len lt mod module mro mul name ne new next or qualname reduce reduce_ex repr reversed rmod rmul ror self setattr setitem sizeof str subclasses subclasshook wrapped'
    .split(' ')
    .map((name) => `__${name}__`),
);

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/**
 * Python's `getattr(value, name)`; undefined where there is no such attribute.
 *
 * @throws PythonError SecurityError for a name of Python's internals, NotSupported for one that is not there in templates
 */
export function pythonAttribute(value: Value, name: string, runtime: Runtime): Value | undefined {
  if (value instanceof Undefined) value.fail();
  if (value instanceof Attributed) {
    const found = value.attribute(name);
    if (found !== undefined) return found;
  }
  if (INTERNALS.has(name)) throw new PythonError('SecurityError', `access to attribute '${name}' of '${typeOf(value)}' object is unsafe`); // prettier-ignore
  if (own(UNSUPPORTED, typeOf(value))?.includes(name)) throw new PythonError('NotSupported', `the attribute '${name}' of '${typeOf(value)}' is not supported`); // prettier-ignore
  const method = methodOf(value, name, runtime);
  return method ? new Callable(name, method) : member(value, name);
}

function methodOf(value: Value, name: string, runtime: Runtime): ((args: Arguments) => Value) | undefined {
  const of = <T>(
    self: T,
    table: Readonly<Record<string, (self: T, args: Arguments, runtime: Runtime) => Value>>,
  ) => {
    const method = own(table, name);
    return method && ((args: Arguments) => method(self, args, runtime));
  };
  if (isText(value)) {
    if (name === 'format') return (args) => textFormatted(value, args, membersOf(runtime), runtime);
    return of(value, TEXT_METHODS);
  }
  if (value instanceof List) return of(value, LIST_METHODS);
  if (value instanceof Tuple) return of(value, TUPLE_METHODS);
  if (value instanceof Dict) return of(value, DICT_METHODS);
  if (value instanceof Range) return of(value, RANGE_METHODS);
  if (isInteger(value)) return of(BigInt(value), INTEGER_METHODS);
  return typeof value === 'number' ? of(value, FLOAT_METHODS) : undefined;
}

const nothing = (name: string, args: Arguments): void => void positionals(name, args, 0, 0);

const INTEGER_METHODS: Readonly<Record<string, (value: bigint, args: Arguments) => Value>> = {
  bit_length: (value, args) => {
    nothing('bit_length', args);
    return BigInt(value === 0n ? 0 : (value < 0n ? -value : value).toString(2).length);
  },
  bit_count: (value, args) => {
    nothing('bit_count', args);
    return BigInt((value < 0n ? -value : value).toString(2).replaceAll('0', '').length);
  },
  conjugate: (value, args) => {
    nothing('conjugate', args);
    return value;
  },
};

const FLOAT_METHODS: Readonly<Record<string, (value: number, args: Arguments) => Value>> = {
  is_integer: (value, args) => {
    nothing('is_integer', args);
    return Number.isInteger(value);
  },
  conjugate: (value, args) => {
    nothing('conjugate', args);
    return value;
  },
};

/** Attributes that are no methods. */
function member(value: Value, name: string): Value | undefined {
  if (value instanceof Tuple) {
    const at = value.names.indexOf(name);
    return at < 0 ? undefined : value.items[at];
  }
  if (value instanceof Range)
    return name === 'start' ? value.start : name === 'stop' ? value.stop : name === 'step' ? value.increment : undefined; // prettier-ignore
  if (isInteger(value)) {
    const parts = { real: BigInt(value), imag: 0n, numerator: BigInt(value), denominator: 1n };
    return own<bigint>(parts, name);
  }
  return typeof value === 'number' ? own<number>({ real: value, imag: 0 }, name) : undefined;
}

/** Python's `value[key]`. @throws PythonError */
export function pythonItem(value: Value, key: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (value instanceof Dict) {
    const entry = value.entries.get(hashOf(key));
    if (!entry) throw new PythonError('KeyError', typeof key === 'string' ? `'${key}'` : typeOf(key));
    return entry.value;
  }
  if (isText(value) || value instanceof List || value instanceof Tuple || value instanceof Range) return itemAt(value, key); // prettier-ignore
  throw new PythonError('TypeError', `'${typeOf(value)}' object is not subscriptable`);
}

const NOT_THERE = new Set(['KeyError', 'IndexError', 'TypeError', 'AttributeError']);

function itemIfThere(value: Value, key: Value): Value | undefined {
  try {
    return pythonItem(value, key);
  } catch (error) {
    if (error instanceof PythonError && NOT_THERE.has(error.kind)) return undefined;
    throw error;
  }
}

function missing(value: Value, key: Value): Undefined {
  const kind = value === null ? 'None' : `${typeOf(value)} object`;
  if (isText(key)) return new Undefined(`'${kind}' has no attribute '${textOf(key)}'`);
  return new Undefined(`${kind} has no element ${typeof key === 'bigint' ? key : typeOf(key)}`);
}

/** Jinja's `value.name`: the attribute, or else the item. @throws PythonError UndefinedError for nothing's attribute */
export function attributeOf(value: Value, name: string, runtime: Runtime): Value {
  runtime.step();
  const attribute = pythonAttribute(value, name, runtime);
  if (attribute !== undefined) return attribute;
  const item = itemIfThere(value, name);
  return item === undefined ? missing(value, name) : item;
}

/** Jinja's `value[key]`: the item, or else the attribute. @throws PythonError UndefinedError for nothing's item */
export function itemOf(value: Value, key: Value, runtime: Runtime): Value {
  runtime.step();
  const item = itemIfThere(value, key);
  if (item !== undefined) return item;
  const attribute = isText(key) ? pythonAttribute(value, textOf(key), runtime) : undefined;
  return attribute === undefined ? missing(value, key) : attribute;
}

/** What `{0.name[key]}` in a format finds: Python's own attributes and items. */
function membersOf(runtime: Runtime): Members {
  return {
    attribute: (value, name) => {
      const found = pythonAttribute(value, name, runtime);
      if (found === undefined) throw new PythonError('AttributeError', `'${typeOf(value)}' object has no attribute '${name}'`); // prettier-ignore
      return found;
    },
    item: pythonItem,
  };
}
