import type { Expression, Given } from './language/nodes.js';
import { attributeOf, itemOf } from './python/attributes.js';
import { compares, contains, equals, isTrue, itemsOf, put } from './python/basics.js';
import { operate, withSign } from './python/operators.js';
import { textOfValue } from './python/show.js';
import { sliced } from './python/slices.js';
import { Attributed, Callable, Dict, isText, List, PythonError, textOf, Tuple, typeOf, Undefined, type Arguments, type Runtime, type Value } from './python/values.js'; // prettier-ignore
import type { Frame } from './frame.js';
import { truncated } from './library/text-filters.js';

const VALUE_BYTES = 64;

/** The value of an expression. @throws PythonError; what the runtime throws */
export function evaluate(node: Expression, frame: Frame, runtime: Runtime): Value {
  runtime.step();
  switch (node.type) {
    case 'Constant':
      return node.value;
    case 'Name':
      return frame.get(node.name);
    case 'Tuple':
      runtime.allocate(VALUE_BYTES * (1 + node.items.length));
      return new Tuple(node.items.map((item) => evaluate(item, frame, runtime)));
    case 'List':
      runtime.allocate(VALUE_BYTES * (1 + node.items.length));
      return new List(node.items.map((item) => evaluate(item, frame, runtime)));
    case 'Dict': {
      runtime.allocate(VALUE_BYTES * (1 + 2 * node.pairs.length));
      const dict = new Dict();
      for (const [key, value] of node.pairs) put(dict, evaluate(key, frame, runtime), evaluate(value, frame, runtime)); // prettier-ignore
      return dict;
    }
    case 'Condition':
      if (isTrue(evaluate(node.test, frame, runtime))) return evaluate(node.yes, frame, runtime);
      return node.no ? evaluate(node.no, frame, runtime) : withoutElse();
    case 'Logic': {
      const left = evaluate(node.left, frame, runtime);
      return isTrue(left) === (node.operator === 'or') ? left : evaluate(node.right, frame, runtime);
    }
    case 'Not':
      return !isTrue(evaluate(node.node, frame, runtime));
    case 'Sign':
      return withSign(node.sign, evaluate(node.node, frame, runtime));
    case 'Binary':
      return operate(node.operator, evaluate(node.left, frame, runtime), evaluate(node.right, frame, runtime), runtime); // prettier-ignore
    case 'Compare':
      return compared(node, frame, runtime);
    case 'Concat':
      return concatenated(
        node.parts.map((part) => evaluate(part, frame, runtime)),
        runtime,
      );
    case 'Attribute':
      return attributeOf(evaluate(node.node, frame, runtime), node.name, runtime);
    case 'Item':
      return item(node, frame, runtime);
    case 'Slice':
      throw new PythonError('NotSupported', 'a slice beside other items is not supported');
    case 'Call':
      return called(evaluate(node.callee, frame, runtime), given(node.given, frame, runtime), runtime);
    case 'Filter':
      if (!node.node) throw new PythonError('TypeError', 'the filter has nothing to filter');
      return runtime.filter(
        node.name,
        given(node.given, frame, runtime, evaluate(node.node, frame, runtime)),
      );
    case 'Test':
      return runtime.test(node.name, given(node.given, frame, runtime, evaluate(node.node, frame, runtime)));
    case 'Member':
      throw new PythonError('TypeError', 'a member that is assigned to is no value');
  }
}

function withoutElse(): Undefined {
  return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
}

type Of<Type extends Expression['type']> = Extract<Expression, { type: Type }>;

function item(node: Of<'Item'>, frame: Frame, runtime: Runtime): Value {
  const value = evaluate(node.node, frame, runtime);
  const { key } = node;
  if (key.type !== 'Slice') return itemOf(value, evaluate(key, frame, runtime), runtime);
  const place = (part: Expression | undefined): Value => (part ? evaluate(part, frame, runtime) : null);
  return sliced(value, { start: place(key.start), stop: place(key.stop), step: place(key.step) }, runtime);
}

function compared(
  node: Of<'Compare'>,
  frame: Frame,
  runtime: Runtime,
  cut = (value: Value): Value => value,
): boolean {
  // prettier-ignore
  let left = evaluate(node.first, frame, runtime);
  for (const [i, { operator, node: next }] of node.rest.entries()) {
    const last = i === node.rest.length - 1;
    const right = last ? cut(evaluate(next, frame, runtime)) : evaluate(next, frame, runtime);
    if (!holds(operator, left, right, runtime)) return false;
    left = right;
  }
  return true;
}

