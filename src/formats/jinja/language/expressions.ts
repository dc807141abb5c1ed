import type { Comparison, Expression, Filter, Given, Name, Target } from './nodes.js';
import type { TokenStream } from './token-stream.js';

/** What stands between `{{` and `}}`, and in tags: expressions, from the weakest operator to the strongest. */

const COMPARISONS = new Set(['==', '!=', '<', '<=', '>', '>=']);
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([['true', true], ['True', true], ['false', false], ['False', false], ['none', null], ['None', null]]); // prettier-ignore

export function parseExpression(stream: TokenStream, withCondition = true): Expression {
  if (!withCondition) return parseOr(stream);
  let node = parseOr(stream);
  while (stream.skipName('if')) {
    const test = parseOr(stream);
    const no = stream.skipName('else') ? parseExpression(stream) : undefined;
    node = { type: 'Condition', test, yes: node, no };
  }
  return node;
}

function parseOr(stream: TokenStream): Expression {
  let left = parseAnd(stream);
  while (stream.skipName('or')) left = { type: 'Logic', operator: 'or', left, right: parseAnd(stream) };
  return left;
}

function parseAnd(stream: TokenStream): Expression {
  let left = parseNot(stream);
  while (stream.skipName('and')) left = { type: 'Logic', operator: 'and', left, right: parseNot(stream) };
  return left;
}

function parseNot(stream: TokenStream): Expression {
  if (stream.skipName('not')) return { type: 'Not', node: parseNot(stream) };
  return parseCompare(stream);
}

function parseCompare(stream: TokenStream): Expression {
  const first = parseSum(stream);
  const rest: { operator: Comparison; node: Expression }[] = [];
  for (;;) {
    let operator: Comparison;
    if (COMPARISONS.has(stream.current.type)) operator = stream.next().type as Comparison;
    else if (stream.skipName('in')) operator = 'in';
    else if (stream.isName('not') && stream.look().type === 'name' && stream.look().value === 'in') {
      stream.next();
      stream.next();
      operator = 'not in';
    } else break;
    rest.push({ operator, node: parseSum(stream) });
  }
  return rest.length === 0 ? first : { type: 'Compare', first, rest };
}

function parseSum(stream: TokenStream): Expression {
  let left = parseConcat(stream);
  while (stream.is('+') || stream.is('-')) {
    const operator = stream.next().type as '+' | '-';
    left = { type: 'Binary', operator, left, right: parseConcat(stream) };
  }
  return left;
}

function parseConcat(stream: TokenStream): Expression {
  const parts = [parseProduct(stream)];
  while (stream.skip('~')) parts.push(parseProduct(stream));
  return parts.length === 1 ? (parts[0] as Expression) : { type: 'Concat', parts };
}

function parseProduct(stream: TokenStream): Expression {
  let left = parsePower(stream);
  while (['*', '/', '//', '%'].includes(stream.current.type)) {
    const operator = stream.next().type as '*' | '/' | '//' | '%';
    left = { type: 'Binary', operator, left, right: parsePower(stream) };
  }
  return left;
}

function parsePower(stream: TokenStream): Expression {
  let left = parseUnary(stream, true);
  // From left to right: (2 ** 3) ** 2, unlike in Python.
  while (stream.skip('**')) left = { type: 'Binary', operator: '**', left, right: parseUnary(stream, true) };
  return left;
}

function parseUnary(stream: TokenStream, withFilters: boolean): Expression {
  let node: Expression;
  if (stream.is('-') || stream.is('+')) {
    const sign = stream.next().type as '+' | '-';
    node = { type: 'Sign', sign, node: parseUnary(stream, false) };
  } else node = parsePrimary(stream);
  node = parsePostfix(stream, node);
  return withFilters ? parseFilters(stream, node) : node;
}

