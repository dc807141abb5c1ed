import { HintError } from './errors.js';
import { nearest } from './nearest.js';
import { parseBytes } from './bytes.js';
import { showValue } from './show-value.js';
import { shown } from './shown.js';

/**
 * The values that an argument may have. One declaration serves the check, its message, and the tests that derive wrong
 * values from it. The functions of this file make kinds; every public function applies them with {@link checked} when
 * it is entered.
 */
export interface Kind<T = unknown> {
  /** The allowed values, as they follow "give" in a message. */
  readonly allowed: string;
  /**
   * Checks a value and returns it as the function uses it. Objects and lists of options are copied, so that the caller
   * cannot change them afterwards.
   */
  read(value: unknown): T;
  /** Whether it may be left out. */
  readonly optional?: true;
  /** Of objects. */
  readonly members?: Readonly<Record<string, Kind>>;
  /** Of objects: whether other keys are refused. */
  readonly strict?: boolean;
  /** Of lists. */
  readonly item?: Kind;
  /** Whether it is a number. */
  readonly numeric?: true;
}

/** The kind of an argument or member that may be left out. */
export type OptionalKind<T> = Kind<T> & { readonly optional: true };

/** For every key of an object type its kind; optional keys have optional kinds. */
export type Members<T> = {
  readonly [K in keyof T]-?: undefined extends T[K] ? OptionalKind<Exclude<T[K], undefined>> : Kind<T[K]>;
};

/** The fault of a value. The catching function knows the name of the argument and makes the sentence. */
class Fault extends Error {
  readonly path: (string | number)[] = [];
}

/** The path of a member in an argument, such as `options.serving[3]`. */
function pathOf(name: string, path: readonly (string | number)[]): string {
  return path.reduce<string>((whole, key) => {
    if (typeof key === 'number') return `${whole}[${key}]`;
    if (/^[\p{L}$_][\p{L}\p{N}$_]*$/u.test(key)) return `${whole}.${key}`;
    return `${whole}[${showValue(key)}]`;
  }, name);
}

function refusal(value: unknown, allowed: string): Fault {
  return new Fault(
    value === undefined ? `is missing; give ${allowed}` : `is ${showValue(value)}; give ${allowed}`,
  );
}

/**
 * Checks an argument and returns it as the function uses it.
 *
 * @param name name of the argument; errors call its members `name.member`
 * @throws HintError INVALID_ARGUMENT naming argument, value and what may be given
 */
export function checked<T>(kind: Kind<T>, value: unknown, name: string): T {
  try {
    return kind.read(value);
  } catch (cause) {
    if (cause instanceof Fault)
      throw new HintError('INVALID_ARGUMENT', `${pathOf(name, cause.path)} ${cause.message}.`);
    throw new HintError(
      'INVALID_ARGUMENT',
      `${name} cannot be read (${messageOf(cause)}); give ${kind.allowed}.`,
      {
        cause,
      },
    );
  }
}

/** {@link checked} for an argument that may be undefined. */
export function checkedIfGiven<T>(kind: Kind<T>, value: unknown, name: string): T | undefined {
  return value === undefined ? undefined : checked(kind, value, name);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? shown(String(cause.message).slice(0, 200)) : showValue(cause);
}

/** The fault of a member, or what reading the member threw, with the path to it. */
function located(cause: unknown, key: string | number): Fault {
  const fault =
    cause instanceof Fault ? cause : new Fault(`cannot be read (${messageOf(cause)}); give a plain value`);
  fault.path.unshift(key);
  return fault;
}

/** Values for which `holds` is true. */
export function where<T>(allowed: string, holds: (value: unknown) => boolean): Kind<T> {
  return {
    allowed,
    read(value) {
      if (holds(value)) return value as T;
      throw refusal(value, allowed);
    },
  };
}

export function optional<T>(kind: Kind<T>): OptionalKind<T> {
  return { ...kind, read: (value) => kind.read(value), optional: true };
}

