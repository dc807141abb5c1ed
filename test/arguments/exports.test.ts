import { describe, expect, it, vi } from 'vitest';
import * as api from '../../src/index.js';
import * as tensor from '../../src/tensor/index.js';
import * as testing from '../../src/testing/index.js';
import { HintError } from '../../src/util/errors.js';
import type { Kind } from '../../src/util/arguments.js';
import { calls, task, type Call } from './calls.js';

/** The declarations that the calls of a test were checked against, by the name of the argument. */
const declared = vi.hoisted(() => new Map<string, unknown>());

vi.mock('../../src/util/arguments.js', async (original) => {
  const real = await original<typeof import('../../src/util/arguments.js')>();
  const noted = <F extends typeof real.checked>(check: F): F =>
    ((kind: Kind, value: unknown, name: string) => {
      if (!declared.has(name)) declared.set(name, kind);
      return check(kind, value, name);
    }) as F;
  return {
    ...real,
    checked: noted(real.checked),
    checkedIfGiven: noted(real.checkedIfGiven as typeof real.checked),
  };
});

/** What a call ends with. Functions that return promises must not throw before they do. */
async function endOf(
  { run }: Call,
  args: readonly unknown[],
): Promise<{ error?: unknown; thrown?: boolean }> {
  let result: unknown;
  try {
    result = run(args as never[]);
  } catch (error) {
    return { error, thrown: true };
  }
  try {
    const value = await result;
    if (value instanceof api.Task && value !== task) value.dispose();
    return {};
  } catch (error) {
    return { error, thrown: false };
  }
}

/** Values that no function takes for anything. */
function nonsense(): unknown[] {
  const trap = (): never => {
    throw new TypeError('a trap\u001b[2J of the caller');
  };
  return [
    null,
    NaN,
    Symbol('nonsense'),
    12n,
    new Map([['a', 1n]]),
    new WeakMap(),
    [Symbol('member')],
    [, , 12n],
    new Proxy(
      {},
      { get: trap, ownKeys: trap, getPrototypeOf: trap, has: trap, getOwnPropertyDescriptor: trap },
    ),
    Object.create(null, {
      definition: { get: trap, enumerable: true },
      model: { get: trap, enumerable: true },
    }),
  ];
}

const numbersThatAreNone = [NaN, Infinity, -Infinity, -1, 0.5, 2 ** 60, '8GiB', '5', null];

/** Wrong values for what a declaration describes, each with where it is wrong. */
function* wrongValues(kind: Kind, good: unknown, path: string): Generator<{ value: unknown; path: string }> {
  if (kind.item) {
    const members = Array.isArray(good) ? (good as unknown[]) : [];
    for (const member of [null, 12n, Symbol('member')])
      yield { value: [...members, member], path: `${path}[${members.length}]` };
    yield { value: new Array(2), path: `${path}[0]` };
    for (const inner of members.length > 0 ? wrongValues(kind.item, members[0], `${path}[0]`) : [])
      yield { value: [inner.value], path: inner.path };
  }
  if (!kind.members) return;
  const object = good as Record<string, unknown>;
  for (const [key, member] of Object.entries(kind.members)) {
    const at = `${path}.${key}`;
    for (const value of [null, 12n, Symbol('member'), ...(member.numeric ? refusedNumbers(member) : [])])
      yield { value: withMember(object, key, { value }), path: at };
    const getter = {
      get: () => {
        throw new TypeError('not today');
      },
      enumerable: true,
    };
    yield { value: withMember(object, key, getter), path: at };
    if (!member.optional) yield { value: withMember(object, key, { value: undefined }), path: at };
    if (object?.[key] === undefined) continue;
    for (const inner of wrongValues(member, object[key], at))
      yield { value: withMember(object, key, { value: inner.value }), path: inner.path };
  }
}

/** An object like another, also an instance of a class, in all but one member. */
function withMember(object: object, key: string, member: PropertyDescriptor): object {
  const isPlain = Object.getPrototypeOf(object) === Object.prototype;
  const made: object = isPlain ? { ...object } : (Object.create(object) as object);
  return Object.defineProperty(made, key, { ...member, enumerable: true });
}

