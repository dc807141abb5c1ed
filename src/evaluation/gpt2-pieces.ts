import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { BYTE_CHARACTERS, bytesAsText, textAsBytes } from '../formats/tokenizer/byte-alphabet.js';
import { gpt2Words } from '../formats/tokenizer/gpt2-words.js';
import { Bpe } from '../formats/tokenizer/models/bpe.js';
import { RecentWords } from '../formats/tokenizer/recent-words.js';
import { stopwatch, withinSeconds } from '../util/limits.js';
import { packageRoot } from '../util/package-root.js';

const MERGES = 'models/gpt2-merges.txt.gz';
const END_OF_TEXT = '<|endoftext|>';
// Looking at the clock takes longer than a short word.
const LONG_WORD = 1000;
const PLACES_PER_LOOK = 10_000;
// Prefix of pieces that are not UTF-8, so that they equal no text.
const BYTES = '\uffff';

/**
 * GPT-2's pieces of a text, without the spaces they begin with: what Super-NaturalInstructions counts as words in tasks of
 * other languages than English. A piece of nothing but spaces is an empty one.
 *
 * @throws HintError LIMIT_EXCEEDED for a text that takes longer than a record may
 */
export function gpt2Pieces(text: string): string[] {
  const { pieces, ...words } = (loaded ??= load());
  const look = stopwatch(() => `A text of ${text.length} characters`);
  const found: string[] = [];
  for (const [i, part] of text.split(END_OF_TEXT).entries()) {
    if (i > 0) found.push(END_OF_TEXT);
    const places = gpt2Words(part);
    for (let at = 0; at < places.length; at += 2) {
      if (at % PLACES_PER_LOOK === 0) look();
      for (const id of idsOf(part.slice(places[at], places[at + 1]), words))
        found.push((pieces[id] ??= shown(words.encoder.piece(id)!)));
    }
  }
  return found;
}

function idsOf(word: string, { encoder, recent }: Pick<Loaded, 'encoder' | 'recent'>): readonly number[] {
  const known = recent.get(word);
  if (known) return known;
  const ids: number[] = [];
  const encode = (): void => encoder.encode(bytesAsText(word), ids);
  if (word.length > LONG_WORD) withinSeconds(`A word of ${word.length} characters`, encode);
  else encode();
  recent.set(word, ids);
  return ids;
}

interface Loaded {
  encoder: Bpe;
  recent: RecentWords;
  /** By id, without the spaces in front; those that were met. */
  pieces: (string | undefined)[];
}

let loaded: Loaded | undefined;

/** Loaded when it is first needed: 50,000 merges. */
function load(): Loaded {
  const lines = gunzipSync(readFileSync(join(packageRoot(), MERGES)))
    .toString()
    .trimEnd()
    .split('\n');
  // The first line says the version.
  const merges = lines.slice(1).map((line) => line.split(' ') as [string, string]);
  const names = [...BYTE_CHARACTERS, ...merges.map(([left, right]) => left + right)];
  const encoder = new Bpe(
    {
      vocabulary: new Map(names.map((name, id) => [name, id])),
      merges,
      unknown: undefined,
      continuingPrefix: '',
      endSuffix: '',
      fusesUnknown: false,
      byteFallback: false,
      ignoresMerges: false,
    },
    (merge) => {
      throw new Error(`${MERGES} has the merge ${merge} before its parts.`);
    },
  );
  return { encoder, recent: new RecentWords(), pieces: [] };
}

/** The text of a piece without the spaces in front. */
function shown(piece: string): string {
  const bytes = Buffer.from(textAsBytes(piece)!);
  const text = bytes.toString();
  const [whole, mark] = Buffer.from(text).equals(bytes) ? [text, ''] : [bytes.toString('latin1'), BYTES];
  return mark + whole.replace(/^ +/, '');
}
