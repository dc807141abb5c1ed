import { isNumber } from './basics.js';
import { placeOf } from './arguments.js';
import { escapedText } from './escape.js';
import { calculate, type Operator } from './numbers.js';
import { percentFormatted } from './percent-format.js';
import { isInteger, isText, List, Markup, PythonError, textLike, textOf, Tuple, typeOf, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** Python's `a + b` and the like. @throws PythonError */
export function operate(operator: Operator, a: Value, b: Value, runtime: Runtime): Value {
  runtime.step();
  if (a instanceof Undefined) a.fail();
  // A text on the left of % is formatted before Python asks what is on the right.
  if (operator === '%' && isText(a)) return percentFormatted(a, b, runtime);
  if (b instanceof Undefined) b.fail();
  if (isNumber(a) && isNumber(b)) return calculate(operator, a, b, runtime);
  if (operator === '+') {
    const joined = concatenated(a, b, runtime);
    if (joined !== undefined) return joined;
  }
  if (operator === '*') {
    if (isInteger(b) && isSequence(a)) return repeated(a, placeOf(b), runtime);
    if (isInteger(a) && isSequence(b)) return repeated(b, placeOf(a), runtime);
  }
  throw new PythonError('TypeError', `unsupported operand type(s) for ${operator}: '${typeOf(a)}' and '${typeOf(b)}'`); // prettier-ignore
}

function isSequence(value: Value): value is string | Markup | List | Tuple {
  return isText(value) || value instanceof List || value instanceof Tuple;
}

function concatenated(a: Value, b: Value, runtime: Runtime): Value | undefined {
  if (isText(a) && isText(b)) {
    runtime.allocate(2 * (textOf(a).length + textOf(b).length));
    if (typeof a === 'string' && typeof b === 'string') return a + b;
    return new Markup(escapedText(a, runtime) + escapedText(b, runtime));
  }
  if (a instanceof List && b instanceof List) return new List(joinedItems(a, b, runtime));
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple(joinedItems(a, b, runtime));
  return undefined;
}

function joinedItems(a: List | Tuple, b: List | Tuple, runtime: Runtime): Value[] {
  runtime.allocate(8 * (a.items.length + b.items.length));
  return [...a.items, ...b.items];
}

function repeated(value: string | Markup | List | Tuple, times: number, runtime: Runtime): Value {
  const count = Math.max(0, times);
  if (isText(value)) {
    const text = textOf(value);
    runtime.allocate(2 * text.length * count);
    return textLike(value, text === '' ? '' : text.repeat(count));
  }
  const { items } = value;
  runtime.allocate(8 * items.length * count);
  const all = items.length === 0 ? [] : Array.from({ length: items.length * count }, (_, i) => items[i % items.length] as Value); // prettier-ignore
  return value instanceof List ? new List(all) : new Tuple(all);
}

/** Python's `-value` and `+value`. @throws PythonError */
export function withSign(sign: '+' | '-', value: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (typeof value === 'number') return sign === '-' ? -value : value;
  if (isInteger(value)) return sign === '-' ? -BigInt(value) : BigInt(value);
  throw new PythonError('TypeError', `bad operand type for unary ${sign}: '${typeOf(value)}'`);
}