function holds(
  operator: Of<'Compare'>['rest'][number]['operator'],
  left: Value,
  right: Value,
  runtime: Runtime,
): boolean {
  // prettier-ignore
  switch (operator) {
    case '==':
      return equals(left, right, runtime);
    case '!=':
      return !equals(left, right, runtime);
    case 'in':
      return contains(right, left, runtime);
    case 'not in':
      return !contains(right, left, runtime);
    default:
      return compares(operator, left, right, runtime);
  }
}

function concatenated(values: readonly Value[], runtime: Runtime): string {
  const texts = values.map((value) => textOfValue(value, runtime));
  runtime.allocate(2 * texts.reduce((sum, text) => sum + text.length, 0));
  return texts.join('');
}

/** What a call is given. @param first comes before what is written */
export function given(
  { args, named, list, dict }: Given,
  frame: Frame,
  runtime: Runtime,
  ...first: Value[]
): Arguments {
  // prettier-ignore
  const positional = [...first, ...args.map((arg) => evaluate(arg, frame, runtime))];
  if (list) for (const one of itemsOf(evaluate(list, frame, runtime), runtime)) positional.push(one);
  const names = new Map(named.map(({ name, value }) => [name, evaluate(value, frame, runtime)]));
  if (dict) {
    const values = evaluate(dict, frame, runtime);
    if (!(values instanceof Dict)) throw new PythonError('TypeError', `argument after ** must be a mapping, not ${typeOf(values)}`); // prettier-ignore
    for (const { key, value } of values.entries.values()) {
      if (!isText(key)) throw new PythonError('TypeError', 'keywords must be strings');
      if (names.has(textOf(key))) throw new PythonError('TypeError', `got multiple values for keyword argument '${textOf(key)}'`); // prettier-ignore
      names.set(textOf(key), value);
    }
  }
  return { positional, named: names };
}

/** Python's `callee(...)`. @throws PythonError TypeError, UndefinedError */
export function called(callee: Value, args: Arguments, runtime: Runtime): Value {
  runtime.step();
  runtime.allocate(VALUE_BYTES);
  if (callee instanceof Callable) return callee.call(args);
  if (callee instanceof Attributed && callee.call) return callee.call(args);
  if (callee instanceof Undefined) callee.fail();
  throw new PythonError('TypeError', `'${typeOf(callee)}' object is not callable`);
}

/**
 * The value of an output with its text cut as promptsource cuts: it puts a filter behind what stands between the braces, and
 * a filter binds to the last operand. What is short enough stays as it is, so that `label + 1` remains a sum.
 *
 * @param longest in characters
 */
export function evaluateCut(
  node: Expression,
  frame: Frame,
  runtime: Runtime,
  longest: number,
  isResult = true,
): Value {
  // prettier-ignore
  const last = (one: Expression, result: boolean): Value => evaluateCut(one, frame, runtime, longest, result);
  if (node.grouped) return cut(evaluate(node, frame, runtime), longest, isResult, runtime);
  switch (node.type) {
    case 'Condition':
      if (isTrue(evaluate(node.test, frame, runtime))) return evaluate(node.yes, frame, runtime);
      return node.no ? last(node.no, isResult) : withoutElse();
    case 'Logic': {
      const left = evaluate(node.left, frame, runtime);
      return isTrue(left) === (node.operator === 'or') ? left : last(node.right, isResult);
    }
    case 'Not':
      return !isTrue(last(node.node, false));
    case 'Compare':
      return compared(node, frame, runtime, (value) => cut(value, longest, false, runtime));
    case 'Binary':
      return operate(node.operator, evaluate(node.left, frame, runtime), last(node.right, false), runtime);
    case 'Concat': {
      const before = node.parts.slice(0, -1).map((part) => evaluate(part, frame, runtime));
      return concatenated([...before, last(node.parts.at(-1) as Expression, true)], runtime);
    }
    case 'Tuple': {
      const before = node.items.slice(0, -1).map((one) => evaluate(one, frame, runtime));
      return new Tuple([...before, last(node.items.at(-1) as Expression, false)]);
    }
    default:
      return cut(evaluate(node, frame, runtime), longest, isResult, runtime);
  }
}

function cut(value: Value, longest: number, isResult: boolean, runtime: Runtime): Value {
  if (!isResult && !isText(value)) return value;
  const text = textOfValue(value, runtime);
  const short = truncated(text, longest);
  return short === text ? value : short;
}
