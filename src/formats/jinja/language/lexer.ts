import { trailingSpace, withAsciiDigits } from '../python/characters.js';
import { PythonError, type Value } from '../python/values.js';

/** A piece of a template. Of an operator, `type` is the operator itself. */
export interface Token {
  readonly type: string;
  readonly value: Value;
  readonly line: number;
}

/** @throws PythonError TemplateSyntaxError always */
export function syntaxError(message: string, line: number): never {
  throw new PythonError('TemplateSyntaxError', `${message} (line ${line})`);
}

const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/y;
const FLOAT = /(?<!\.)(?:\p{Nd}+_)*\p{Nd}+(?:(?:\.(?:\p{Nd}+_)*\p{Nd}+)?e[+-]?(?:\p{Nd}+_)*\p{Nd}+|\.(?:\p{Nd}+_)*\p{Nd}+)/iuy; // prettier-ignore
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\p{Nd}a-f])+|[1-9](?:_?\p{Nd})*|0(?:_?0)*/iuy;
const NAME = /[\p{L}\p{N}\p{XID_Continue}_]+/uy;
const STRING = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;
const IDENTIFIER = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;

const BEGIN = /\{[{%#]/g;
const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\})/g;
const COMMENT_END = /\+#\}|-#\}\s*|#\}/g;
const BLOCK_END = /\+%\}|-%\}\s*|%\}/y;
const VARIABLE_END = /-\}\}\s*|\}\}/y;

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** The tokens of a template, `data` for its text. @throws PythonError TemplateSyntaxError */
export function* tokensOf(template: string): Generator<Token> {
  // One line end at the end is no text.
  const source = template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '');
  let at = 0;
  let line = 1;
  const advance = (to: number): void => {
    for (let i = source.indexOf('\n', at); i >= 0 && i < to; i = source.indexOf('\n', i + 1)) line++;
    at = to;
  };
  const matched = (expression: RegExp): string | undefined => {
    expression.lastIndex = at;
    return expression.exec(source)?.[0];
  };
  const data = (end: number, strip: boolean): Token => {
    const text = source.slice(at, end);
    return { type: 'data', value: strip ? text.slice(0, trailingSpace(text)) : text, line };
  };

  function* tag(end: RegExp, type: string): Generator<Token> {
    const open: string[] = [];
    for (;;) {
      const ending = open.length === 0 ? matched(end) : undefined;
      if (ending !== undefined) {
        yield { type, value: ending, line };
        advance(at + ending.length);
        return;
      }
      const space = matched(SPACE);
      if (space !== undefined) {
        advance(at + space.length);
        continue;
      }
      if (at >= source.length) return;
      const token =
        tokenAt(matched, line) ?? syntaxError(`unexpected char ${JSON.stringify(source[at])}`, line);
      if (token.length === 1 && Object.hasOwn(CLOSING, token.type)) open.push(CLOSING[token.type] as string);
      else if (')]}'.includes(token.type) && open.pop() !== token.type)
        syntaxError(`unexpected '${token.type}'`, line);
      yield { type: token.type, value: token.value, line };
      advance(at + token.length);
    }
  }

  while (at < source.length) {
    BEGIN.lastIndex = at;
    const begin = BEGIN.exec(source);
    if (!begin) {
      yield data(source.length, false);
      return;
    }
    const sign = source[begin.index + 2];
    yield data(begin.index, sign === '-');
    advance(begin.index);
    const raw = matched(RAW_BEGIN);
    if (raw !== undefined) {
      advance(at + raw.length);
      RAW_END.lastIndex = at;
      const end = RAW_END.exec(source) ?? syntaxError('Missing end of raw directive', line);
      yield data(end.index, end[1] === '-');
      advance(end.index + end[0].length);
      continue;
    }
    advance(at + (sign === '-' || sign === '+' ? 3 : 2));
    if (begin[0] === '{#') {
      COMMENT_END.lastIndex = at;
      const end = COMMENT_END.exec(source) ?? syntaxError('Missing end of comment tag', line);
      advance(end.index + end[0].length);
      continue;
    }
    const isBlock = begin[0] === '{%';
    yield { type: isBlock ? 'block_begin' : 'variable_begin', value: begin[0], line };
    yield* tag(isBlock ? BLOCK_END : VARIABLE_END, isBlock ? 'block_end' : 'variable_end');
  }
}

function tokenAt(
  matched: (expression: RegExp) => string | undefined,
  line: number,
): { type: string; value: Value; length: number } | undefined {
  // prettier-ignore
  const float = matched(FLOAT);
  if (float !== undefined) return { type: 'float', value: Number(withAsciiDigits(float).replaceAll('_', '')), length: float.length }; // prettier-ignore
  const integer = matched(INTEGER);
  if (integer !== undefined) {
    const digits = withAsciiDigits(integer).replaceAll('_', '');
    if (digits.length > 4300)
      syntaxError('Exceeds the limit (4300 digits) for integer string conversion', line);
    return { type: 'integer', value: BigInt(digits.toLowerCase()), length: integer.length };
  }
  const name = matched(NAME);
  if (name !== undefined) {
    if (!IDENTIFIER.test(name)) syntaxError('Invalid character in identifier', line);
    return { type: 'name', value: name, length: name.length };
  }
  const string = matched(STRING);
  if (string !== undefined) return { type: 'string', value: unescaped(string.slice(1, -1), line), length: string.length }; // prettier-ignore
  const operator = matched(OPERATOR);
  return operator === undefined ? undefined : { type: operator, value: operator, length: operator.length };
}

const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([xuU])|N\{[^}]*\}?|(.)|$)/gsu; // prettier-ignore
const SHORT: Readonly<Record<string, string>> = { '\n': '', '\\': '\\', "'": "'", '"': '"', a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }; // prettier-ignore

/** The text that a string of a template stands for. */
function unescaped(text: string, line: number): string {
  return text.replace(
    ESCAPE,
    (whole, octal?: string, two?: string, four?: string, eight?: string, cut?: string, one?: string) => {
      // prettier-ignore
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = two ?? four ?? eight;
      if (hex !== undefined) {
        const code = Number.parseInt(hex, 16);
        return code > 0x10ffff ? syntaxError('illegal Unicode character', line) : String.fromCodePoint(code);
      }
      if (cut !== undefined) return syntaxError(`truncated \\${cut} escape`, line);
      if (one === undefined)
        return syntaxError(`${whole} is not supported in a string; write the character itself`, line);
      return one in SHORT ? (SHORT[one] as string) : whole;
    },
  );
}