function numbers(allowed: string, holds: (value: number) => boolean): Kind<number> {
  const kind = where<number>(allowed, (value) => typeof value === 'number' && holds(value));
  return { ...kind, numeric: true };
}

/** Whole numbers. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  const top =
    most === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : most === 2 ** 31 - 1 ? '2^31 - 1' : String(most);
  return numbers(
    `an integer from ${least} to ${top}`,
    (value) => Number.isSafeInteger(value) && value >= least && value <= most,
  );
}

/** Whole numbers, and Infinity, which stands for no limit. */
export function integerOrAll(least: number): Kind<number> {
  return numbers(
    `an integer of at least ${least}, or Infinity`,
    (value) => (Number.isSafeInteger(value) && value >= least) || value === Infinity,
  );
}

/** Finite numbers from `least`, or above it with `above`, to `most`, or below it with `below`. */
export function number(
  least = -Infinity,
  most = Infinity,
  { above = false, below = false }: { above?: boolean; below?: boolean } = {},
): Kind<number> {
  const lower = least === -Infinity ? '' : above ? ` above ${least}` : ` of at least ${least}`;
  const upper = most === Infinity ? '' : below ? `, below ${most}` : `, at most ${most}`;
  return numbers(`a finite number${lower}${upper}`, (value) => {
    if (!Number.isFinite(value)) return false;
    return (above ? value > least : value >= least) && (below ? value < most : value <= most);
  });
}

/** Numbers of bytes. Text with units is for files and command lines: a function is given numbers. */
export const bytes: Kind<number> = {
  ...integer(0),
  allowed: 'a number of bytes, such as 8 * 2 ** 30',
  read(value) {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    const meant = typeof value === 'string' ? parseBytes(value) : undefined;
    throw refusal(value, meant === undefined ? bytes.allowed : `the number of bytes, ${meant}`);
  },
};

export const boolean: Kind<boolean> = where('true or false', (value) => typeof value === 'boolean');

/** Any text, also an empty one. */
export const text: Kind<string> = where('a text', (value) => typeof value === 'string');

/** A text that names something. */
export const name: Kind<string> = where(
  'a text that is not empty',
  (value) => typeof value === 'string' && value !== '',
);

/** The path of a file or folder, or a pattern for them. Text that the system would cut off or change is refused. */
export const path: Kind<string> = where(
  'a path: a text that is not empty, without NUL and halves of characters',
  (value) => typeof value === 'string' && value !== '' && !/\0|\p{Surrogate}/u.test(value),
);

export const signal: Kind<AbortSignal> = where(
  'an AbortSignal, such as controller.signal',
  (value) => value instanceof AbortSignal,
);

