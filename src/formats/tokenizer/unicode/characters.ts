import { MARKS, UNASSIGNED, NONSPACING, PUNCTUATION, CONTROLS, DECOMPOSED } from './tables.js';

/** A set of characters, asked by code point. */
export type CharacterSet = (code: number) => boolean;

/** White space as Unicode has it: U+0085 is of it, U+FEFF is not. */
export const isWhite: CharacterSet = byExpression('\\p{White_Space}');
/** Numbers of every kind, such as ½. */
export const isNumeric: CharacterSet = remembered((code) => /\p{N}/u.test(String.fromCodePoint(code)));
/** What \w stands for in the Rust crate regex. */
export const isWordCharacter: CharacterSet = byExpression(
  '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]',
);
const isTablePunctuation = byTable(PUNCTUATION);
/** ASCII's punctuation, and that of Unicode. */
export const isPunctuation: CharacterSet = (code) =>
  (code > 0x20 && code < 0x7f && !/[0-9A-Za-z]/.test(String.fromCharCode(code))) || isTablePunctuation(code);
export const isMark: CharacterSet = byTable(MARKS);
export const isNonspacing: CharacterSet = byTable(NONSPACING);
export const isControl: CharacterSet = byTable(CONTROLS);
const isDecomposed = lazyTable(DECOMPOSED);
/** Whether a character has a decomposition that is newer than those that the Rust package knows. */
export const isUndecomposed: CharacterSet = remembered((code) => {
  const character = String.fromCodePoint(code);
  return !isDecomposed(code) && character.normalize('NFKD') !== character;
});

// No character of Unicode; it has no property.
const NO_CHARACTER = '\u0378';

/**
 * The characters that a class of a JavaScript expression matches, where Unicode is that of the Rust package.
 *
 * @param source the class as JavaScript's flag v has it, such as `[\p{L}--[a-z]]`
 * @throws SyntaxError
 */
export function byExpression(source: string): CharacterSet {
  const expression = new RegExp(`^${source}$`, 'v');
  return remembered((code) =>
    expression.test(isUnassigned(code) ? NO_CHARACTER : String.fromCodePoint(code)),
  );
}

/** The characters of a set and those that differ from them in case only. */
export function foldedSet(has: CharacterSet): CharacterSet {
  return remembered((code) => has(code) || variantsOf(code).some(has));
}

// The last character that has another case.
const LAST_CASED = 0x1ffff;
// As folded without the rules of Turkish.
const UNFOLDED = new Set([0x130, 0x131]);
let variants: Map<string, number[]> | undefined;

/** The characters that are the same but for case, the character itself included where there are others. */
function variantsOf(code: number): readonly number[] {
  if (!variants) {
    variants = new Map();
    for (let other = 0; other <= LAST_CASED; other++) {
      const key = foldOf(other);
      const group = variants.get(key);
      if (group) group.push(other);
      else if (key !== String.fromCodePoint(other) || key !== key.toUpperCase()) variants.set(key, [other]);
    }
  }
  return variants.get(foldOf(code)) ?? [];
}

function foldOf(code: number): string {
  const character = String.fromCodePoint(code);
  if (UNFOLDED.has(code)) return character;
  const upper = character.toUpperCase();
  const lower = (isOne(upper) ? upper : character).toLowerCase();
  return isOne(lower) ? lower : character;
}

function isOne(text: string): boolean {
  return text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
}

const isUnassigned = lazyTable(UNASSIGNED);

function byTable(table: string): CharacterSet {
  return remembered(lazyTable(table));
}

/** Remembers the answers for the basic plane, once it has been asked for one. */
function remembered(ask: CharacterSet): CharacterSet {
  let answers: Uint8Array | undefined;
  return (code) => {
    if (code > 0xffff) return ask(code);
    answers ??= new Uint8Array(0x10000);
    const answer = answers[code];
    if (answer) return answer === 2;
    const found = ask(code);
    answers[code] = found ? 2 : 1;
    return found;
  };
}

function lazyTable(table: string): CharacterSet {
  let bounds: number[] | undefined;
  return (code) => {
    bounds ??= readRanges(table);
    // Even places hold the first character of a range, odd ones that behind the last.
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bounds[middle]! <= code) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  };
}

function readRanges(table: string): number[] {
  return table
    .trim()
    .split(/\s+/)
    .flatMap((range) => {
      const [first, last = first] = range.split('-');
      return [parseInt(first!, 16), parseInt(last!, 16) + 1];
    });
}
