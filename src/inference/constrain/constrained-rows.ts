import { HintError } from '../../util/errors.js';
import type { RowMask, RowMasks } from '../decode/row-masks.js';
import type { ConstraintSource } from './constraint.js';
import type { GrammarSession, GrammarThread } from './grammar-thread.js';
import { LostSession } from './library-thread.js';
import type { OfferedPiece, StepResult, Vocabulary } from './messages.js';

/** Threads that may be lost under one step before it is given up. */
const MOST_LOSSES = 3;

/** Inputs whose answers follow one constraint: what each may take next, and the text that it has become. */
export class ConstrainedRows implements RowMasks {
  private readonly offered = new Map<number, OfferedPiece>();
  /** Per row the pieces that the vocabulary lacks, in order. */
  private readonly written = new Map<number, string[]>();
  /** Per row the ids that were chosen for it, with which another thread goes on where one was lost. */
  private readonly history = new Map<number, number[]>();
  /** What the thread does not know yet. */
  private accepted: (readonly [row: number, id: number])[] = [];
  private restarted: number[] = [];
  private reopening: Promise<void> | undefined;
  private isClosed = false;

  private constructor(
    private readonly thread: GrammarThread,
    private readonly vocabulary: Vocabulary,
    private readonly source: ConstraintSource,
    private readonly rows: number,
    readonly vocabSize: number,
    private session: GrammarSession,
  ) {}

  /** @throws HintError INVALID_ARGUMENT, NOT_SUPPORTED for a constraint that cannot be one, ABORTED */
  static async open(
    thread: GrammarThread,
    vocabulary: Vocabulary,
    source: ConstraintSource,
    rows: number,
    vocabSize: number,
    signal?: AbortSignal,
  ): Promise<ConstrainedRows> {
    const session = await thread.open(source, rows, signal);
    return new ConstrainedRows(thread, vocabulary, source, rows, vocabSize, session);
  }

  /** @throws HintError NOT_SUPPORTED naming what an answer needs and the vocabulary lacks */
  async next(rows: readonly number[]): Promise<Float32Array> {
    if (rows.length === 0) return new Float32Array(0);
    for (let losses = 0; ; losses++) {
      try {
        const { masks, offered } = await this.step(rows);
        for (const [i, row] of rows.entries()) {
          const piece = offered[i];
          if (piece) this.offered.set(row, piece);
          else this.offered.delete(row);
        }
        return masks;
      } catch (error) {
        if (!(error instanceof LostSession)) throw error;
        if (losses >= MOST_LOSSES)
          throw new HintError(
            'INTERNAL',
            `The thread of grammars was lost ${losses + 1} times under this answer; ask again.`,
            { cause: error },
          );
      }
    }
  }

  /** One row by itself. */
  row(row: number): RowMask {
    return {
      next: () => this.next([row]),
      chosen: (token) => this.chosen(row, token),
      restart: () => this.restart(row),
    };
  }

  chosen(row: number, token: number): number {
    const { eosId, unkId } = this.vocabulary;
    const piece = this.offered.get(row);
    if (piece && unkId !== undefined && (token === unkId || (token === eosId && !piece.mayEnd))) {
      this.accept(row, piece.id);
      const pieces = this.written.get(row);
      if (pieces) pieces.push(piece.text);
      else this.written.set(row, [piece.text]);
      return unkId;
    }
    if (token !== eosId) this.accept(row, token);
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
    this.isClosed = true;
    await this.reopening?.catch(() => undefined);
    const { number, generation } = this.session;
    await this.thread.ask({ kind: 'close', session: number }, generation).catch(() => undefined);
  }

  private accept(row: number, id: number): void {
    this.accepted.push([row, id]);
    const ids = this.history.get(row);
    if (ids) ids.push(id);
    else this.history.set(row, [id]);
  }

  private restart(row: number): void {
    this.history.delete(row);
    this.written.delete(row);
    this.offered.delete(row);
    this.accepted = this.accepted.filter(([other]) => other !== row);
    this.restarted.push(row);
  }

  private async step(rows: readonly number[]): Promise<StepResult> {
    if (this.session.generation !== this.thread.generation) await (this.reopening ??= this.reopen());
    const { accepted, restarted, session } = this;
    this.accepted = [];
    this.restarted = [];
    const request = { kind: 'step' as const, session: session.number, accepted, restarted, rows };
    return this.thread.ask<StepResult>(request, session.generation);
  }

  /** Goes on in another thread, where the last one was lost. */
  private async reopen(): Promise<void> {
    try {
      this.session = await this.thread.open(this.source, this.rows, undefined);
      this.restarted = [];
      this.accepted = [...this.history].flatMap(([row, ids]) => ids.map((id) => [row, id] as const));
      if (this.isClosed) throw new HintError('ABORTED', 'The answer was given up.');
    } finally {
      this.reopening = undefined;
    }
  }
}
