/** Texts by code points, as Python counts them, and what Python knows of a character. */

const SURROGATE = /[\ud800-\udfff]/;

/** White space to `strip`, `split` and `isspace`. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
export const SPACE_CHARACTER = new RegExp(`[${SPACE}]`);
const LEADING = new RegExp(`^[${SPACE}]+`);
const SPACES = new RegExp(`[${SPACE}]+`, 'g');

/** The code points of a text. */
export function charactersOf(text: string): readonly string[] {
  return SURROGATE.test(text) ? Array.from(text) : text.split('');
}

/** How many code points a text has. */
export function lengthOf(text: string): number {
  if (!SURROGATE.test(text)) return text.length;
  let length = 0;
  for (let at = 0; at < text.length; length++) at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
  return length;
}

/** The code points from one place up to another. */
export function between(text: string, start: number, end: number): string {
  if (!SURROGATE.test(text)) return text.slice(start, Math.max(start, end));
  return Array.from(text).slice(start, Math.max(start, end)).join('');
}

/** The number of code points in front of a place in UTF-16. */
export function codePointsBefore(text: string, unit: number): number {
  return unit < 0 ? -1 : lengthOf(text.slice(0, unit));
}

/** Where white space at the start ends, in UTF-16. */
export function leadingSpace(text: string): number {
  return LEADING.exec(text)?.[0].length ?? 0;
}

/** Where white space at the end begins, in UTF-16; found from the end, in time linear in its length. */
export function trailingSpace(text: string): number {
  let end = text.length;
  while (end > 0 && SPACE_CHARACTER.test(text[end - 1] as string)) end--;
  return end;
}

/** Python's `strip()`. */
export function stripped(text: string): string {
  return text.slice(leadingSpace(text), Math.max(leadingSpace(text), trailingSpace(text)));
}

/** Python's `split()`: the words between white space. */
export function wordsOf(text: string): string[] {
  return text.split(SPACES).filter((word) => word !== '');
}

const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/g;

/** Python's `splitlines()`. */
export function linesOf(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    lines.push(text.slice(start, keepEnds ? index + end.length : index));
    start = index + end.length;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

const [DECIMAL, NUMBER, LETTER] = [/^\p{Nd}$/u, /^\p{N}$/u, /^\p{L}$/u];
const [CASED, LOWER, UPPER, TITLE] = [/^\p{Cased}$/u, /^\p{Lowercase}$/u, /^\p{Uppercase}$/u, /^\p{Lt}$/u];
const HIDDEN = /^[\p{C}\p{Z}]$/u;
// Digits that are no decimals: superscripts, circled ones, and those of scripts without a zero.
const DIGIT = /^[\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]$/u; // prettier-ignore
// Chinese characters that are numbers.
const NUMERAL = /^[㐅㒃㠪㭍一七万三九二五世亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd\u{20001}\u{20064}\u{200e2}\u{20121}\u{2092a}\u{20983}\u{2098c}\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}\u{22998}\u{23b1b}\u{2626d}\u{2f890}]$/u; // prettier-ignore

export const isDecimal = (character: string): boolean => DECIMAL.test(character);
export const isDigit = (character: string): boolean => isDecimal(character) || DIGIT.test(character);
export const isNumeric = (character: string): boolean => NUMBER.test(character) || NUMERAL.test(character);
export const isLetter = (character: string): boolean => LETTER.test(character);
export const isCased = (character: string): boolean => CASED.test(character);
export const isLower = (character: string): boolean => LOWER.test(character);
export const isUpper = (character: string): boolean => UPPER.test(character);
export const isTitle = (character: string): boolean => TITLE.test(character);
export const isSpace = (character: string): boolean => SPACE_CHARACTER.test(character);
export const isPrintable = (character: string): boolean => character === ' ' || !HIDDEN.test(character);

/** The value of a decimal digit of any script: each script has its ten in a row. */
function decimalValue(character: string): number {
  const code = character.codePointAt(0) as number;
  let first = code;
  while (isDecimal(String.fromCodePoint(first - 1))) first--;
  return (code - first) % 10;
}

/** A text with the digits of all scripts as those of ASCII. */
export function withAsciiDigits(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return text.replace(/\p{Nd}/gu, (digit) => String(decimalValue(digit)));
}

const DIGRAPHS: readonly (readonly [string, string])[] = [
  ['Ǆǅǆ', 'ǅ'],
  ['Ǉǈǉ', 'ǈ'],
  ['Ǌǋǌ', 'ǋ'],
  ['Ǳǲǳ', 'ǲ'],
];

/** A character in title case, in which it begins a word. */
export function titleCase(character: string): string {
  const upper = character.toUpperCase();
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return upper;
  const digraph = DIGRAPHS.find(([all]) => all.includes(character));
  if (digraph) return digraph[1];
  // Georgian has capitals, but no word begins with a single one.
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  if (character === 'ŉ') return upper;
  const pieces = Array.from(upper);
  if (pieces.length === 1) return upper;
  // A Greek iota that stands below a small letter stays there.
  if (code >= 0x1f80 && code < 0x2000 && pieces.at(-1) === 'Ι') {
    const base = pieces.slice(0, -1).join('');
    return pieces.length === 2 ? `${base}\u0345`.normalize('NFC') : `${base}\u0345`;
  }
  return (pieces[0] as string) + pieces.slice(1).join('').toLowerCase();
}

/** Order by code points, which is not that of UTF-16. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === length) return a.length - b.length;
  return rank(a.charCodeAt(at)) - rank(b.charCodeAt(at));
}

/** Surrogates, of which characters beyond U+FFFF are made, come last. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}
