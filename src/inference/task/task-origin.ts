import { createPrompt, type PromptTokenizer } from '../../data/natural-instructions/prompts.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import type { TaskOrigin } from '../contract/task-metadata.js';

/** Tells tasks apart by what they were compiled from. */
export function originKey({ format, definition, examples, maxTokens }: TaskOrigin): string {
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
export function instructionIds(tokenizer: Tokenizer, origin: TaskOrigin): Int32Array | undefined {
  const { format, definition, examples, maxTokens } = origin;
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
    `The instruction has ${tokens} tokens, the limit is ${maxTokens}; shorten it, or raise the limit (maxInstructionTokens of a program).`,
  );
}

/** Tokens of an instruction that stand for pieces which the vocabulary lacks. */
export function unknownTokens(tokenizer: Tokenizer, origin: TaskOrigin): number {
  const texts = origin.examples.flatMap(({ input, output }) => [input, output]);
  const ids =
    instructionIds(tokenizer, origin) ??
    tokenizer.encode([origin.definition, ...texts].join('\n'), { addEos: false });
  // A tokenizer of bytes lacks nothing; its unknown id is another's.
  return tokenizer.unkId === tokenizer.eosId ? 0 : ids.filter((id) => id === tokenizer.unkId).length;
}

/** @throws HintError NOT_FOUND when there is none */
export function requireTokenizer(tokenizer: Tokenizer | undefined): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new HintError(
    'NOT_FOUND',
    'The model directory has no tokenizer (tokenizer.json, spiece.model, or vocab.json with merges.txt); put one there, name one with the option "tokenizer", or work with token ids.',
  );
}

/** The tokenizer as the prompt formats want it; texts are refused, not cut, when they are too long. */
export function promptTokenizer(tokenizer: Tokenizer): PromptTokenizer {
  return {
    tokenLength: (text) => tokenizer.tokenLength(text),
    truncate: (text, maxTokens) => {
      throw new HintError(
        'INVALID_ARGUMENT',
        `Instruction and input have ${tokenizer.tokenLength(text)} tokens together, the limit is ${maxTokens}; shorten them, or raise the limit (maxInstructionTokens of a program).`,
      );
    },
  };
}
