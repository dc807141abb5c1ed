import { bound, without } from '../python/arguments.js';
import {
  compares,
  contains,
  equals,
  hashOf,
  isNumber,
  isTrue,
  iteratorOf,
  sizeOf,
} from '../python/basics.js';
import { operate } from '../python/operators.js';
import { textOfValue } from '../python/show.js';
import { TEXT_METHODS } from '../python/text-methods.js';
import { Attributed, Callable, Dict, isInteger, isText, List, Markup, Range, textOf, Tuple, Undefined, type Arguments, type Runtime, type Value } from '../python/values.js'; // prettier-ignore

/** What a value is asked with `is`. */
export type Test = (value: Value, args: Arguments, runtime: Runtime) => boolean;

const simple =
  (name: string, ask: (value: Value, runtime: Runtime) => boolean): Test =>
  (value, args, runtime) => {
    bound(name, args, []);
    return ask(value, runtime);
  };

const withOther =
  (name: string, ask: (value: Value, other: Value, runtime: Runtime) => boolean): Test =>
  (value, args, runtime) => {
    // prettier-ignore
    const [other] = bound(name, args, ['other']);
    return ask(value, other, runtime);
  };

const remainder = (value: Value, by: Value, is: bigint, runtime: Runtime): boolean =>
  equals(operate('%', value, by, runtime), is, runtime);
const isDict = (value: Value): boolean => value instanceof Dict;
const isCase = (name: 'islower' | 'isupper'): Test =>
  simple(name, (value, runtime) =>
    isTrue(
      TEXT_METHODS[name]?.(textOfValue(value, runtime), { positional: [], named: new Map() }, runtime) ??
        null,
    ),
  );

/** @throws PythonError TypeError for what could be no name of anything */
function isNamed(value: Value, has: (name: string) => boolean): boolean {
  hashOf(value);
  return isText(value) && has(textOf(value));
}

const isEqual = withOther('eq', equals);
const isUnequal = withOther('ne', (a, b, runtime) => !equals(a, b, runtime));
const [less, most, more, least] = (['<', '<=', '>', '>='] as const).map((operator) =>
  withOther(operator, (a, b, runtime) => compares(operator, a, b, runtime)),
) as [Test, Test, Test, Test];

/** Jinja's tests by name; `filter` and `test` ask what there is. */
export function testsWith(hasFilter: (name: string) => boolean): ReadonlyMap<string, Test> {
  const tests: Record<string, Test> = {
    odd: simple('odd', (value, runtime) => remainder(value, 2n, 1n, runtime)),
    even: simple('even', (value, runtime) => remainder(value, 2n, 0n, runtime)),
    divisibleby: (value, args, runtime) => {
      const [by] = bound('divisibleby', args, ['num']);
      return remainder(value, by, 0n, runtime);
    },
    defined: simple('defined', (value) => !(value instanceof Undefined)),
    undefined: simple('undefined', (value) => value instanceof Undefined),
    filter: simple('filter', (value) => isNamed(value, hasFilter)),
    test: simple('test', (value) => isNamed(value, (name) => Object.hasOwn(tests, name))),
    none: simple('none', (value) => value === null),
    boolean: simple('boolean', (value) => typeof value === 'boolean'),
    false: simple('false', (value) => value === false),
    true: simple('true', (value) => value === true),
    integer: simple('integer', (value) => isInteger(value) && typeof value !== 'boolean'),
    float: simple('float', (value) => typeof value === 'number'),
    lower: isCase('islower'),
    upper: isCase('isupper'),
    string: simple('string', isText),
    mapping: simple('mapping', isDict),
    number: simple('number', isNumber),
    sequence: simple('sequence', (value) => sizeOf(value) !== undefined && (isText(value) || [List, Tuple, Dict, Range, Undefined].some((kind) => value instanceof kind))), // prettier-ignore
    iterable: simple('iterable', (value) => iteratorOf(value) !== undefined),
    callable: simple('callable', (value) => value instanceof Callable || value instanceof Undefined || (value instanceof Attributed && value.call !== undefined)), // prettier-ignore
    sameas: withOther('sameas', (value, other) => Object.is(value, other)),
    escaped: simple('escaped', (value) => value instanceof Markup),
    in: (value, args, runtime) => {
      const [container] = bound('in', args, ['seq']);
      return contains(container, value, runtime);
    },
    '==': isEqual,
    eq: isEqual,
    equalto: isEqual,
    '!=': isUnequal,
    ne: isUnequal,
    '>': more,
    gt: more,
    greaterthan: more,
    '>=': least,
    ge: least,
    '<': less,
    lt: less,
    lessthan: less,
    '<=': most,
    le: most,
  };
  return new Map(Object.entries(tests));
}

/** A test's value and what comes after it. */
export function applied(test: Test, args: Arguments, runtime: Runtime): boolean {
  return test(args.positional[0] as Value, without(args, 1), runtime);
}
