import { bound, placeOf, positionals } from '../python/arguments.js';
import { isTrue, itemsOf, lengthOfValue } from '../python/basics.js';
import { between, lengthOf, linesOf } from '../python/characters.js';
import { escapedText } from '../python/escape.js';
import { operate } from '../python/operators.js';
import { percentFormatted } from '../python/percent-format.js';
import { textOfValue } from '../python/show.js';
import { capitalized, centred, replacedIn, strippedOf } from '../python/text-methods.js';
import { Dict, isText, Markup, PythonError, textLike, textOf, Tuple, typeOf, Undefined, type Arguments, type Runtime, type Value } from '../python/values.js'; // prettier-ignore
import { attributeGetter } from './attribute-paths.js';
import type { Filter } from './filter.js';
import { jsonOf } from './json-text.js';
import { stripTags, urlQuoted } from './web-text.js';

/** Text that stays escaped where it is; of anything else its text. */
function soft(value: Value, runtime: Runtime): string | Markup {
  return isText(value) ? value : textOfValue(value, runtime);
}

const changes =
  (name: string, change: (text: string) => string): Filter =>
  (value, args, runtime) => {
    bound(name, args, []);
    const text = soft(value, runtime);
    runtime.allocate(2 * textOf(text).length);
    return textLike(text, change(textOf(text)));
  };

