import { bound, placeOf, positionals } from './arguments.js';
import { isTrue, itemsOf } from './basics.js';
import { between, charactersOf, codePointsBefore, isCased, isDecimal, isDigit, isLetter, isLower, isNumeric, isPrintable, isSpace, isTitle, isUpper, leadingSpace, lengthOf, linesOf, titleCase, trailingSpace, wordsOf } from './characters.js'; // prettier-ignore
import { escapedText } from './escape.js';
import { padded } from './format-spec.js';
import { isText, List, Markup, PythonError, textLike, textOf, Tuple, typeOf, type Arguments, type Runtime, type Value } from './values.js'; // prettier-ignore

/** A method, with the text that it is called on first. */
type Method = (self: string | Markup, args: Arguments, runtime: Runtime) => Value;

/** A text among arguments. @throws PythonError TypeError */
function textArgument(name: string, value: Value | undefined): string {
  if (value !== undefined && isText(value)) return textOf(value);
  throw new PythonError('TypeError', `${name}() argument must be str, not ${typeOf(value ?? null)}`);
}

/** A text argument that is escaped where the method's own text is. */
function suitable(name: string, self: string | Markup, value: Value, runtime: Runtime): string {
  return self instanceof Markup ? escapedText(value, runtime) : textArgument(name, value);
}

function changed(change: (text: string) => string, name: string): Method {
  return (self, args, runtime) => {
    positionals(name, args, 0, 0);
    runtime.allocate(2 * textOf(self).length);
    return textLike(self, change(textOf(self)));
  };
}

