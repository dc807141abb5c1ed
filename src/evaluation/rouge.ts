import { checked, choice, list, text as textKind } from '../util/arguments.js';
import { stopwatch } from '../util/limits.js';
import { gpt2Pieces } from './gpt2-pieces.js';
import { stem } from './stemmer.js';

/** The accepted answers. */
export const REFERENCE_LIST = list(textKind, 'a list of texts');

/** The tracks of Super-NaturalInstructions, which differ in what a word is for ROUGE. */
export const SCORE_TRACKS = ['default', 'xlingual'] as const;

/** `default`: English words; `xlingual`: GPT-2's pieces, which texts of any language have. */
export type ScoreTrack = (typeof SCORE_TRACKS)[number];

/** The track by whose rules answers are scored: `xlingual`, or `default` for every other. */
export function scoredAs(track: string | undefined): ScoreTrack {
  return track === 'xlingual' ? track : 'default';
}

/** The values of an argument `track`. */
export const TRACK = choice(...SCORE_TRACKS);

/** The tokens that ROUGE compares in a track. @throws HintError LIMIT_EXCEEDED as {@link gpt2Pieces} */
export function trackTokens(text: string, track: ScoreTrack): string[] {
  return track === 'xlingual' ? gpt2Pieces(text) : rougeTokens(text);
}

/**
 * The tokens ROUGE compares (method §7.5): lower case, every run of characters outside a–z and 0–9 a separator
 * (so accented letters split words), words of more than three characters stemmed.
 */
export function rougeTokens(text: string): string[] {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.map((word) => (word.length > 3 ? stem(word) : word));
}

// Cells between two checks of the time limit: some milliseconds of work.
const CELLS_PER_LOOK = 4_000_000;

/** Length of the longest common subsequence, in O(|a| |b|) time and O(|b|) memory. @throws HintError LIMIT_EXCEEDED */
function commonSubsequence(a: readonly string[], b: readonly string[]): number {
  const look = stopwatch(() => `A prediction of ${a.length} words with a reference of ${b.length}`);
  let untilLook = CELLS_PER_LOOK;
  const ids = new Map<string, number>();
  const idOf = (token: string): number => {
    const id = ids.get(token) ?? ids.size;
    ids.set(token, id);
    return id;
  };
  // Integers compare faster than strings, and the inner loop runs |a| |b| times.
  const left = Int32Array.from(a, idOf);
  const right = Int32Array.from(b, idOf);
  const lengths = new Int32Array(right.length + 1);
  for (const token of left) {
    if ((untilLook -= right.length) < 0) {
      look();
      untilLook = CELLS_PER_LOOK;
    }
    let diagonal = 0;
    for (let j = 1; j < lengths.length; j++) {
      const above = lengths[j]!;
      lengths[j] = token === right[j - 1] ? diagonal + 1 : Math.max(above, lengths[j - 1]!);
      diagonal = above;
    }
  }
  return lengths[right.length]!;
}

/** ROUGE-L F of two token lists from {@link rougeTokens}, in [0, 1]; 0 if either is empty. */
export function rougeLOfTokens(prediction: readonly string[], reference: readonly string[]): number {
  const common = commonSubsequence(prediction, reference);
  if (common === 0) return 0;
  const precision = common / prediction.length;
  const recall = common / reference.length;
  return (2 * precision * recall) / (precision + recall);
}

/**
 * ROUGE-L F, in [0, 1], of a prediction against the reference it fits best; 0 without references.
 *
 * @param track what counts as a word (default `default`)
 * @throws HintError INVALID_ARGUMENT; LIMIT_EXCEEDED for texts so long that comparing them takes longer than a record may
 */
export function rougeLF1(
  prediction: string,
  references: readonly string[],
  track: ScoreTrack = 'default',
): number {
  checked(textKind, prediction, 'prediction');
  checked(REFERENCE_LIST, references, 'references');
  checked(TRACK, track, 'track');
  const tokens = trackTokens(prediction, track);
  return bestRouge(
    tokens,
    references.map((reference) => trackTokens(reference, track)),
  );
}

/** ROUGE-L F of tokens against the list of tokens that they fit best; 0 where there is none. */
export function bestRouge(tokens: readonly string[], references: readonly (readonly string[])[]): number {
  return references.reduce((best, reference) => Math.max(best, rougeLOfTokens(tokens, reference)), 0);
}
