import { bytePieces, type Model } from './model.js';

/** What a tokenizer.json says of a BPE model. */
export interface BpeOptions {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of pieces that become one, the first of them first. */
  readonly merges: readonly (readonly [string, string])[];
  readonly unknown: string | undefined;
  readonly continuingPrefix: string;
  readonly endSuffix: string;
  readonly fusesUnknown: boolean;
  readonly byteFallback: boolean;
  readonly ignoresMerges: boolean;
}

// Ids are below this; two of them are one key.
const MOST_IDS = 2 ** 24;
// Places in a stretch of text are below this.
const MOST_SYMBOLS = 2 ** 28;

/** Byte pair encoding: joins the neighbours whose merge comes first, until no two are left that can be joined. */
export class Bpe implements Model {
  readonly ids: ReadonlyMap<string, number>;
  readonly size: number;
  private readonly pieces = new Map<number, string>();
  private readonly options: BpeOptions;
  private readonly ranks = new Map<number, number>();
  private readonly joined: Int32Array;

  /**
   * @param refuse throws an error for a merge whose pieces are not in the vocabulary
   */
  constructor(options: BpeOptions, refuse: (merge: string) => never) {
    this.options = options;
    this.ids = options.vocabulary;
    this.size = this.ids.size;
    for (const [piece, id] of options.vocabulary) this.pieces.set(id, piece);
    this.joined = new Int32Array(options.merges.length);
    options.merges.forEach(([left, right], rank) => {
      const a = this.ids.get(left);
      const b = this.ids.get(right);
      const both = this.ids.get(left + right.slice(options.continuingPrefix.length));
      if (a === undefined || b === undefined || both === undefined) return refuse(`${left} ${right}`);
      this.ranks.set(a * MOST_IDS + b, rank);
      this.joined[rank] = both;
    });
  }

  piece(id: number): string | undefined {
    return this.pieces.get(id);
  }

  encode(text: string, ids: number[]): void {
    const whole = this.options.ignoresMerges ? this.ids.get(text) : undefined;
    if (whole !== undefined) ids.push(whole);
    else for (const id of this.merge(this.symbols(text))) ids.push(id);
  }

  /** The ids of the characters of a text. */
  private symbols(text: string): number[] {
    const { unknown, continuingPrefix, endSuffix, fusesUnknown, byteFallback } = this.options;
    const unknownId = unknown === undefined ? undefined : this.ids.get(unknown);
    const symbols: number[] = [];
    let pending = false;
    for (let at = 0; at < text.length;) {
      const end = at + (text.codePointAt(at)! > 0xffff ? 2 : 1);
      let character = text.slice(at, end);
      if (at > 0) character = continuingPrefix + character;
      if (end === text.length) character += endSuffix;
      at = end;
      const id = this.ids.get(character);
      if (id !== undefined) {
        if (pending) symbols.push(unknownId!);
        pending = false;
        symbols.push(id);
        continue;
      }
      const bytes = byteFallback ? bytePieces(character, this.ids) : undefined;
      if (bytes) symbols.push(...bytes);
      else if (unknownId !== undefined) {
        if (pending && !fusesUnknown) symbols.push(unknownId);
        pending = true;
      }
    }
    if (pending) symbols.push(unknownId!);
    return symbols;
  }

  private merge(symbols: number[]): number[] {
    const length = symbols.length;
    if (length < 2) return symbols;
    const next = Int32Array.from(symbols, (_, i) => (i + 1 < length ? i + 1 : -1));
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const queue = new Queue();
    const offer = (left: number, right: number): void => {
      const rank = this.ranks.get(symbols[left]! * MOST_IDS + symbols[right]!);
      if (rank !== undefined) queue.add(rank * MOST_SYMBOLS + left);
    };
    for (let i = 0; i + 1 < length; i++) offer(i, i + 1);
    for (let key = queue.take(); key >= 0; key = queue.take()) {
      const rank = Math.floor(key / MOST_SYMBOLS);
      const left = key % MOST_SYMBOLS;
      const right = next[left]!;
      // What was joined since then is no pair of this merge any more.
      if (symbols[left]! < 0 || right < 0) continue;
      const now = this.ranks.get(symbols[left]! * MOST_IDS + symbols[right]!);
      if (now === undefined || this.joined[now] !== this.joined[rank]) continue;
      symbols[left] = this.joined[rank]!;
      symbols[right] = -1;
      const behind = next[right]!;
      next[left] = behind;
      if (behind >= 0) previous[behind] = left;
      if (previous[left]! >= 0) offer(previous[left]!, left);
      if (behind >= 0) offer(left, behind);
    }
    return symbols.filter((id) => id >= 0);
  }
}

/** A heap of numbers, the smallest first. */
class Queue {
  private readonly items: number[] = [];

  add(item: number): void {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  /** The smallest, or −1 where there is none. */
  take(): number {
    const { items } = this;
    const least = items[0];
    if (least === undefined) return -1;
    const last = items.pop()!;
    if (items.length === 0) return least;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return least;
  }
}