/** Python's `capitalize()`. */
export function capitalized(text: string): string {
  const [first] = text;
  if (first === undefined) return '';
  // All in lower case together, since a sigma depends on what stands before it.
  return titleCase(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

function titled(text: string): string {
  const lower = text.toLowerCase();
  const characters = charactersOf(text);
  let inWord = false;
  // Where each character's lower case can be taken from the whole, a sigma at the end of a word is right.
  const aligned = charactersOf(lower);
  return characters
    .map((character, i) => {
      const small = aligned.length === characters.length ? (aligned[i] as string) : character.toLowerCase();
      const result = inWord ? small : titleCase(character);
      inWord = isCased(character);
      return result;
    })
    .join('');
}

function swapped(text: string): string {
  return charactersOf(text)
    .map((one) => (isUpper(one) ? one.toLowerCase() : isLower(one) ? one.toUpperCase() : one))
    .join('');
}

function asks(name: string, ask: (characters: readonly string[]) => boolean): Method {
  return (self, args, runtime) => {
    positionals(name, args, 0, 0);
    runtime.step(1 + textOf(self).length / 16);
    return ask(charactersOf(textOf(self)));
  };
}

const everyIs = (is: (character: string) => boolean) => (all: readonly string[]): boolean => all.length > 0 && all.every(is); // prettier-ignore

function isTitled(all: readonly string[]): boolean {
  let [inWord, found] = [false, false];
  for (const one of all) {
    if (isUpper(one) || isTitle(one)) {
      if (inWord) return false;
      [inWord, found] = [true, true];
    } else if (isLower(one)) {
      if (!inWord) return false;
      found = true;
    } else inWord = false;
  }
  return found;
}

/** Python's `strip(characters)`, at one end or both. */
export function strippedOf(text: string, characters: Value, ends: 'left' | 'right' | 'both'): string {
  if (characters === null) {
    const start = ends === 'right' ? 0 : leadingSpace(text);
    return text.slice(start, ends === 'left' ? undefined : Math.max(start, trailingSpace(text)));
  }
  const set = new Set(charactersOf(textArgument('strip', characters)));
  const all = charactersOf(text);
  let [start, end] = [0, all.length];
  if (ends !== 'right') while (start < end && set.has(all[start] as string)) start++;
  if (ends !== 'left') while (end > start && set.has(all[end - 1] as string)) end--;
  return all.slice(start, end).join('');
}

const strips =
  (name: string, ends: 'left' | 'right' | 'both'): Method =>
  (self, args) =>
    textLike(self, strippedOf(textOf(self), positionals(name, args, 0, 1)[0] ?? null, ends));

function splits(name: 'split' | 'rsplit'): Method {
  return (self, args, runtime) => {
    const [separator = null, most] = bound(name, args, ['sep?', 'maxsplit?']);
    const limit = most === undefined ? -1 : placeOf(most);
    const text = textOf(self);
    runtime.allocate(16 * text.length);
    const pieces = separator === null ? spaceSplit(text, limit, name) : splitBy(text, textArgument(name, separator), limit, name); // prettier-ignore
    return new List(pieces.map((piece) => textLike(self, piece)));
  };
}

function splitBy(text: string, separator: string, limit: number, name: string): string[] {
  if (separator === '') throw new PythonError('ValueError', 'empty separator');
  const pieces = text.split(separator);
  if (limit < 0 || pieces.length <= limit + 1) return name === 'rsplit' ? fromTheRight(text, separator, limit) : pieces; // prettier-ignore
  if (name === 'rsplit') return fromTheRight(text, separator, limit);
  return [...pieces.slice(0, limit), pieces.slice(limit).join(separator)];
}

function fromTheRight(text: string, separator: string, limit: number): string[] {
  const pieces: string[] = [];
  let end = text.length;
  while (limit < 0 || pieces.length < limit) {
    const at = end - separator.length < 0 ? -1 : text.lastIndexOf(separator, end - separator.length);
    if (at < 0) break;
    pieces.unshift(text.slice(at + separator.length, end));
    end = at;
  }
  return [text.slice(0, end), ...pieces];
}

function spaceSplit(text: string, limit: number, name: string): string[] {
  const words = wordsOf(text);
  if (limit < 0 || words.length <= limit) return words;
  const all = charactersOf(text);
  const kept = name === 'split' ? words.slice(0, limit) : words.slice(words.length - limit);
  // What is left over keeps the white space in it.
  let [start, end] = [0, all.length];
  const skipSpace = (): void => {
    if (name === 'split') while (start < end && isSpace(all[start] as string)) start++;
    else while (end > start && isSpace(all[end - 1] as string)) end--;
  };
  for (const word of name === 'split' ? kept : kept.toReversed()) {
    skipSpace();
    if (name === 'split') start += lengthOf(word);
    else end -= lengthOf(word);
  }
  skipSpace();
  const rest = all.slice(start, end).join('');
  return name === 'split' ? [...kept, rest] : [rest, ...kept];
}

/** Python's `replace`. */
export function replacedIn(text: string, old: string, by: string, count: number, runtime: Runtime): string {
  const pieces = old === '' ? ['', ...charactersOf(text), ''] : text.split(old);
  const most = count < 0 ? Infinity : count;
  const times = Math.min(most, pieces.length - 1);
  if (times === 0) return text;
  runtime.allocate(2 * Math.max(0, text.length + times * (by.length - old.length)));
  if (old === '' && times < pieces.length - 1)
    return pieces.slice(0, times + 1).join(by) + pieces.slice(times + 1).join('');
  return [pieces.slice(0, times + 1).join(by), ...pieces.slice(times + 1)].join(old);
}

/** The part of a text that `find(sub, start, end)` and its kin look at, and what stands in front of it. */
function part(
  name: string,
  self: string | Markup,
  args: Arguments,
): { text: string; before: number; sub: Value; outside: boolean } {
  // prettier-ignore
  const [sub = null, start = null, end = null] = positionals(name, args, 1, 3);
  const text = textOf(self);
  if (start === null && end === null) return { text, before: 0, sub, outside: false };
  const length = lengthOf(text);
  const clip = (place: Value, absent: number): number => {
    if (place === null) return absent;
    const at = placeOf(place);
    return at < 0 ? Math.max(0, at + length) : at;
  };
  const [from, to] = [clip(start, 0), Math.min(clip(end, length), length)];
  return { text: between(text, from, to), before: from, sub, outside: from > to };
}

function finds(name: string, last: boolean, mustFind: boolean): Method {
  return (self, args) => {
    const { text, before, sub, outside } = part(name, self, args);
    const wanted = textArgument(name, sub);
    const unit = outside ? -1 : last ? text.lastIndexOf(wanted) : text.indexOf(wanted);
    if (unit < 0 && mustFind) throw new PythonError('ValueError', 'substring not found');
    return BigInt(unit < 0 ? -1 : before + codePointsBefore(text, unit));
  };
}

function edges(name: string, at: 'start' | 'end'): Method {
  return (self, args) => {
    const { text, sub, outside } = part(name, self, args);
    const any = sub instanceof Tuple ? sub.items : [sub];
    const wanted = any.map((one) => textArgument(name, one));
    return !outside && wanted.some((one) => (at === 'start' ? text.startsWith(one) : text.endsWith(one)));
  };
}

function fills(name: string, align: string): Method {
  return (self, args, runtime) => {
    const [width = null, fill = ' '] = positionals(name, args, 1, 2);
    const by = textArgument(name, fill);
    if (lengthOf(by) !== 1) throw new PythonError('TypeError', 'The fill character must be exactly one character long'); // prettier-ignore
    const text = textOf(self);
    const size = placeOf(width);
    if (align !== '^') return textLike(self, padded(text, size, align, by, runtime));
    return textLike(self, centred(text, size, by, runtime));
  };
}

/** Python's `center`, in which the odd place goes to the left where the width is odd. */
export function centred(text: string, width: number, fill: string, runtime: Runtime): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  runtime.allocate(2 * missing * fill.length);
  const left = Math.floor(missing / 2) + (missing % 2 === 1 && width % 2 === 1 ? 1 : 0);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

function partitions(name: string, last: boolean): Method {
  return (self, args) => {
    const separator = textArgument(name, positionals(name, args, 1, 1)[0]);
    if (separator === '') throw new PythonError('ValueError', 'empty separator');
    const text = textOf(self);
    const at = last ? text.lastIndexOf(separator) : text.indexOf(separator);
    const parts = at < 0 ? (last ? ['', '', text] : [text, '', '']) : [text.slice(0, at), separator, text.slice(at + separator.length)]; // prettier-ignore
    return new Tuple(parts.map((one) => textLike(self, one)));
  };
}

/** Without any difference of case: a dotless i has none. */
function folded(text: string): string {
  return charactersOf(text)
    .map((one) => (one === 'ı' ? one : one.toUpperCase().toLowerCase()))
    .join('');
}

/** Python's methods of texts; `format` is with the attributes that it reads. */
export const TEXT_METHODS: Readonly<Record<string, Method>> = {
  capitalize: changed(capitalized, 'capitalize'),
  casefold: changed(folded, 'casefold'),
  lower: changed((text) => text.toLowerCase(), 'lower'),
  swapcase: changed(swapped, 'swapcase'),
  title: changed(titled, 'title'),
  upper: changed((text) => text.toUpperCase(), 'upper'),
  isalnum: asks('isalnum', everyIs((one) => isLetter(one) || isDigit(one) || isNumeric(one))), // prettier-ignore
  isalpha: asks('isalpha', everyIs(isLetter)),

  isascii: asks('isascii', (all) => all.every((one) => /^[\x00-\x7f]$/.test(one))),
  isdecimal: asks('isdecimal', everyIs(isDecimal)),
  isdigit: asks('isdigit', everyIs(isDigit)),
  isidentifier: asks('isidentifier', (all) => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(all.join(''))),
  islower: asks('islower', (all) => all.some(isLower) && !all.some((one) => isUpper(one) || isTitle(one))),
  isnumeric: asks('isnumeric', everyIs(isNumeric)),
  isprintable: asks('isprintable', (all) => all.every(isPrintable)),
  isspace: asks('isspace', everyIs(isSpace)),
  istitle: asks('istitle', isTitled),
  isupper: asks('isupper', (all) => all.some(isUpper) && !all.some((one) => isLower(one) || isTitle(one))),
  strip: strips('strip', 'both'),
  lstrip: strips('lstrip', 'left'),
  rstrip: strips('rstrip', 'right'),
  split: splits('split'),
  rsplit: splits('rsplit'),
  splitlines: (self, args, runtime) => {
    const [keep = false] = bound('splitlines', args, ['keepends?']);
    runtime.allocate(16 * textOf(self).length);
    return new List(linesOf(textOf(self), isTrue(keep)).map((line) => textLike(self, line)));
  },
  replace: (self, args, runtime) => {
    const [old = null, by = null, count = -1n] = positionals('replace', args, 2, 3);
    const text = replacedIn(textOf(self), textArgument('replace', old), suitable('replace', self, by, runtime), placeOf(count), runtime); // prettier-ignore
    return textLike(self, text);
  },
  find: finds('find', false, false),
  rfind: finds('rfind', true, false),
  index: finds('index', false, true),
  rindex: finds('rindex', true, true),
  count: (self, args) => {
    const { text, sub, outside } = part('count', self, args);
    const wanted = textArgument('count', sub);
    if (outside) return 0n;
    return BigInt(wanted === '' ? lengthOf(text) + 1 : text.split(wanted).length - 1);
  },
  startswith: edges('startswith', 'start'),
  endswith: edges('endswith', 'end'),
  removeprefix: (self, args) => {
    const prefix = textArgument('removeprefix', positionals('removeprefix', args, 1, 1)[0]);
    return textLike(self, textOf(self).startsWith(prefix) ? textOf(self).slice(prefix.length) : textOf(self));
  },
  removesuffix: (self, args) => {
    const suffix = textArgument('removesuffix', positionals('removesuffix', args, 1, 1)[0]);
    const ends = suffix !== '' && textOf(self).endsWith(suffix);
    return textLike(self, ends ? textOf(self).slice(0, -suffix.length) : textOf(self));
  },
  center: fills('center', '^'),
  ljust: fills('ljust', '<'),
  rjust: fills('rjust', '>'),
  zfill: (self, args, runtime) => {
    const [, sign = '', digits = ''] = /^([+-]?)(.*)$/s.exec(textOf(self)) as string[];
    const width = placeOf(positionals('zfill', args, 1, 1)[0] as Value);
    return textLike(self, sign + padded(digits, width - sign.length, '>', '0', runtime));
  },
  partition: partitions('partition', false),
  rpartition: partitions('rpartition', true),
  join: (self, args, runtime) => {
    const [items = null] = positionals('join', args, 1, 1);
    const pieces: string[] = [];
    for (const item of itemsOf(items, runtime)) {
      if (!isText(item) && !(self instanceof Markup)) throw new PythonError('TypeError', `sequence item ${pieces.length}: expected str instance, ${typeOf(item)} found`); // prettier-ignore
      pieces.push(suitable('join', self, item, runtime));
      runtime.allocate(2 * (textOf(self).length + (pieces.at(-1) as string).length));
    }
    return textLike(self, pieces.join(textOf(self)));
  },
  expandtabs: (self, args, runtime) => {
    const [size = 8n] = bound('expandtabs', args, ['tabsize?']);
    const width = placeOf(size);
    let column = 0;
    const expanded = charactersOf(textOf(self)).map((one) => {
      if (one !== '\t') {
        column = one === '\n' || one === '\r' ? 0 : column + 1;
        return one;
      }
      const spaces = width > 0 ? width - (column % width) : 0;
      runtime.allocate(2 * spaces);
      column += spaces;
      return ' '.repeat(spaces);
    });
    return textLike(self, expanded.join(''));
  },
};
