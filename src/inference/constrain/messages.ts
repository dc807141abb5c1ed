import type { HintErrorCode } from '../../util/errors.js';
import type { ConstraintSource } from './constraint.js';

/** The vocabulary that answers are written in, as the thread of grammars gets it. */
export interface Vocabulary {
  /** Per id its text behind others; empty for special tokens and parts of characters, which no constrained answer has. */
  readonly texts: readonly string[];
  readonly eosId: number;
  /** Stands for a piece that the vocabulary lacks; undefined where it has none. */
  readonly unkId: number | undefined;
  /** Whether a space in front of the first piece is part of how answers are written, and not of their text. */
  readonly beginsWithSpace: boolean;
}

/** What a thread of grammars is asked. */
export type GrammarRequest =
  | { readonly kind: 'rules'; readonly source: ConstraintSource }
  | {
      readonly kind: 'open';
      readonly source: ConstraintSource;
      /** Of the source, as the request for them is answered. */
      readonly rules: string;
      readonly rows: number;
    }
  | {
      readonly kind: 'step';
      readonly session: number;
      /** Rows with the ids that were chosen for them since the last step. */
      readonly accepted: readonly (readonly [row: number, id: number])[];
      /** Rows that go on. */
      readonly rows: readonly number[];
      /** Rows that began again, before what was chosen for them. */
      readonly restarted: readonly number[];
    }
  | { readonly kind: 'close'; readonly session: number };

/** A piece that the vocabulary lacks, and that comes next if a row's token is the unknown one, or ends the answer too early. */
export interface OfferedPiece {
  readonly id: number;
  readonly text: string;
  /** Whether the answer may end here, so that its end is one. */
  readonly mayEnd: boolean;
}

export interface StepResult {
  /** [rows, vocabulary]: 0 or FORBIDDEN. */
  readonly masks: Float32Array;
  /** Per row the piece that can come. */
  readonly offered: readonly (OfferedPiece | undefined)[];
}

/** An answer of the thread, to the request of this number. */
export type GrammarReply = { readonly number: number } & (
  | { readonly result: unknown }
  | {
      readonly code: HintErrorCode;
      readonly message: string;
      /** Whether the library may no longer be used after it. */
      readonly isBroken: boolean;
    }
);
