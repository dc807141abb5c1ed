import { createPrompt } from '../../data/natural-instructions/prompts.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import { promptTokenizer, type TaskSource } from './task.js';

/** Tells tasks apart by what they were compiled from. */
export function sourceKey({ format, definition, examples, maxTokens }: TaskSource): string {
  return JSON.stringify([
    format,
    definition,
    examples.map(({ input, output }) => [input, output]),
    maxTokens,
  ]);
}

/**
 * The instruction that a task is compiled from, as token ids with the end-of-sequence id; undefined where its format has
 * none apart from the input.
 *
 * @throws HintError INVALID_ARGUMENT for one beyond its budget, or examples that its format does not have
 */
export function instructionIds(tokenizer: Tokenizer, source: TaskSource): Int32Array | undefined {
  const { format, definition, examples, maxTokens } = source;
  const { instruction } = createPrompt(
    { definition, positiveExamples: examples },
    { format, positives: examples.length },
    promptTokenizer(tokenizer),
    maxTokens,
  );
  const ids = instruction === null ? undefined : tokenizer.encode(instruction);
  const tokens = ids?.length ?? tokenizer.tokenLength(definition);
  if (tokens <= maxTokens) return ids;
  throw new HintError(
    'INVALID_ARGUMENT',
    `The instruction has ${tokens} tokens, the limit is ${maxTokens}; shorten it or raise maxInstructionTokens.`,
  );
}
