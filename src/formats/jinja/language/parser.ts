import { parseExpression, parseFilter, parseName, parseTarget, parseTuple } from './expressions.js';
import { syntaxError } from './lexer.js';
import type { Expression, If, Name, Output, Signature, Statement, Target } from './nodes.js';
import { TokenStream } from './token-stream.js';

/** The statements of a template. @throws PythonError TemplateSyntaxError; RangeError for one that is nested too deeply */
export function parseTemplate(source: string): Statement[] {
  return parseBody(new TokenStream(source), undefined);
}

/** Statements up to one of some tags, of which the name is then the current token; up to the end of the template without. */
function parseBody(stream: TokenStream, ends: readonly string[] | undefined): Statement[] {
  const body: Statement[] = [];
  let parts: Output['parts'][number][] = [];
  const flush = (): void => {
    if (parts.length > 0) body.push({ type: 'Output', parts });
    parts = [];
  };
  while (!stream.is('eof')) {
    if (stream.is('data')) {
      const { value } = stream.next();
      if (value !== '') parts.push({ type: 'Data', text: value as string });
    } else if (stream.skip('variable_begin')) {
      parts.push(parseTuple(stream));
      stream.expect('variable_end');
    } else {
      flush();
      stream.next();
      if (ends && stream.isName(...ends)) return body;
      body.push(parseStatement(stream, ends));
      stream.expect('block_end');
    }
  }
  flush();
  if (ends) stream.fail(`Unexpected end of template. Jinja was looking for the following tags: '${ends.join("' or '")}'.`); // prettier-ignore
  return body;
}

/** What follows a tag, up to one of some others. */
function bodyUntil(stream: TokenStream, ...ends: readonly string[]): Statement[] {
  stream.skip(':');
  stream.expect('block_end');
  return parseBody(stream, ends);
}

/** What follows a tag, up to the one that ends it. */
function wholeBody(stream: TokenStream, end: string): Statement[] {
  const body = bodyUntil(stream, end);
  stream.next();
  return body;
}

function parseStatement(stream: TokenStream, ends: readonly string[] | undefined): Statement {
  if (!stream.is('name')) stream.fail('tag name expected');
  const tag = stream.current.value as string;
  const parse = Object.hasOwn(TAGS, tag) ? TAGS[tag] : undefined;
  if (!parse) {
    const wanted = ends ? ` Jinja was looking for the following tags: '${ends.join("' or '")}'.` : '';
    return stream.fail(`Encountered unknown tag '${tag}'.${wanted}`);
  }
  stream.next();
  return parse(stream);
}

function parseFor(stream: TokenStream): Statement {
  const target = parseTarget(stream, { until: 'in' });
  stream.expectName('in');
  const iterable = parseTuple(stream, { withCondition: false, until: 'recursive' });
  const test = stream.skipName('if') ? parseExpression(stream) : undefined;
  const recursive = stream.skipName('recursive');
  const body = bodyUntil(stream, 'endfor', 'else');
  const otherwise = stream.next().value === 'else' ? wholeBody(stream, 'endfor') : [];
  return { type: 'For', target, iterable, test, recursive, body, otherwise };
}

function parseIf(stream: TokenStream): Statement {
  const branches: If['branches'][number][] = [];
  let otherwise: Statement[] = [];
  for (;;) {
    const test = parseTuple(stream, { withCondition: false });
    branches.push({ test, body: bodyUntil(stream, 'elif', 'else', 'endif') });
    const { value } = stream.next();
    if (value === 'elif') continue;
    if (value === 'else') otherwise = wholeBody(stream, 'endif');
    return { type: 'If', branches, otherwise };
  }
}

function parseSet(stream: TokenStream): Statement {
  const target = parseTarget(stream, { withMembers: true });
  if (stream.skip('=')) return { type: 'Set', target, value: parseTuple(stream) };
  const filter = parseFilter(stream, undefined);
  return { type: 'SetBlock', target, filter, body: wholeBody(stream, 'endset') };
}

