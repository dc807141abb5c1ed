import type { Task } from '../../inference/task/task.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { ApiError } from '../http/errors.js';
import type { Instruction, Served } from './served.js';

/**
 * Most characters of a token that a text may have on average. Longer texts are refused unread: tokenising a megabyte takes a
 * second, in which nobody else is answered.
 */
const MOST_CHARACTERS_PER_TOKEN = 32;

/** @throws ApiError 400 for a text that is too long to be counted */
export function checkCharacters(which: string, characters: number, tokens: number): void {
  const most = tokens * MOST_CHARACTERS_PER_TOKEN;
  if (characters <= most) return;
  throw new ApiError(
    400,
    `${which} has ${characters} characters, and the limit of this server is ${tokens} tokens, of at most ${most} characters; shorten it.`,
    { code: 'context_length_exceeded' },
  );
}

/** @throws ApiError 400 for an instruction that is too long to be counted, or has too many examples */
export function checkInstruction({ limits }: Served, { definition, examples }: Instruction): void {
  if (examples.length > limits.examples)
    throw new ApiError(
      400,
      `The instruction has ${examples.length} examples, the limit is ${limits.examples}; give fewer.`,
      { code: 'too_many_examples' },
    );
  const characters = examples.reduce(
    (total, { input, output }) => total + input.length + output.length,
    definition.length,
  );
  checkCharacters('The instruction', characters, limits.instructionTokens);
}

/** @returns the tokens of all @throws ApiError 400 for one that is too long, or empty */
export async function countInputs(
  { limits }: Served,
  task: Task,
  inputs: readonly string[],
): Promise<number> {
  const breathe = createYielder();
  let total = 0;
  for (const [i, input] of inputs.entries()) {
    const pause = breathe();
    if (pause) await pause;
    const which = inputs.length === 1 ? 'The input' : `Input number ${i}`;
    checkCharacters(which, input.length, limits.inputTokens);
    if (input.trim() === '')
      throw new ApiError(400, `${which} is empty; give a text.`, { code: 'empty_input' });
    const tokens = task.inputTokens(input);
    // A text that holds the instruction too has its own budget.
    if (tokens > limits.inputTokens && task.origin?.format !== 'tk-instruct') {
      throw new ApiError(
        400,
        `${which} has ${tokens} tokens, the limit of this server is ${limits.inputTokens}; shorten it.`,
        { code: 'context_length_exceeded' },
      );
    }
    total += tokens;
  }
  return total;
}
