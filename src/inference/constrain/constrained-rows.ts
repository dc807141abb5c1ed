import { HintError } from '../../util/errors.js';
import type { RowMasks } from '../decode/row-masks.js';
import type { GrammarThread } from './grammar-thread.js';
import type { OfferedPiece, StepResult, Vocabulary } from './messages.js';

/** Inputs whose answers follow one constraint: what each may take next, and the text that it has become. */
export class ConstrainedRows implements RowMasks {
  private readonly offered = new Map<number, OfferedPiece>();
  /** Per row the pieces that the vocabulary lacks, in order. */
  private readonly written = new Map<number, string[]>();
  private accepted: (readonly [row: number, id: number])[] = [];
  private readonly generation: number;

  constructor(
    private readonly thread: GrammarThread,
    private readonly vocabulary: Vocabulary,
    private readonly session: number,
    readonly vocabSize: number,
  ) {
    this.generation = thread.generation;
  }

  /** @throws HintError NOT_SUPPORTED naming what an answer needs and the vocabulary lacks */
  async next(rows: readonly number[]): Promise<Float32Array> {
    if (this.thread.generation !== this.generation)
      throw new HintError('INTERNAL', 'The thread of grammars was started anew; ask again.');
    const { accepted, session } = this;
    this.accepted = [];
    if (rows.length === 0) return new Float32Array(0);
    const { masks, offered } = await this.thread.ask<StepResult>({ kind: 'step', session, accepted, rows });
    for (const [i, row] of rows.entries()) {
      const piece = offered[i];
      if (piece) this.offered.set(row, piece);
      else this.offered.delete(row);
    }
    return masks;
  }

  chosen(row: number, token: number): number {
    const { eosId, unkId } = this.vocabulary;
    const piece = this.offered.get(row);
    if (piece && unkId !== undefined && (token === unkId || (token === eosId && !piece.mayEnd))) {
      this.accepted.push([row, piece.id]);
      const pieces = this.written.get(row);
      if (pieces) pieces.push(piece.text);
      else this.written.set(row, [piece.text]);
      return unkId;
    }
    if (token !== eosId) this.accepted.push([row, token]);
    return token;
  }

  /** The text of an answer's tokens: unknown ones are the pieces that were written for them. */
  text(row: number, ids: Int32Array | readonly number[]): string {
    const { texts, unkId, beginsWithSpace } = this.vocabulary;
    const pieces = this.written.get(row) ?? [];
    let at = 0;
    let text = '';
    for (const id of ids) text += id === unkId ? (pieces[at++] ?? '') : (texts[id] ?? '');
    return beginsWithSpace && text.startsWith(' ') ? text.slice(1) : text;
  }

  /** Lets the thread forget it. */
  async close(): Promise<void> {
    if (this.thread.generation !== this.generation) return;
    await this.thread.ask({ kind: 'close', session: this.session }).catch(() => undefined);
  }
}