function parseWith(stream: TokenStream): Statement {
  const targets: Target[] = [];
  const values: Expression[] = [];
  while (!stream.is('block_end')) {
    if (targets.length > 0) stream.expect(',');
    const target = parseTarget(stream);
    asParameters(target);
    targets.push(target);
    stream.expect('=');
    values.push(parseExpression(stream));
  }
  return { type: 'With', targets, values, body: wholeBody(stream, 'endwith') };
}

function asParameters(target: Expression): void {
  if (target.type === 'Name') target.use = 'parameter';
  if (target.type === 'Tuple') for (const item of target.items) asParameters(item);
}

function parseSignature(stream: TokenStream): Signature {
  const parameters: Name[] = [];
  const defaults: Expression[] = [];
  stream.expect('(');
  while (!stream.is(')')) {
    if (parameters.length > 0) stream.expect(',');
    const parameter = parseName(stream, 'parameter');
    if (parameters.some(({ name }) => name === parameter.name)) stream.fail(`duplicate argument '${parameter.name}'`); // prettier-ignore
    if (stream.skip('=')) defaults.push(parseExpression(stream));
    else if (defaults.length > 0) stream.fail('non-default argument follows default argument');
    parameters.push(parameter);
  }
  stream.expect(')');
  return { parameters, defaults };
}

function parseMacro(stream: TokenStream): Statement {
  const { name } = parseName(stream);
  return { type: 'Macro', name, ...parseSignature(stream), body: wholeBody(stream, 'endmacro') };
}

function parseCallBlock(stream: TokenStream): Statement {
  const { line } = stream.current;
  const signature = stream.is('(') ? parseSignature(stream) : { parameters: [], defaults: [] };
  const call = parseExpression(stream);
  if (call.type !== 'Call') return syntaxError('expected call', line);
  return { type: 'CallBlock', ...signature, call, body: wholeBody(stream, 'endcall') };
}

function parseFilterBlock(stream: TokenStream): Statement {
  const filter = parseFilter(stream, undefined, true);
  if (!filter) return stream.fail('expected a filter');
  return { type: 'FilterBlock', filter, body: wholeBody(stream, 'endfilter') };
}

function parseBlock(stream: TokenStream): Statement {
  const name = stream.expect('name').value as string;
  const scoped = stream.skipName('scoped');
  const required = stream.skipName('required');
  if (stream.is('-')) stream.fail('Block names in Jinja may not contain hyphens, use an underscore instead.');
  const body = wholeBody(stream, 'endblock');
  if (required) stream.fail('a required block is of a template that others extend, of which there are none');
  stream.skipName(name);
  return { type: 'Block', name, scoped, body };
}

function parsePrint(stream: TokenStream): Statement {
  const parts: Expression[] = [];
  while (!stream.is('block_end')) {
    if (parts.length > 0) stream.expect(',');
    parts.push(parseExpression(stream));
  }
  return { type: 'Output', parts };
}

/** Tags that name another template are read to their ends, and fail where they are rendered. */
function elsewhere(tag: string): (stream: TokenStream) => Statement {
  return (stream) => {
    parseExpression(stream);
    while (!stream.is('block_end') && !stream.is('eof')) stream.next();
    return { type: 'Elsewhere', tag };
  };
}

const TAGS: Readonly<Record<string, (stream: TokenStream) => Statement>> = {
  for: parseFor,
  if: parseIf,
  set: parseSet,
  with: parseWith,
  macro: parseMacro,
  call: parseCallBlock,
  filter: parseFilterBlock,
  block: parseBlock,
  print: parsePrint,
  extends: elsewhere('extends'),
  include: elsewhere('include'),
  import: elsewhere('import'),
  from: elsewhere('from'),
  autoescape: (stream) => stream.fail("the tag 'autoescape' is not supported"),
};
