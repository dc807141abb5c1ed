import { HintError } from '../util/errors.js';
import { checked, ids, integer, list, optional, shaped, text, type Kind } from '../util/arguments.js';

/** One training or evaluation example, as token ids. Examples of a task may share one `instruction` array. */
export interface TokenizedExample {
  /** The instance's id in its dataset. */
  id: string;
  /** The task's name. */
  task: string;
  /** Hypernetwork input, with EOS where the data have one; empty when the system feeds none. */
  instruction: Int32Array;
  /** Model input, with EOS where the data have one, at least one token. */
  input: Int32Array;
  /** Target with EOS, at least one token. */
  target: Int32Array;
  /** All acceptable outputs as text, for scoring. */
  references: string[];
  /** What rank classification chooses from; absent where the dataset has no choices. */
  choices?: Choice[];
}

/** An answer that can be scored. */
export interface Choice {
  /** As the dataset writes it, for scoring. */
  text: string;
  /** With EOS, at least one token. */
  ids: Int32Array;
}

/** How many examples may be drawn at once. */
export const DRAWN = integer(0, 1 << 24);

/** Examples, as the data readers give them. */
export const EXAMPLES: Kind<TokenizedExample[]> = list(
  shaped<TokenizedExample>(
    {
      id: text,
      task: text,
      instruction: ids,
      input: ids,
      target: ids,
      references: list(text),
      choices: optional(list(shaped<Choice>({ text, ids }, 'an object { text, ids }'))),
    },
    'a tokenised example, an object { id, task, instruction, input, target, references }',
  ),
);

/** Sequences laid end to end: sequence i is `ids[offsets[i] … offsets[i+1])`. Nothing is padded. */
export interface Ragged {
  /** Token ids of all sequences, one after the other. */
  ids: Int32Array;
  /** Length = number of sequences + 1, starts at 0. */
  offsets: Int32Array;
}

/** A batch, or a microbatch, ordered by task. */
export interface RaggedBatch {
  /** The DISTINCT instructions; no row at all when the system feeds none. */
  instructions: Ragged;
  /** One row per example. */
  inputs: Ragged;
  /** One row per example. */
  targets: Ragged;
  /** Per example the row of its instruction, nondecreasing; all 0 without instructions. */
  taskIndex: Int32Array;
  /** The examples in the order of the rows. */
  examples: TokenizedExample[];
}

/**
 * Lays examples end to end. Examples with the same instruction come next to each other, the instructions in the
 * order of their first example, and examples of one instruction in the order given.
 *
 * @throws HintError `INVALID_ARGUMENT` for no examples; `INVALID_DATA` when an input or a target has no token, or
 *   only some of the examples have an instruction
 */
export function buildBatch(examples: readonly TokenizedExample[]): RaggedBatch {
  checked(EXAMPLES, examples, 'examples');
  if (examples.length === 0)
    throw new HintError('INVALID_ARGUMENT', 'A batch needs at least one example; 0 were given.');
  for (const example of examples) checkExample(example, examples[0]!);
  const rows = new InstructionRows();
  const rowOf = examples.map((example) =>
    example.instruction.length > 0 ? rows.row(example.instruction) : 0,
  );
  const order = examples.map((_, i) => i).sort((a, b) => rowOf[a]! - rowOf[b]! || a - b);
  const ordered = order.map((i) => examples[i]!);
  return {
    instructions: concatenate(rows.distinct),
    inputs: concatenate(ordered.map(({ input }) => input)),
    targets: concatenate(ordered.map(({ target }) => target)),
    taskIndex: Int32Array.from(order, (i) => rowOf[i]!),
    examples: ordered,
  };
}

/** Lays sequences end to end. */
export function concatenate(sequences: readonly Int32Array[]): Ragged {
  const offsets = new Int32Array(sequences.length + 1);
  sequences.forEach((sequence, i) => (offsets[i + 1] = offsets[i]! + sequence.length));
  const ids = new Int32Array(offsets[sequences.length]!);
  sequences.forEach((sequence, i) => ids.set(sequence, offsets[i]!));
  return { ids, offsets };
}

/** The sequences of {@link concatenate}, as windows of its ids. */
export function sequencesOf({ ids, offsets }: Ragged): Int32Array[] {
  return Array.from({ length: offsets.length - 1 }, (_, i) => ids.subarray(offsets[i], offsets[i + 1]));
}

/**
 * Refuses ids a model has no embedding for.
 *
 * @param vocabSize rows of the model's embedding
 * @throws HintError `INVALID_TOKEN` naming the first bad id and its position
 */
export function checkTokenIds(ids: Int32Array | readonly number[], vocabSize: number): void {
  const position = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (position < 0) return;
  throw new HintError(
    'INVALID_TOKEN',
    `Token id ${ids[position]} at position ${position} is outside the model's vocabulary of ${vocabSize}; use the tokenizer that belongs to the model.`,
  );
}

/** Numbers instructions by content; most are recognised by identity, without reading them. */
export class InstructionRows {
  readonly distinct: Int32Array[] = [];
  private readonly byIdentity = new Map<Int32Array, number>();
  private readonly byContent = new Map<string, number>();

  /** The row of an instruction, a new one at its first appearance. */
  row(instruction: Int32Array): number {
    let row = this.byIdentity.get(instruction);
    if (row !== undefined) return row;
    const { buffer, byteOffset, byteLength } = instruction;
    const content = Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
    row = this.byContent.get(content);
    if (row === undefined) {
      row = this.distinct.push(instruction) - 1;
      this.byContent.set(content, row);
    }
    this.byIdentity.set(instruction, row);
    return row;
  }
}

function checkExample(example: TokenizedExample, first: TokenizedExample): void {
  for (const part of ['input', 'target'] as const) {
    if (example[part].length > 0) continue;
    throw new HintError(
      'INVALID_DATA',
      `Example ${example.id} has an ${part === 'input' ? '' : 'output as '}${part} of 0 tokens; encode an empty text as [EOS].`,
    );
  }
  if (example.instruction.length > 0 === first.instruction.length > 0) return;
  throw new HintError(
    'INVALID_DATA',
    `Examples ${first.id} and ${example.id} cannot share a batch: one has an instruction, the other has none; format all examples for the same system.`,
  );
}