/** Numbers, and what looks like some, that a declaration says it has something against. */
function refusedNumbers(kind: Kind): unknown[] {
  return numbersThatAreNone.filter((value) => {
    const fits = {
      Infinity: /Infinity/,
      0.5: /finite/,
      [-1]: /^a finite number$|from -1/,
      [2 ** 60]: /finite number (of at least|above)|^a finite number$/,
    };
    const allowed = Object.entries(fits).find(([number]) => number === String(value))?.[1];
    return !allowed?.test(kind.allowed);
  });
}

function expectRefusal(error: unknown, what: string): asserts error is HintError {
  expect(error, what).toBeInstanceOf(HintError);
  const { code, message } = error as HintError;
  expect(
    ['INVALID_ARGUMENT', 'INVALID_CONFIG', 'INVALID_CHECKPOINT'],
    `${what}: ${code}: ${message}`,
  ).toContain(code);
  expect(message, what).toMatch(/\.$/);
  expect(message, what).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  expect(message.length, message).toBeLessThan(700);
}

describe('every export', () => {
  it('has its wrong calls here', () => {
    expect(Object.keys(calls).sort()).toEqual([...Object.keys(api), ...Object.keys(testing)].sort());
  });

  it('has one place, so that an application imports no class twice', () => {
    const all = [api, tensor, testing].flatMap((entry) => Object.keys(entry));
    expect(all.filter((name, at) => all.indexOf(name) !== at)).toEqual([]);
  });

  const functions = Object.entries(calls).filter(([, made]) => typeof made === 'function');
  it.each(functions.map(([name]) => name))('%s refuses wrong arguments by name', async (name) => {
    for (const [method, one] of Object.entries((calls[name] as () => Record<string, Call>)())) {
      const what = name === method ? name : `${name}.${method}`;
      declared.clear();
      const names = Object.keys(one.args);
      const values = Object.values(one.args);
      const { error } = await endOf(
        one,
        values.map((value) => (Object.isFrozen(value) || ArrayBuffer.isView(value) ? value : frozen(value))),
      );
      if (error !== undefined)
        expect((error as HintError).code, `${what}: ${String(error)}`).toMatch(
          /^(NOT_FOUND|NOT_SUPPORTED|IO|INVALID_DATA)$/,
        );
      const kinds = new Map(declared);
      let thrown: boolean | undefined;
      for (const [i, argument] of names.entries()) {
        const wrong = (value: unknown): unknown[] => values.map((good, at) => (at === i ? value : good));
        for (const value of nonsense()) {
          const end = await endOf(one, wrong(value));
          expectRefusal(
            end.error,
            `${what} of ${argument} = ${typeof value} number ${nonsense().indexOf(value)}`,
          );
          expect((thrown ??= end.thrown!), `${what} throws or rejects, not now one and now the other`).toBe(
            end.thrown,
          );
        }
        if (one.undeclared?.includes(argument)) continue;
        const kind = kinds.get(argument) as Kind | undefined;
        expect(kind, `${what} checks ${argument}`).toBeDefined();
        for (const { value, path } of wrongValues(kind!, one.args[argument], argument)) {
          const end = await endOf(one, wrong(value));
          expectRefusal(end.error, `${what} of a wrong ${path}`);
          expect(end.error.message).toContain(path);
        }
        if (!kind!.strict) continue;
        for (const key of Object.keys(kind!.members!)) {
          const end = await endOf(one, wrong({ ...(one.args[argument] as object), [`${key}x`]: 1 }));
          expectRefusal(end.error, `${what} of an unknown ${key}x`);
          expect(end.error.message).toMatch(
            new RegExp(`^${argument}\\.${key}x is unknown; did you mean ${key}\\?`),
          );
        }
      }
    }
  });
});

function frozen(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze([...(value as unknown[])]);
  const isPlain =
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  return isPlain ? Object.freeze({ ...value }) : value;
}
