import { createRequire } from 'node:module';
import type { BytePairEncodingCore, RawBytePairRanks } from 'gpt-tokenizer/BytePairEncodingCore';
import { stopwatch, withinSeconds } from '../util/limits.js';

// How GPT-2's pre-tokenizer splits, with white space as Unicode defines it: JavaScript's \s lacks U+0085 and has U+FEFF.
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const END_OF_TEXT = '<|endoftext|>';
// Merging takes time quadratic in the length of a word; a shorter one takes less than a millisecond.
const LONG_WORD = 1000;
const WORDS_PER_LOOK = 10_000;
// Marks words of bytes that are no UTF-8, so that they equal no text.
const BYTES = '\uffff';

/**
 * GPT-2's pieces of a text, without the spaces they begin with: what Super-NaturalInstructions counts as words in tasks of
 * other languages than English. A piece of nothing but spaces is an empty one.
 *
 * @throws HintError LIMIT_EXCEEDED for a text that takes longer than a record may
 */
export function gpt2Pieces(text: string): string[] {
  const { encoder, pieces } = (loaded ??= load());
  const look = stopwatch(() => `A text of ${text.length} characters`);
  const found: string[] = [];
  let words = 0;
  for (const [i, part] of text.split(END_OF_TEXT).entries()) {
    if (i > 0) found.push(END_OF_TEXT);
    for (const [word] of part.matchAll(WORDS)) {
      if (++words % WORDS_PER_LOOK === 0) look();
      // The library's encode() passes the ids of a word on as arguments, and a call takes only so many.
      const encode = (): number[] => Array.from(encoder.encodeNativeGenerator(word)).flat();
      const ids =
        word.length > LONG_WORD ? withinSeconds(`A word of ${word.length} characters`, encode) : encode();
      for (const id of ids) found.push(pieces[id]!);
    }
  }
  return found;
}

interface Loaded {
  encoder: BytePairEncodingCore;
  /** By id, without the spaces in front. */
  pieces: string[];
}

let loaded: Loaded | undefined;

/** Loaded when it is first needed: the table of pieces is half a megabyte of JavaScript. */
function load(): Loaded {
  const require = createRequire(import.meta.url);
  const { BytePairEncodingCore: Core } = require('gpt-tokenizer/BytePairEncodingCore') as {
    BytePairEncodingCore: typeof BytePairEncodingCore;
  };
  const { default: ranks } = require('gpt-tokenizer/bpeRanks/r50k_base') as { default: RawBytePairRanks };
  const pieces = Array.from(ranks, (piece) =>
    typeof piece === 'string'
      ? piece.replace(/^ +/, '')
      : BYTES + String.fromCharCode(...piece.slice(piece.findIndex((byte) => byte !== 0x20))),
  );
  return { encoder: new Core({ bytePairRankDecoder: ranks, tokenSplitRegex: /[^]+/g }), pieces };
}