/** Functions with any parameters. */
export function callback<T>(): Kind<T> {
  return where('a function', (value) => typeof value === 'function');
}

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  const shown = values.map((value) => JSON.stringify(value));
  const allowed =
    shown.length === 1 ? (shown[0] as string) : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`;
  return where(allowed, (value) => values.includes(value as T));
}

export function instance<T>(type: { readonly prototype: T }, allowed: string): Kind<T> {
  return where(allowed, (value) => value instanceof (type as abstract new () => T));
}

/** Token ids. */
export const ids: Kind<Int32Array> = where(
  'an Int32Array of token ids, such as Int32Array.of(5, 1)',
  (value) => value instanceof Int32Array,
);

/** Numbers of tasks: an array or a typed array of integers. */
export const numberedTasks: Kind<ArrayLike<number>> = where(
  "an array of integers, the number of each input's instruction",
  (value) =>
    (Array.isArray(value) && Array.from(value).every((number) => Number.isSafeInteger(number))) ||
    [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array].some(
      (type) => value instanceof type,
    ),
);

/** A value of either kind; the first kind that fits reads it. */
export function either<T>(
  allowed: string,
  ...kinds: readonly [isOne: (value: unknown) => boolean, kind: Kind<T>][]
): Kind<T> {
  return {
    allowed,
    read(value) {
      for (const [isOne, kind] of kinds) if (isOne(value)) return kind.read(value);
      throw refusal(value, allowed);
    },
  };
}

/** Arrays. */
export function list<T>(item: Kind<T>, allowed = `a list, each member ${item.allowed}`): Kind<T[]> {
  return {
    allowed,
    item,
    read(value) {
      if (!Array.isArray(value)) throw refusal(value, allowed);
      const { length } = value;
      const result: T[] = [];
      for (let i = 0; i < length; i++) {
        try {
          result.push(item.read(value[i]));
        } catch (cause) {
          throw located(cause, i);
        }
      }
      return result;
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && Object.prototype.toString.call(value) === '[object Object]'
  );
}

/** Reads members one by one; the fault of a wrong one has the path to it. */
function memberReader(
  members: Readonly<Record<string, Kind>>,
): (value: Record<string, unknown>) => Record<string, unknown> {
  const entries = Object.entries(members);
  return (value) => {
    const result: Record<string, unknown> = {};
    for (let i = 0; i < entries.length; i++) {
      const [key, kind] = entries[i] as [string, Kind];
      try {
        const member = value[key];
        if (member !== undefined || !kind.optional) result[key] = kind.read(member);
      } catch (cause) {
        throw located(cause, key);
      }
    }
    return result;
  };
}

/**
 * Objects with these keys and no others; a key whose value is undefined counts as left out.
 *
 * @returns a copy
 */
export function options<T extends object>(members: Members<T>, allowed = 'an object'): Kind<T> {
  const all = members as Readonly<Record<string, Kind>>;
  const known = new Set(Object.keys(all));
  const read = memberReader(all);
  return {
    allowed,
    members: all,
    strict: true,
    read(value) {
      if (!isObject(value)) throw refusal(value, allowed);
      for (const key of Object.keys(value)) if (!known.has(key)) throw unknown(key, [...known]);
      return read(value) as T;
    },
  };
}

function unknown(key: string, known: readonly string[]): Fault {
  const like = nearest(key, known);
  const fault = new Fault(
    `is unknown; ${like ? `did you mean ${like}?` : 'leave it out.'} There ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}`,
  );
  fault.path.push(key);
  return fault;
}

/** Objects that have these members, whatever else they have: data and instances, which are not copied. */
export function shaped<T extends object>(members: Members<T>, allowed: string): Kind<T> {
  const all = members as Readonly<Record<string, Kind>>;
  const read = memberReader(all);
  return {
    allowed,
    members: all,
    strict: false,
    read(value) {
      if (typeof value !== 'object' || value === null) throw refusal(value, allowed);
      read(value as Record<string, unknown>);
      return value as T;
    },
  };
}

/** Maps with texts as keys. */
export function map<T>(item: Kind<T>): Kind<ReadonlyMap<string, T>> {
  const allowed = `a Map from texts to values, each ${item.allowed}`;
  return {
    allowed,
    read(value) {
      if (!(value instanceof Map)) throw refusal(value, allowed);
      for (const [key, member] of value as Map<unknown, unknown>) {
        if (typeof key !== 'string') throw refusal(key, 'texts as keys');
        try {
          item.read(member);
        } catch (cause) {
          throw located(cause, key);
        }
      }
      return value as ReadonlyMap<string, T>;
    },
  };
}

/** Objects used as dictionaries, which are copied. */
export function record<T>(item: Kind<T>): Kind<Record<string, T>> {
  const allowed = `an object whose values are each ${item.allowed}`;
  return {
    allowed,
    read(value) {
      if (!isObject(value)) throw refusal(value, allowed);
      const result = Object.create(null) as Record<string, T>;
      for (const key of Object.keys(value)) {
        try {
          result[key] = item.read(value[key]);
        } catch (cause) {
          throw located(cause, key);
        }
      }
      return result;
    },
  };
}
