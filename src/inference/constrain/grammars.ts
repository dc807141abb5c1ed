import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { throwIfAborted } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { ConstrainedRows } from './constrained-rows.js';
import { sourceOf, type Constraint } from './constraint.js';
import { GrammarThread } from './grammar-thread.js';
import type { Vocabulary } from './messages.js';

/** Constraints of an engine's answers. */
export class Grammars {
  private opening: Promise<{ thread: GrammarThread; vocabulary: Vocabulary }> | undefined;
  private isClosed = false;

  /** @param vocabSize logits of a row: ids of the tokenizer, and those that the model has beyond */
  constructor(private readonly vocabSize: number) {}

  /**
   * Begins answers that follow a constraint, one per input.
   *
   * @param tokenizer the engine's, always the same
   * @returns to be closed by the caller
   * @throws HintError INVALID_ARGUMENT for a constraint that cannot be one, ABORTED
   */
  async open(
    tokenizer: Tokenizer,
    constraint: Constraint,
    rows: number,
    signal: AbortSignal | undefined,
  ): Promise<ConstrainedRows> {
    const source = sourceOf(constraint);
    this.opening ??= this.prepare(tokenizer);
    const { thread, vocabulary } = await this.opening;
    throwIfAborted(signal);
    return ConstrainedRows.open(thread, vocabulary, source, rows, this.vocabSize, signal);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await (await this.opening)?.thread.close();
  }

  private async prepare(tokenizer: Tokenizer): Promise<{ thread: GrammarThread; vocabulary: Vocabulary }> {
    const vocabulary = await vocabularyOf(tokenizer, this.vocabSize);
    const thread = new GrammarThread(vocabulary);
    if (this.isClosed) await thread.close();
    return { thread, vocabulary };
  }
}

/** What each id writes behind other text: a special token nothing, a part of a character nothing that could be told. */
async function vocabularyOf(tokenizer: Tokenizer, vocabSize: number): Promise<Vocabulary> {
  const { eosId, unkId } = tokenizer;
  const breathe = createYielder();
  const [probe = 0] = tokenizer.encode('a', { addEos: false });
  const before = tokenizer.decode([probe]).length;
  const texts: string[] = [];
  for (let id = 0; id < vocabSize; id++) {
    const pause = breathe();
    if (pause) await pause;
    const text = id < tokenizer.vocabSize ? tokenizer.decode([probe, id]).slice(before) : '';
    texts.push(text.includes('\ufffd') ? '' : text);
  }
  const spaced = texts.findIndex((text) => /^ \w/.test(text));
  const beginsWithSpace = spaced >= 0 && !tokenizer.decode([spaced]).startsWith(' ');
  return { texts, eosId, unkId: unkId === eosId ? undefined : unkId, beginsWithSpace };
}
