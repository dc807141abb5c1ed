import { checked, text as textKind } from '../util/arguments.js';
import { REFERENCE_LIST } from './rouge.js';

const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/g;

// Python's str.split() is the definition: unlike \s it splits at U+001C…U+001F and U+0085, and not at U+FEFF.
const WHITESPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** The form in which answers are compared: lower case, no ASCII punctuation, single spaces (method §7.5). */
export function normalizeAnswer(text: string): string {
  return text.toLowerCase().replace(ASCII_PUNCTUATION, '').replace(WHITESPACE, ' ').replace(/^ | $/g, '');
}

/**
 * Whether the prediction equals one of the references, in lower case, without ASCII punctuation and with single spaces.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function isExactMatch(prediction: string, references: readonly string[]): boolean {
  checked(textKind, prediction, 'prediction');
  checked(REFERENCE_LIST, references, 'references');
  const answer = normalizeAnswer(prediction);
  return references.some((reference) => normalizeAnswer(reference) === answer);
}