export function parsePrimary(stream: TokenStream, withMembers = false): Expression {
  const { current } = stream;
  switch (current.type) {
    case 'name': {
      stream.next();
      const name = current.value as string;
      const constant = CONSTANTS.get(name);
      if (constant !== undefined) return { type: 'Constant', value: constant };
      if (withMembers && stream.skip('.'))
        return { type: 'Member', name, attribute: stream.expect('name').value as string };
      return { type: 'Name', name, use: 'load' };
    }
    case 'string': {
      let text = '';
      while (stream.is('string')) text += stream.next().value as string;
      return { type: 'Constant', value: text };
    }
    case 'integer':
    case 'float':
      return { type: 'Constant', value: stream.next().value };
    case '(': {
      stream.next();
      const node = parseTuple(stream, { inParentheses: true });
      stream.expect(')');
      node.grouped = true;
      return node;
    }
    case '[':
      return { type: 'List', items: listed(stream, ']', () => parseExpression(stream)) };
    case '{':
      return {
        type: 'Dict',
        pairs: listed(stream, '}', () => {
          const key = parseExpression(stream);
          stream.expect(':');
          return [key, parseExpression(stream)] as const;
        }),
      };
    default:
      return stream.fail(`unexpected ${stream.shown()}`);
  }
}

/** What stands between brackets, with commas between, and maybe one behind. */
function listed<T>(stream: TokenStream, end: string, one: () => T): T[] {
  stream.next();
  const items: T[] = [];
  while (!stream.is(end)) {
    if (items.length > 0) stream.expect(',');
    if (stream.is(end)) break;
    items.push(one());
  }
  stream.expect(end);
  return items;
}

/** How a tuple, or a single expression, is read. */
export interface TupleOptions {
  readonly inParentheses?: boolean;
  readonly withCondition?: boolean;
  /** A name that ends it. */
  readonly until?: string;
  /** Only what can be assigned to. */
  readonly simple?: boolean;
  readonly withMembers?: boolean;
}

export function parseTuple(stream: TokenStream, options: TupleOptions = {}): Expression {
  const { inParentheses = false, withCondition = true, until, simple = false, withMembers = false } = options;
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) stream.expect(',');
    const ends = ['variable_end', 'block_end', ')'].includes(stream.current.type);
    if (ends || (until !== undefined && stream.isName(until))) break;
    items.push(simple ? parsePrimary(stream, withMembers) : parseExpression(stream, withCondition));
    if (!stream.is(',')) break;
    isTuple = true;
  }
  if (!isTuple && items.length > 0) return items[0] as Expression;
  if (!isTuple && !inParentheses) stream.fail(`Expected an expression, got ${stream.shown()}`);
  return { type: 'Tuple', items };
}

function parsePostfix(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.is('.')) node = parseAttribute(stream, node);
    else if (stream.is('[')) node = { type: 'Item', node, key: parseSubscript(stream) };
    else if (stream.is('(')) node = { type: 'Call', callee: node, given: parseGiven(stream) };
    else return node;
  }
}

function parseAttribute(stream: TokenStream, node: Expression): Expression {
  stream.next();
  const token = stream.next();
  if (token.type === 'name') return { type: 'Attribute', node, name: token.value as string };
  if (token.type !== 'integer') stream.fail('expected name or number');
  return { type: 'Item', node, key: { type: 'Constant', value: token.value } };
}

function parseSubscript(stream: TokenStream): Expression {
  stream.next();
  const keys: Expression[] = [];
  while (!stream.is(']')) {
    if (keys.length > 0) stream.expect(',');
    keys.push(parseKey(stream));
  }
  stream.expect(']');
  return keys.length === 1 ? (keys[0] as Expression) : { type: 'Tuple', items: keys };
}

function parseKey(stream: TokenStream): Expression {
  let start: Expression | undefined;
  if (!stream.is(':')) {
    start = parseExpression(stream);
    if (!stream.is(':')) return start;
  }
  stream.next();
  const ends = (): boolean => stream.is(']') || stream.is(',');
  const stop = stream.is(':') || ends() ? undefined : parseExpression(stream);
  const step = stream.skip(':') && !ends() ? parseExpression(stream) : undefined;
  return { type: 'Slice', start, stop, step };
}