function titled(text: string): string {
  const pieces = text.split(
    /([-\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000({[<]+)/,
  );
  return pieces
    .map((piece) => {
      const first = String.fromCodePoint(piece.codePointAt(0) ?? 0);
      return piece === '' ? '' : first.toUpperCase() + piece.slice(first.length).toLowerCase();
    })
    .join('');
}

/**
 * Jinja's `truncate`: cut at a space so that the end fits; what is longer by no more than the leeway is left.
 *
 * @throws PythonError AssertionError for a length that the end alone exceeds
 */
export function truncated(
  text: string,
  length: number,
  { killWords = false, end = '...', leeway = 5 } = {},
): string {
  // prettier-ignore
  const ending = lengthOf(end);
  if (length < ending) throw new PythonError('AssertionError', `expected length >= ${ending}, got ${length}`);
  if (leeway < 0) throw new PythonError('AssertionError', `expected leeway >= 0, got ${leeway}`);
  // A character has up to two units.
  if (text.length <= length + leeway || lengthOf(text) <= length + leeway) return text;
  const kept = between(text.slice(0, 2 * length), 0, length - ending);
  const space = killWords ? -1 : kept.lastIndexOf(' ');
  return (space < 0 ? kept : kept.slice(0, space)) + end;
}

function indented(value: Value, args: Arguments, runtime: Runtime): Value {
  const [width = 4n, first = false, blank = false] = bound('indent', args, ['width?', 'first?', 'blank?']);
  if (!isText(value)) {
    operate('+', value, '\n', runtime);
    throw new PythonError('AttributeError', `'${typeOf(value)}' object has no attribute 'splitlines'`);
  }
  const spaces = isText(width) ? 0 : Math.max(0, placeOf(width));
  const text = textOf(value);
  const lines = linesOf(`${text}\n`);
  runtime.allocate(2 * (text.length + lines.length * spaces));
  const by = isText(width) ? (value instanceof Markup ? escapedText(width, runtime) : textOf(width)) : ' '.repeat(spaces); // prettier-ignore
  const [head = '', ...rest] = lines;
  runtime.allocate(2 * by.length * lines.length);
  const others = rest.map((line) => `\n${line === '' && !isTrue(blank) ? '' : by}${line}`);
  return textLike(value, (isTrue(first) ? by : '') + head + others.join(''));
}

function joined(value: Value, args: Arguments, runtime: Runtime): Value {
  const [separator = '', attribute = null] = bound('join', args, ['d?', 'attribute?']);
  const get = attribute === null ? undefined : attributeGetter(attribute, runtime);
  const glue = textOfValue(separator, runtime);
  const pieces: string[] = [];
  for (const item of itemsOf(value, runtime)) {
    const piece = textOfValue(get ? get(item) : item, runtime);
    runtime.allocate(2 * (piece.length + glue.length));
    pieces.push(piece);
  }
  return pieces.join(glue);
}

function xmlAttributes(value: Value, args: Arguments, runtime: Runtime): Value {
  const [space = true] = bound('xmlattr', args, ['autospace?']);
  if (!(value instanceof Dict)) throw new PythonError('AttributeError', `'${typeOf(value)}' object has no attribute 'items'`); // prettier-ignore
  const pairs = [...value.entries.values()].filter((entry) => entry.value !== null && !(entry.value instanceof Undefined)); // prettier-ignore
  const all = pairs.map((entry) => {
    if (!isText(entry.key)) throw new PythonError('TypeError', `expected string, got '${typeOf(entry.key)}'`);
    if (/[\t-\r />=]/.test(textOf(entry.key))) throw new PythonError('ValueError', `Invalid character in attribute name: ${textOf(entry.key)}`); // prettier-ignore
    return `${escapedText(entry.key, runtime)}="${escapedText(entry.value, runtime)}"`;
  });
  return (isTrue(space) && all.length > 0 ? ' ' : '') + all.join(' ');
}

const escapes: Filter = (value, args, runtime) => {
  positionals('escape', args, 0, 0);
  return new Markup(escapedText(value, runtime));
};

/** Jinja's filters of text. */
export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  capitalize: changes('capitalize', capitalized),
  lower: changes('lower', (text) => text.toLowerCase()),
  upper: changes('upper', (text) => text.toUpperCase()),
  title: (value, args, runtime) => {
    const text = soft(value, runtime);
    return textOf(changes('title', titled)(textOf(text), args, runtime) as string);
  },
  string: (value, args, runtime) => {
    positionals('string', args, 0, 0);
    return soft(value, runtime);
  },
  trim: (value, args, runtime) => {
    const [characters = null] = bound('trim', args, ['chars?']);
    const text = soft(value, runtime);
    return textLike(text, strippedOf(textOf(text), characters, 'both'));
  },
  center: (value, args, runtime) => {
    const [width = 80n] = bound('center', args, ['width?']);
    const text = soft(value, runtime);
    return textLike(text, centred(textOf(text), placeOf(width), ' ', runtime));
  },
  replace: (value, args, runtime) => {
    const [old, by, count = null] = bound('replace', args, ['old', 'new', 'count?']);
    const [text, from, to] = [value, old, by].map((one) => textOfValue(one, runtime)) as [
      string,
      string,
      string,
    ];
    return replacedIn(text, from, to, count === null ? -1 : placeOf(count), runtime);
  },
  truncate: (value, args) => {
    const [length = 255n, killWords = false, end = '...', leeway = null] = bound('truncate', args, ['length?', 'killwords?', 'end?', 'leeway?']); // prettier-ignore
    if (!isText(end)) throw new PythonError('TypeError', `object of type '${typeOf(end)}' has no len()`);
    const options = { killWords: isTrue(killWords), end: textOf(end), leeway: leeway === null ? 5 : placeOf(leeway) }; // prettier-ignore
    if (isText(value)) return textLike(value, truncated(textOf(value), placeOf(length), options));
    truncated('', placeOf(length), options);
    if (lengthOfValue(value) <= BigInt(placeOf(length) + options.leeway)) return value;
    throw new PythonError('TypeError', `'${typeOf(value)}' object cannot be truncated`);
  },
  indent: indented,
  join: joined,
  format: (value, args, runtime) => {
    if (args.positional.length > 0 && args.named.size > 0)
      throw new PythonError('FilterArgumentError', "can't handle positional and keyword arguments at the same time"); // prettier-ignore
    if (args.named.size === 0)
      return percentFormatted(soft(value, runtime), new Tuple(args.positional), runtime);
    const dict = new Dict();
    for (const [key, one] of args.named) dict.entries.set(`s${key}`, { key, value: one });
    return percentFormatted(soft(value, runtime), dict, runtime);
  },
  wordcount: (value, args, runtime) => {
    bound('wordcount', args, []);
    const text = textOf(soft(value, runtime));
    runtime.step(1 + text.length / 16);
    return BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
  },
  e: escapes,
  escape: escapes,
  forceescape: (value, args, runtime) => {
    bound('forceescape', args, []);
    return new Markup(escapedText(textOfValue(value, runtime), runtime));
  },
  safe: (value, args, runtime) => {
    bound('safe', args, []);
    return new Markup(textOfValue(value, runtime));
  },
  striptags: (value, args, runtime) => {
    bound('striptags', args, []);
    return stripTags(textOfValue(value, runtime), runtime);
  },
  urlencode: (value, args, runtime) => {
    bound('urlencode', args, []);
    return urlQuoted(value, runtime);
  },
  tojson: (value, args, runtime) => {
    const [indent = null] = bound('tojson', args, ['indent?']);
    const text = jsonOf(value, indent, runtime);
    return new Markup(text.replace(/[<>&']/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`));
  },
  xmlattr: xmlAttributes,
};
