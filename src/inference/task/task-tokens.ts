import { createPrompt } from '../../data/natural-instructions/prompts.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { HintError } from '../../util/errors.js';
import type { TaskOrigin } from '../contract/task-metadata.js';
import { promptTokenizer, requireTokenizer } from './task-origin.js';

/** Most tokens of an input or an output unless options say otherwise: what the systems are trained on. */
const MOST_TOKENS = 1024;

/** Token ids of a task's inputs and outputs. */
export class TaskTokens {
  private formatInput: ((input: string) => string) | undefined;

  constructor(
    private readonly tokenizer: Tokenizer | undefined,
    private readonly origin: TaskOrigin | undefined,
    private readonly inputPrefix: Int32Array,
  ) {}

  /** Several {@link input}s; the event loop turns in between. Those behind an abort are left out. */
  async inputs(
    inputs: readonly (string | Int32Array)[],
    maxTokens: number | undefined,
    signal: AbortSignal,
  ): Promise<Int32Array[]> {
    const ids: Int32Array[] = [];
    const breathe = createYielder();
    for (const input of inputs) {
      const pause = breathe();
      if (pause) await pause;
      if (signal.aborted) break;
      ids.push(this.input(input, maxTokens, ids.length));
    }
    return ids;
  }

  /**
   * An input as the model reads it.
   *
   * @param index for error messages
   * @throws HintError INVALID_ARGUMENT (too long, ids where only texts go), INVALID_DATA (an empty text), NOT_FOUND
   */
  input(input: string | Int32Array, maxTokens = MOST_TOKENS, index = 0): Int32Array {
    const own = typeof input === 'string' ? this.encodeText(input, index) : this.checkIds(input);
    // A text that holds the instruction too has its own budget, checked when it is made.
    if (own.length > maxTokens && this.origin?.format !== 'tk-instruct') {
      throw new HintError(
        'INVALID_ARGUMENT',
        `Input number ${index} has ${own.length} tokens, the limit is ${maxTokens}; shorten it or raise maxInputTokens.`,
      );
    }
    return this.inputPrefix.length > 0 ? Int32Array.of(...this.inputPrefix, ...own) : own;
  }

  /**
   * An output as the model is to write it.
   *
   * @param index for error messages
   * @throws HintError INVALID_ARGUMENT (too long), INVALID_DATA (no token), NOT_FOUND
   */
  output(output: string | Int32Array, maxTokens = MOST_TOKENS, index = 0): Int32Array {
    const ids = typeof output === 'string' ? requireTokenizer(this.tokenizer).encode(output) : output;
    if (ids.length === 0) {
      throw new HintError(
        'INVALID_DATA',
        `Output number ${index} has no token; give at least the end-of-sequence token.`,
      );
    }
    if (ids.length <= maxTokens) return ids;
    throw new HintError(
      'INVALID_ARGUMENT',
      `Output number ${index} has ${ids.length} tokens, the limit is ${maxTokens}; shorten it or raise maxOutputTokens.`,
    );
  }

  private encodeText(input: string, index: number): Int32Array {
    const tokenizer = requireTokenizer(this.tokenizer);
    if (input.trim() === '') {
      throw new HintError('INVALID_DATA', `Input number ${index} is empty; give a text.`);
    }
    this.formatInput ??= this.origin
      ? createPrompt(
          { definition: this.origin.definition, positiveExamples: this.origin.examples },
          { format: this.origin.format, positives: this.origin.examples.length },
          promptTokenizer(tokenizer),
          this.origin.maxTokens,
        ).formatInput
      : (text) => text;
    return tokenizer.encode(this.formatInput(input));
  }

  private checkIds(input: Int32Array): Int32Array {
    const format = this.origin?.format;
    if (format !== 'tk-instruct' && format !== 'hint-mimic') return input;
    throw new HintError(
      'INVALID_ARGUMENT',
      `This task writes its inputs into the text of the ${format} format; give inputs as strings, not as token ids.`,
    );
  }
}
