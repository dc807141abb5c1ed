/** The part of a tokenizer that turns a stretch of text into pieces. */
export interface Model {
  /** Pieces and their ids. */
  readonly ids: ReadonlyMap<string, number>;
  /** How many pieces there are, those that have the name of another included. */
  readonly size: number;
  /** The piece of an id, where there is one. */
  piece(id: number): string | undefined;
  /** Appends the ids of a stretch that is not empty. */
  encode(text: string, ids: number[]): void;
}

/** The byte pieces `<0x00>` to `<0xFF>` of a text; undefined where one of them is missing. */
export function bytePieces(text: string, ids: ReadonlyMap<string, number>): number[] | undefined {
  const found: number[] = [];
  for (const byte of Buffer.from(text, 'utf8')) {
    const id = ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    found.push(id);
  }
  return found;
}
