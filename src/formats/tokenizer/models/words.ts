import { HintError } from '../../../util/errors.js';
import { showValue } from '../../../util/show-value.js';
import type { Model } from './model.js';

/** BERT's model: the longest piece at each place of a word, or the unknown piece for all of it. */
export class WordPiece implements Model {
  readonly size: number;
  private readonly pieces: Map<number, string>;

  constructor(
    readonly ids: ReadonlyMap<string, number>,
    private readonly unknown: string,
    private readonly continuingPrefix: string,
    private readonly longestWord: number,
  ) {
    this.size = ids.size;
    this.pieces = new Map([...ids].map(([piece, id]) => [id, piece]));
  }

  piece(id: number): string | undefined {
    return this.pieces.get(id);
  }

  encode(text: string, ids: number[]): void {
    const characters = [...text];
    const found = characters.length > this.longestWord ? undefined : this.split(characters);
    if (found) ids.push(...found);
    else ids.push(idOfUnknown(this.ids, this.unknown));
  }

  private split(characters: readonly string[]): number[] | undefined {
    const found: number[] = [];
    for (let start = 0; start < characters.length;) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start && id === undefined; end--) {
        const piece = characters.slice(start, end).join('');
        id = this.ids.get(start > 0 ? this.continuingPrefix + piece : piece);
      }
      if (id === undefined) return undefined;
      found.push(id);
      start = end + 1;
    }
    return found;
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