function parseFilters(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.is('|')) node = parseFilter(stream, node) as Expression;
    else if (stream.isName('is')) node = parseTest(stream, node);
    else if (stream.is('(')) node = { type: 'Call', callee: node, given: parseGiven(stream) };
    else return node;
  }
}

function dottedName(stream: TokenStream): string {
  let name = stream.expect('name').value as string;
  while (stream.skip('.')) name += `.${stream.expect('name').value as string}`;
  return name;
}

const NOTHING: Given = { args: [], named: [], list: undefined, dict: undefined };

/** `| name(...) | …`; undefined where there is none. @param inline the first has no `|` in front of it */
export function parseFilter(
  stream: TokenStream,
  start: Expression | undefined,
  inline = false,
): Filter | undefined {
  // prettier-ignore
  let node = start;
  for (let first = inline; first || stream.is('|'); first = false) {
    if (!first) stream.next();
    const name = dottedName(stream);
    node = { type: 'Filter', node, name, given: stream.is('(') ? parseGiven(stream) : NOTHING };
  }
  return node as Filter | undefined;
}

const ARGUMENTS = new Set(['name', 'string', 'integer', 'float', '(', '[', '{']);

function parseTest(stream: TokenStream, node: Expression): Expression {
  stream.next();
  const negated = stream.skipName('not');
  const name = dottedName(stream);
  let given = NOTHING;
  if (stream.is('(')) given = parseGiven(stream);
  else if (ARGUMENTS.has(stream.current.type) && !stream.isName('else', 'or', 'and')) {
    if (stream.isName('is')) stream.fail('You cannot chain multiple tests with is');
    given = { ...NOTHING, args: [parsePostfix(stream, parsePrimary(stream))] };
  }
  const test: Expression = { type: 'Test', node, name, given };
  return negated ? { type: 'Not', node: test } : test;
}

export function parseGiven(stream: TokenStream): Given {
  const args: Expression[] = [];
  const named: { name: string; value: Expression }[] = [];
  let list: Expression | undefined;
  let dict: Expression | undefined;
  const ensure = (valid: boolean): void => {
    if (!valid) stream.fail('invalid syntax for function call expression');
  };
  stream.expect('(');
  for (let first = true; !stream.is(')'); first = false) {
    if (!first) {
      stream.expect(',');
      if (stream.is(')')) break;
    }
    if (stream.is('*')) {
      ensure(!list && !dict);
      stream.next();
      list = parseExpression(stream);
    } else if (stream.is('**')) {
      ensure(!dict);
      stream.next();
      dict = parseExpression(stream);
    } else if (stream.is('name') && stream.look().type === '=') {
      ensure(!dict);
      const name = stream.next().value as string;
      if (named.some((one) => one.name === name)) stream.fail(`keyword argument repeated: ${name}`);
      stream.next();
      named.push({ name, value: parseExpression(stream) });
    } else {
      ensure(!list && !dict && named.length === 0);
      args.push(parseExpression(stream));
    }
  }
  stream.expect(')');
  return { args, named, list, dict };
}

const RESERVED = new Set(['true', 'false', 'none', 'True', 'False', 'None']);

/** What `set`, `for` and `with` assign to. */
export function parseTarget(
  stream: TokenStream,
  options: { until?: string; withMembers?: boolean } = {},
): Target {
  // prettier-ignore
  const target = parseTuple(stream, { ...options, simple: true });
  assign(stream, target);
  return target as Target;
}

/** A single name that is assigned to. */
export function parseName(stream: TokenStream, use: Name['use'] = 'store'): Name {
  const name = stream.expect('name').value as string;
  if (RESERVED.has(name)) stream.fail("can't assign to 'name'");
  return { type: 'Name', name, use };
}

function assign(stream: TokenStream, target: Expression): void {
  if (target.type === 'Name') target.use = 'store';
  else if (target.type === 'Tuple') for (const item of target.items) assign(stream, item);
  else if (target.type !== 'Member') stream.fail(`can't assign to '${target.type.toLowerCase()}'`);
}
