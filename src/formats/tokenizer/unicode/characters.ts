import { MARKS, NEWER, NONSPACING, PUNCTUATION, CONTROLS, UNDECOMPOSED } from './tables.js';

/** A set of characters, asked by code point. */
export type CharacterSet = (code: number) => boolean;

/** White space as Unicode has it: U+0085 is of it, U+FEFF is not. */
export const isWhite: CharacterSet = byExpression('\\p{White_Space}');
/** Numbers of every kind, such as ½. */
export const isNumeric: CharacterSet = byExpression('\\p{N}');
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
export const isUndecomposed: CharacterSet = byTable(UNDECOMPOSED);

// No character of Unicode; it has no property.
const UNASSIGNED = '\u0378';

/**
 * The characters that a class of a JavaScript expression matches, where Unicode is that of the Rust package.
 *
 * @param source the class as JavaScript's flag v has it, such as `[\p{L}--[a-z]]`
 * @throws SyntaxError
 */
export function byExpression(source: string, ignoreCase = false): CharacterSet {
  const expression = new RegExp(`^${source}$`, ignoreCase ? 'vi' : 'v');
  return remembered((code) => expression.test(isNewer(code) ? UNASSIGNED : String.fromCodePoint(code)));
}

const isNewer = lazyTable(NEWER);

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
