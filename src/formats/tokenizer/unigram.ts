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
export class Unigram {
  private readonly unknownId: number;
  private readonly unknownScore: number;
  private readonly scores: Float64Array;
  private readonly trie: CodeUnitTrie;
  private bestScore = new Float64Array(0);
  private bestStart = new Int32Array(0);
  private bestId = new Int32Array(0);

  /**
   * @param pieces piece and log probability, by id
   * @param unknownId id of the unknown piece
   * @param isMatched whether the piece of this id may be found in text (control pieces and sentinels may not)
   */
  constructor(
    pieces: readonly (readonly [string, number])[],
    unknownId: number,
    isMatched: (id: number) => boolean,
  ) {
    this.unknownId = unknownId;
    this.scores = Float64Array.from(pieces, ([, score]) => score);
    this.unknownScore = this.scores.reduce((a, b) => Math.min(a, b), Infinity) - UNKNOWN_PENALTY;
    let units = 1;
    for (const [piece] of pieces) units += piece.length;
    this.trie = new CodeUnitTrie(units);
    pieces.forEach(([piece], id) => {
      if (piece.length > 0 && isMatched(id)) this.trie.add(piece, id);
    });
  }

  /** The piece ids of one word (with its leading ▁), in order. */
  segment(word: string): number[] {
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
    const ids: number[] = [];
    for (let to = length; to > 0; to = start[to]!) {
      const id = best[to]!;
      if (id !== this.unknownId || ids.at(-1) !== id) ids.push(id);
    }
    return ids.reverse();
  }

  private reserve(length: number): void {
    if (length <= this.bestId.length) return;
    this.bestScore = new Float64Array(2 * length);
    this.bestStart = new Int32Array(2 * length);
    this.bestId = new Int32Array(2 * length);
  }
}

/** A trie over UTF-16 code units in one open-addressing hash table: (node, unit) → node. */
class CodeUnitTrie {
  private readonly mask: number;
  private readonly parent: Int32Array;
  private readonly unit: Uint16Array;
  private readonly child: Int32Array;
  private readonly values: Int32Array;
  private nodes = 1;

  /** @param units upper bound of the number of nodes */
  constructor(units: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * units + 1));
    this.mask = size - 1;
    this.parent = new Int32Array(size).fill(-1);
    this.unit = new Uint16Array(size);
    this.child = new Int32Array(size);
    this.values = new Int32Array(units).fill(-1);
  }

  add(key: string, value: number): void {
    let node = 0;
    for (let i = 0; i < key.length; i++) {
      const slot = this.slot(node, key.charCodeAt(i));
      if (this.parent[slot]! < 0) {
        this.parent[slot] = node;
        this.unit[slot] = key.charCodeAt(i);
        this.child[slot] = this.nodes++;
      }
      node = this.child[slot]!;
    }
    this.values[node] = value;
  }

  /** The child of `node` along `unit`, or −1. */
  step(node: number, unit: number): number {
    const slot = this.slot(node, unit);
    return this.parent[slot]! < 0 ? -1 : this.child[slot]!;
  }

  /** The id of the piece that ends at `node`, or −1. */
  value(node: number): number {
    return this.values[node]!;
  }

  private slot(node: number, unit: number): number {
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    for (slot = (slot ^ (slot >>> 15)) & this.mask; ; slot = (slot + 1) & this.mask)
      if (this.parent[slot]! < 0 || (this.parent[slot] === node && this.unit[slot] === unit)) return slot;
  }
}

function isHighSurrogate(text: string, index: number): boolean {
  return text.codePointAt(index)! > 0xffff;
}
