import { byExpression, isWhite } from './unicode/characters.js';

const isLetter = byExpression('\\p{L}');
const isNumber = byExpression('\\p{N}');

const LETTER = 1;
const NUMBER = 2;
const WHITE = 3;
const OTHER = 4;

// What a character is, by UTF-16 unit, once it has been asked; units above the basic plane are asked each time.
const kinds = new Uint8Array(0x10000);

/**
 * Pairs of start and end of GPT-2's words, which cover the text:
 * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
 */
export function gpt2Words(text: string): number[] {
  const words: number[] = [];
  for (let at = 0; at < text.length;) {
    const end = contraction(text, at) || runOf(text, at) || spaces(text, at);
    words.push(at, end);
    at = end;
  }
  return words;
}

function contraction(text: string, at: number): number {
  if (text[at] !== "'") return 0;
  const one = text[at + 1];
  if (one === 's' || one === 't' || one === 'm' || one === 'd') return at + 2;
  const two = text.slice(at + 1, at + 3);
  return two === 're' || two === 've' || two === 'll' ? at + 3 : 0;
}

/** The end of a run of one kind, a space before it included; 0 where none begins. */
function runOf(text: string, at: number): number {
  const start = text[at] === ' ' ? at + 1 : at;
  if (start >= text.length) return 0;
  const kind = kindAt(text, start);
  return kind === WHITE ? 0 : endOfRun(text, start, kind);
}

/** White space, less its last character where a word follows: that one begins the word, or stands alone. */
function spaces(text: string, at: number): number {
  const end = endOfRun(text, at, WHITE);
  return end === text.length || end === at + 1 ? end : end - 1;
}

function endOfRun(text: string, start: number, kind: number): number {
  let end = start;
  while (end < text.length && kindAt(text, end) === kind) end += text.codePointAt(end)! > 0xffff ? 2 : 1;
  return end;
}

function kindAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  const known = kinds[unit]!;
  if (known > 0) return known;
  const code = text.codePointAt(at)!;
  const kind = isLetter(code) ? LETTER : isNumber(code) ? NUMBER : isWhite(code) ? WHITE : OTHER;
  if (code <= 0xffff) kinds[unit] = kind;
  return kind;
}
