import { escapedText } from './escape.js';
import { formatted } from './format-spec.js';
import { asciiOf, representation, textOfValue } from './show.js';
import { Markup, PythonError, textLike, textOf, type Arguments, type Runtime, type Value } from './values.js';

/** What a format reads members of values with. */
export interface Members {
  attribute(value: Value, name: string): Value;
  item(value: Value, key: Value): Value;
}

// Formats within formats that Python takes.
const DEEPEST = 2;

/** Python's `format.format(...)`. @throws PythonError */
export function textFormatted(
  format: string | Markup,
  args: Arguments,
  members: Members,
  runtime: Runtime,
): string | Markup {
  // prettier-ignore
  let counted = 0;
  let style: 'counted' | 'numbered' | undefined;
  const position = (text: string): Value => {
    const now = text === '' ? 'counted' : 'numbered';
    if (style !== undefined && style !== now)
      throw new PythonError('ValueError', 'cannot switch between manual field specification and automatic field numbering'); // prettier-ignore
    style = now;
    const at = text === '' ? counted++ : Number(text);
    const value = args.positional[at];
    if (value === undefined) throw new PythonError('IndexError', `Replacement index ${at} out of range for positional args tuple`); // prettier-ignore
    return value;
  };
  const field = (name: string): Value => {
    const [, first = '', path = ''] = /^([^.[]*)(.*)$/s.exec(name) as string[];
    let value = /^\d*$/.test(first) ? position(first) : args.named.get(first);
    if (value === undefined) throw new PythonError('KeyError', `'${first}'`);
    const steps = [...path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/gy)];
    if (steps.reduce((sum, [whole]) => sum + whole.length, 0) !== path.length)
      throw new PythonError('ValueError', 'Empty attribute in format string');
    for (const [, attribute, key = ''] of steps)
      value = attribute === undefined ? members.item(value, /^\d+$/.test(key) ? BigInt(key) : key) : members.attribute(value, attribute); // prettier-ignore
    return value;
  };
  const filled = (text: string, depth: number): string => {
    if (depth > DEEPEST) throw new PythonError('ValueError', 'Max string recursion exceeded');
    let result = '';
    for (let at = 0; at < text.length;) {
      const next = text.slice(at).search(/[{}]/);
      if (next < 0) return result + text.slice(at);
      result += text.slice(at, at + next);
      at += next;
      if (depth === 1 && text[at] === text[at + 1]) {
        result += text[at] as string;
        at += 2;
        continue;
      }
      if (text[at] === '}') throw new PythonError('ValueError', "Single '}' encountered in format string");
      const end = closing(text, at);
      result += replacement(text.slice(at + 1, end), depth);
      at = end + 1;
    }
    return result;
  };
  const replacement = (text: string, depth: number): string => {
    const [, name = '', conversion, spec = ''] = /^((?:\[[^\]]*\]|[^[:!])*)(?:!([^:]*))?(?::(.*))?$/s.exec(text) ?? unexpected(text); // prettier-ignore
    if (conversion !== undefined && conversion.length !== 1)
      throw new PythonError('ValueError', "expected ':' after conversion specifier");
    const value = convertedBy(conversion, field(name), runtime);
    const plain = filled(spec, depth + 1);
    if (!(format instanceof Markup)) return formatted(value, plain, runtime);
    if (value instanceof Markup && plain !== '') throw new PythonError('ValueError', 'Unsupported format specification for Markup.'); // prettier-ignore
    return escapedText(value instanceof Markup ? value : formatted(value, plain, runtime), runtime);
  };
  const text = filled(textOf(format), 1);
  runtime.allocate(2 * text.length);
  return textLike(format, text);
}

function unexpected(text: string): never {
  throw new PythonError('ValueError', `unexpected '{' in field name: ${text.slice(0, 100)}`);
}

/** Where the replacement field ends that begins at a brace. */
function closing(text: string, start: number): number {
  let open = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') open++;
    else if (text[at] === '}' && --open === 0) return at;
    else if (text[at] === '[' && open === 1) {
      const end = text.indexOf(']', at);
      if (end >= 0 && !text.slice(start, at).includes(':')) at = end;
    }
  }
  throw new PythonError('ValueError', text.length === start + 1 ? "Single '{' encountered in format string" : "expected '}' before end of string"); // prettier-ignore
}

function convertedBy(conversion: string | undefined, value: Value, runtime: Runtime): Value {
  switch (conversion) {
    case undefined:
      return value;
    case 's':
      return textOfValue(value, runtime);
    case 'r':
      return representation(value, runtime);
    case 'a':
      return asciiOf(value, runtime);
    default:
      throw new PythonError('ValueError', `Unknown conversion specifier '${conversion}'`);
  }
}
