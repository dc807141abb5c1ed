import { HintError } from '../../../util/errors.js';
import { showValue } from '../../../util/show-value.js';
import type { Model } from './model.js';
import { CodeUnitTrie } from './trie.js';

/** BERT's model: the longest piece at each place of a word, or the unknown piece for all of it. */
export class WordPiece implements Model {
  readonly size: number;
  private readonly pieces: Map<number, string>;
  private readonly beginning: CodeUnitTrie;
  private readonly continuing: CodeUnitTrie;

  constructor(
    readonly ids: ReadonlyMap<string, number>,
    private readonly unknown: string,
    continuingPrefix: string,
    private readonly longestWord: number,
  ) {
    this.size = ids.size;
    this.pieces = new Map([...ids].map(([piece, id]) => [id, piece]));
    this.beginning = CodeUnitTrie.of([...ids]);
    this.continuing = CodeUnitTrie.of(
      [...ids]
        .filter(([piece]) => piece.startsWith(continuingPrefix))
        .map(([piece, id]) => [piece.slice(continuingPrefix.length), id]),
    );
  }

  piece(id: number): string | undefined {
    return this.pieces.get(id);
  }

  encode(text: string, ids: number[]): void {
    const before = ids.length;
    if (this.isTooLong(text) || !this.split(text, ids)) {
      ids.length = before;
      ids.push(idOfUnknown(this.ids, this.unknown));
    }
  }

  private isTooLong(text: string): boolean {
    return text.length > this.longestWord && [...text].length > this.longestWord;
  }

  private split(text: string, ids: number[]): boolean {
    for (let start = 0; start < text.length;) {
      const trie = start === 0 ? this.beginning : this.continuing;
      let found = -1;
      let end = start;
      for (let at = start, node = 0; at < text.length;) {
        node = trie.step(node, text.charCodeAt(at++));
        if (node < 0) break;
        if (trie.value(node) < 0) continue;
        found = trie.value(node);
        end = at;
      }
      if (found < 0) return false;
      ids.push(found);
      start = end;
    }
    return true;
  }
}

/** A model of whole words. */
export class WordLevel implements Model {
  readonly size: number;
  private readonly pieces: Map<number, string>;

  constructor(
    readonly ids: ReadonlyMap<string, number>,
    private readonly unknown: string,
  ) {
    this.size = ids.size;
    this.pieces = new Map([...ids].map(([piece, id]) => [id, piece]));
  }

  piece(id: number): string | undefined {
    return this.pieces.get(id);
  }

  encode(text: string, ids: number[]): void {
    ids.push(this.ids.get(text) ?? idOfUnknown(this.ids, this.unknown));
  }
}

function idOfUnknown(ids: ReadonlyMap<string, number>, unknown: string): number {
  const id = ids.get(unknown);
  if (id !== undefined) return id;
  throw new HintError(
    'INVALID_FILE',
    `The tokenizer has no piece ${showValue(unknown)}, which is its unk_token; give a tokenizer that has it.`,
  );
}
