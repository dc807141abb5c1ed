/** An error that Python, or Jinja, would raise while a template is rendered. */
export class PythonError extends Error {
  /** @param kind the class of the exception, such as `TypeError` */
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
    this.name = kind;
  }
}

/**
 * What templates compute with. A `bigint` is Python's int and a `number` its float, so that 1 and 1.0 stay apart; `null` is
 * None, and texts are read by code points.
 */
export type Value = null | boolean | bigint | number | string | PythonObject;

/** What a rendering may take, and what it draws from. */
export interface Runtime {
  /** Counts work. @throws when there was too much */
  step(count?: number): void;
  /** Counts memory, before it is taken. @throws when there was too much */
  allocate(bytes: number): void;
  /** Uniform in [0, 1). */
  random(): number;
  /** Applies a filter by its name, the value first. */
  filter(name: Value, args: Arguments): Value;
  /** Applies a test by its name, the value first. */
  test(name: Value, args: Arguments): Value;
}

/** What a call is given. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Any value that is no number, text, None or boolean. */
export abstract class PythonObject {
  /** The name of the class in Python. */
  abstract readonly type: string;
}

/** What a name, an item or an attribute that there is not stands for: empty as text, false, and an error when it is used. */
export class Undefined extends PythonObject {
  readonly type = 'Undefined';

  /** @param reason the sentence of the error */
  constructor(readonly reason: string) {
    super();
  }

  /** @throws PythonError */
  fail(): never {
    throw new PythonError('UndefinedError', this.reason);
  }
}

/** Text that counts as escaped for HTML, as `escape` and `tojson` give it. */
export class Markup extends PythonObject {
  readonly type = 'Markup';

  constructor(readonly text: string) {
    super();
  }
}

export class List extends PythonObject {
  readonly type = 'list';

  constructor(readonly items: Value[]) {
    super();
  }
}

export class Tuple extends PythonObject {
  readonly type = 'tuple';

  /** @param names those of a named tuple's members */
  constructor(
    readonly items: readonly Value[],
    readonly names: readonly string[] = [],
  ) {
    super();
  }
}

/** Keys are found by what they hash to (`hashOf`). */
export class Dict extends PythonObject {
  readonly type = 'dict';
  readonly entries = new Map<string, { readonly key: Value; value: Value }>();
}

/** The keys, values or items of a dict, as it is when they are asked for. */
export class DictView extends PythonObject {
  readonly type: string;

  constructor(
    readonly dict: Dict,
    readonly part: 'keys' | 'values' | 'items',
  ) {
    super();
    this.type = `dict_${part}`;
  }
}

export class Range extends PythonObject {
  readonly type = 'range';
  readonly length: bigint;

  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly increment: bigint,
  ) {
    super();
    const [low, high, by] = increment > 0n ? [start, stop, increment] : [stop, start, -increment];
    this.length = low < high ? (high - low - 1n) / by + 1n : 0n;
  }

  at(index: bigint): bigint {
    return this.start + index * this.increment;
  }
}

/** What gives its items once, such as what `map` and `zip` give. */
export class OnceIterator extends PythonObject {
  /** @param type Python's class, such as `generator` or `zip` */
  constructor(
    readonly items: Iterator<Value>,
    readonly type: string,
  ) {
    super();
  }
}

/** Anything that can be called. */
export class Callable extends PythonObject {
  /**
   * @param name for errors
   * @param type `builtin_function_or_method`, or `type` for a class
   */
  constructor(
    readonly name: string,
    readonly call: (args: Arguments) => Value,
    readonly type = 'builtin_function_or_method',
  ) {
    super();
  }
}

/** An object of Jinja's own with attributes: `loop`, a macro, what `namespace()` gives. */
export abstract class Attributed extends PythonObject {
  /** @returns undefined where there is no such attribute */
  abstract attribute(name: string): Value | undefined;
  /** Python's `repr`, without what differs in every run. */
  abstract shown(show: (value: Value) => string): string;
  /** Absent for what cannot be called. */
  call?(args: Arguments): Value;
  /** Absent for what has no length. */
  length?(): bigint;
}

/** Whether a value is a text, escaped or not. */
export function isText(value: Value): value is string | Markup {
  return typeof value === 'string' || value instanceof Markup;
}

/** The text of a text. */
export function textOf(value: string | Markup): string {
  return typeof value === 'string' ? value : value.text;
}

/** A text of the kind of another: escaped where that is. */
export function textLike(model: Value, text: string): string | Markup {
  return model instanceof Markup ? new Markup(text) : text;
}

/** Python's name of a value's class. */
export function typeOf(value: Value): string {
  if (value === null) return 'NoneType';
  if (value instanceof PythonObject) return value.type;
  return { boolean: 'bool', bigint: 'int', number: 'float', string: 'str' }[
    typeof value as 'boolean' | 'bigint' | 'number' | 'string'
  ];
}

/** Whether something is an int to Python, for which True is 1. */
export function isInteger(value: Value): value is bigint | boolean {
  return typeof value === 'bigint' || typeof value === 'boolean';
}

/** Sets the entry of a key that is a text. */
export function putText(dict: Dict, key: string, value: Value): void {
  const entry = dict.entries.get(textHash(key));
  if (entry) entry.value = value;
  else dict.entries.set(textHash(key), { key, value });
}

/** What a text hashes to. */
export function textHash(text: string): string {
  return `s${text}`;
}
