/** What is added to the logit of a token that must not be chosen: no softmax gives it a probability. */
export const FORBIDDEN = -1e30;

/** Says between two steps what each row may take next. */
export interface RowMasks {
  /** Logits of a row. */
  readonly vocabSize: number;
  /**
   * What is added to the logits of rows, [rows, vocabSize]: 0, or {@link FORBIDDEN}.
   *
   * @param rows of which none has ended
   */
  next(rows: readonly number[]): Promise<Float32Array>;
  /**
   * Told of the token that was chosen for a row.
   *
   * @returns the token that takes its place, in the answer and for the model
   */
  chosen(row: number, token: number): number;
}

/** The same masks for the rows of a batch, where `of` has the number of each. */
export function masksOf(masks: RowMasks, of: readonly number[]): RowMasks {
  return {
    vocabSize: masks.vocabSize,
    next: (rows) => masks.next(rows.map((row) => of[row] as number)),
    chosen: (row, token) => masks.chosen(of[row] as number, token),
  };
}

/** What one row may take, of rows that are decoded among others. */
export interface RowMask {
  /** What is added to its logits, [vocabSize]. To be asked once a step, after {@link chosen}. */
  next(): Promise<Float32Array>;
  /** @returns the token that takes the place of the one that was chosen */
  chosen(token: number): number;
  /** The answer begins again. */
  restart(): void;
}
