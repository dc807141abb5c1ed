import { HintError } from '../../../util/errors.js';
import { showValue } from '../../../util/show-value.js';
import { bytePieces, type Model } from './model.js';
import { CodeUnitTrie } from './trie.js';

/** SentencePiece's penalty of an unknown character below the worst piece. */
const UNKNOWN_PENALTY = 10;

/**
 * The Unigram model: splits a word into the pieces of highest total score (Viterbi), one unknown piece for every
 * run of characters no piece covers. Linear in the word's length.
 *
 * Scores are added in double precision from the start of the word and the first of equal candidates wins, as in
 * the Rust tokenizers; SentencePiece adds in single precision from the start of the text, so ties between
 * segmentations of equal score may fall differently there.
 */
export class Unigram implements Model {
  readonly ids: ReadonlyMap<string, number>;
  readonly size: number;
  private readonly pieces: readonly (readonly [string, number])[];
  readonly unknownId: number;
  private readonly unknownScore: number;
  private readonly scores: Float64Array;
  private readonly trie: CodeUnitTrie;
  private readonly byteFallback: boolean;
  private bestScore = new Float64Array(0);
  private bestStart = new Int32Array(0);
  private bestId = new Int32Array(0);

  /**
   * @param pieces piece and log probability, by id
   * @param unknownId id of the unknown piece; −1 where there is none
   * @param isMatched whether the piece of this id may be found in text
   * @param byteFallback whether what no piece covers becomes byte pieces, where there are all it takes
   */
  constructor(
    pieces: readonly (readonly [string, number])[],
    unknownId: number,
    isMatched: (id: number) => boolean = () => true,
    byteFallback = false,
  ) {
    this.pieces = pieces;
    this.size = pieces.length;
    this.ids = new Map(pieces.map(([piece], id) => [piece, id]));
    this.unknownId = unknownId;
    this.byteFallback = byteFallback;
    this.scores = Float64Array.from(pieces, ([, score]) => score);
    this.unknownScore = this.scores.reduce((a, b) => Math.min(a, b), Infinity) - UNKNOWN_PENALTY;
    this.trie = CodeUnitTrie.of([...this.ids].filter(([, id]) => isMatched(id)));
  }

  piece(id: number): string | undefined {
    return this.pieces[id]?.[0];
  }

  /** @throws HintError INVALID_FILE for an unknown character where the tokenizer has no piece for it */
  encode(text: string, ids: number[]): void {
    const ends = this.segment(text);
    for (let i = ends.length - 1, start = 0; i >= 0; i--) {
      const end = ends[i]!;
      const id = this.bestId[end]!;
      if (id === this.unknownId) this.encodeUnknown(text.slice(start, end), ids);
      else ids.push(id);
      start = end;
    }
  }

  private encodeUnknown(text: string, ids: number[]): void {
    const known = this.ids.get(text);
    const bytes = known === undefined && this.byteFallback ? bytePieces(text, this.ids) : undefined;
    if (bytes) for (const id of bytes) ids.push(id);
    else ids.push(known ?? this.unknownId);
  }

  /** Where the best pieces of a text end, from the last to the first; a run of unknown ones is one. */
  private segment(word: string): number[] {
    const length = word.length;
    this.reserve(length + 1);
    const score = this.bestScore;
    const start = this.bestStart;
    const best = this.bestId;
    best.fill(-1, 0, length + 1);
    score[0] = 0;
    for (let from = 0; from < length;) {
      const width = isHighSurrogate(word, from) ? 2 : 1;
      const here = score[from]!;
      let covered = false;
      let node = 0;
      for (let to = from; to < length;) {
        node = this.trie.step(node, word.charCodeAt(to++));
        if (node < 0) break;
        const id = this.trie.value(node);
        if (id < 0) continue;
        covered ||= to - from === width;
        const candidate = here + this.scores[id]!;
        if (best[to]! < 0 || candidate > score[to]!) {
          score[to] = candidate;
          start[to] = from;
          best[to] = id;
        }
      }
      if (!covered) {
        if (this.unknownId < 0) throw noUnknown(word.slice(from, from + width));
        const to = from + width;
        const candidate = here + this.unknownScore;
        if (best[to]! < 0 || candidate > score[to]!) {
          score[to] = candidate;
          start[to] = from;
          best[to] = this.unknownId;
        }
      }
      from += width;
    }
    const ends: number[] = [];
    let later = -1;
    for (let to = length; to > 0; to = start[to]!) {
      const id = best[to]!;
      if (id !== this.unknownId || id !== later) ends.push(to);
      later = id;
    }
    return ends;
  }

  private reserve(length: number): void {
    if (length <= this.bestId.length) return;
    this.bestScore = new Float64Array(2 * length);
    this.bestStart = new Int32Array(2 * length);
    this.bestId = new Int32Array(2 * length);
  }
}

function noUnknown(character: string): HintError {
  return new HintError(
    'INVALID_FILE',
    `The tokenizer has no piece for ${showValue(character)} and none for what is unknown (unk_id); give a tokenizer that has one.`,
  );
}

function isHighSurrogate(text: string, index: number): boolean {
  return text.codePointAt(index)! > 0xffff;
}
