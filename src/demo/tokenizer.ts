import { T5_SPECIAL_PIECES, unigramTokenizer } from '../formats/tokenizer/unigram-json.js';
import { CATEGORIES, LABELS, NAMES, NUMBER_WORDS } from './lexicon.js';
import { SELECTORS } from './operations.js';
import { LISTINGS, STATEMENTS } from './pretraining.js';
import { sceneWords } from './scenes.js';
import { INTRODUCTIONS, LABEL_PHRASES, REMARKS, REQUESTS } from './wording.js';

/** The words that the Tk-Instruct format adds (definition and input in one text). */
const FORMAT_TEXT =
  'Definition: Now complete the following example - Input: Output: Positive Example Negative';

/** Score of a whole word; letters score so low that no word of the vocabulary is ever spelled out. */
const WORD_SCORE = -5;
const PUNCTUATION_SCORE = -6;
const LETTER_SCORE = -20;

/** Every word the demo's texts are made of, sorted, without punctuation. */
export function demoWords(): string[] {
  const sentences = [
    ...Object.values(INTRODUCTIONS).flatMap(({ train, test }) => [...train, ...test]),
    ...Object.values(REQUESTS).flatMap(({ train, test }) => [...train, ...test]),
    ...REMARKS,
    ...LABEL_PHRASES,
    ...Object.values(STATEMENTS).flat(),
    ...Object.values(LISTINGS).flat(),
    ...SELECTORS.flatMap(({ phrases }) => phrases),
  ].map((text) => text.replace(/\{[A-Z]\}/g, ' '));
  const openings = [...SELECTORS.flatMap(({ phrases }) => phrases), ...LABELS].map(
    (text) => text.charAt(0).toUpperCase() + text.slice(1),
  );
  const lexicon = [...Object.keys(CATEGORIES), ...Object.values(CATEGORIES).flat(), ...NAMES, ...LABELS];
  const digits = Array.from({ length: NUMBER_WORDS.length + 2 }, (_, i) => String(i));
  const texts = [
    ...sentences,
    ...openings,
    ...lexicon,
    ...NUMBER_WORDS,
    ...digits,
    ...sceneWords(),
    FORMAT_TEXT,
  ];
  const words = new Set(texts.flatMap((text) => text.match(/[A-Za-z]+|[0-9]+/g) ?? []));
  return [...words].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function vocabulary(): [string, number][] {
  const printable = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i));
  const isAlphanumeric = (character: string): boolean => /[A-Za-z0-9]/.test(character);
  const pieces = new Map<string, number>(T5_SPECIAL_PIECES.map((piece) => [piece, 0]));
  for (const word of demoWords()) pieces.set(`▁${word}`, WORD_SCORE);
  pieces.set('▁-', WORD_SCORE);
  for (const character of printable) {
    pieces.set(character, isAlphanumeric(character) ? LETTER_SCORE : PUNCTUATION_SCORE);
  }
  pieces.set('▁', PUNCTUATION_SCORE);
  return [...pieces];
}

/** The demo's tokenizer as the two files a tokenizer directory holds. */
export interface TokenizerFiles {
  readonly tokenizer: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * A T5 tokenizer (Unigram, `</s>` appended; pad 0, eos 1, unk 2) with one piece for each word of the demo and single
 * characters for any other text.
 */
export function buildDemoTokenizer(): TokenizerFiles {
  return {
    tokenizer: unigramTokenizer(vocabulary()),
    config: {
      tokenizer_class: 'T5Tokenizer',
      model_max_length: 1024,
      eos_token: '</s>',
      unk_token: '<unk>',
      pad_token: '<pad>',
      extra_ids: 0,
      additional_special_tokens: [],
    },
  };
}
