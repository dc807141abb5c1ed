import { HintError } from '../../util/errors.js';
import type { SniDemonstration } from './tasks.js';

/** The token budget of an instruction or a source, EOS included (method §7.2, method §7.3). */
export const PROMPT_TOKENS = 1024;

const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/;
const PYTHON_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/**
 * How a task is shown to a system. `hint`: the instruction goes to the hypernetwork and the model sees the bare
 * input; `hint-mimic`: the same split of the baseline's own text; `causal`: that text cut where nothing of it changes, for
 * decoder-only models, which run its first part once per task; `tk-instruct`: everything is in the input;
 * `no-instruct`: the input alone.
 */
export type PromptFormat = (typeof PROMPT_FORMATS)[number];
export const PROMPT_FORMATS = ['hint', 'hint-mimic', 'causal', 'tk-instruct', 'no-instruct'] as const;

/** A format and the number of positive examples in it: `Def` is 0, `Def + 2 Pos` is 2. */
export interface PromptSetting {
  /** What becomes instruction, and what input. */
  format: PromptFormat;
  /** Worked examples in front of the input, from 0; a task with fewer shows all it has. */
  positives: number;
}

/** What a prompt is made from. */
export interface PromptTask {
  definition: string;
  positiveExamples: readonly Pick<SniDemonstration, 'input' | 'output'>[];
}

/** The tokenizer as the formats need it. */
export interface PromptTokenizer {
  /** Number of tokens of a text, EOS included. */
  tokenLength(text: string): number;
  /** The text of the first `maxTokens` tokens (EOS counted), special tokens left out. */
  truncate(text: string, maxTokens: number): string;
}

/**
 * The function that formats the inputs of one task; what does not depend on the input is done once.
 *
 * @param tokenizer measures the budget
 * @param maxTokens the budget, EOS included
 * @returns `instruction`, null when the format has none, and `formatInput`
 * @throws HintError `INVALID_ARGUMENT` when the number of positive examples is not one the format has
 */
export function createPrompt(
  task: PromptTask,
  setting: PromptSetting,
  tokenizer: PromptTokenizer,
  maxTokens = PROMPT_TOKENS,
): { instruction: string | null; formatInput: (input: string) => string } {
  const { format, positives } = setting;
  checkPromptSetting(setting);
  switch (format) {
    case 'hint':
      return {
        instruction:
          positives === 0
            ? hintDefinition(task.definition)
            : hintDefinitionWithPositives(task, positives, (text) => tokenizer.tokenLength(text), maxTokens),
        formatInput: (input) => input,
      };
    case 'hint-mimic':
      return { instruction: mimicInstruction(task.definition), formatInput: mimicInput };
    case 'causal':
      return {
        instruction: causalInstruction(task, positives, (text) => tokenizer.tokenLength(text), maxTokens),
        formatInput: causalInput,
      };
    case 'tk-instruct':
      return {
        instruction: null,
        formatInput: (input) => tkInstructPrompt(task, positives, input, tokenizer, maxTokens),
      };
    case 'no-instruct':
      return { instruction: null, formatInput: (input) => input };
  }
}

/** @throws HintError `INVALID_ARGUMENT` for an unknown format or a number of positives it cannot have */
export function checkPromptSetting({ format, positives }: PromptSetting): void {
  if (!['hint', 'hint-mimic', 'causal', 'tk-instruct', 'no-instruct'].includes(format))
    throw new HintError(
      'INVALID_ARGUMENT',
      `No prompt format ${JSON.stringify(format)}; there are hint, hint-mimic, causal, tk-instruct and no-instruct.`,
    );
  if (!Number.isInteger(positives) || positives < 0)
    throw new HintError(
      'INVALID_ARGUMENT',
      `positives is ${positives}; give an integer ≥ 0 (the paper uses 0 and 2).`,
    );
  if (positives > 0 && (format === 'no-instruct' || format === 'hint-mimic'))
    throw new HintError(
      'INVALID_ARGUMENT',
      `The format ${format} has no positive examples, ${positives} were asked for; give positives: 0.`,
    );
}

/** Def (method §7.2): the definition alone, without a marker. */
export function hintDefinition(definition: string): string {
  return strip(definition);
}

/**
 * Def + k Pos (method §7.2): examples are prepended, so that the text ends in the definition and begins with the last
 * example; one that does not fit is left out and the next is tried.
 */
export function hintDefinitionWithPositives(
  task: PromptTask,
  positives: number,
  tokenLength: (text: string) => number,
  maxTokens = PROMPT_TOKENS,
): string {
  let instruction = `Definition: ${task.definition}`;
  task.positiveExamples.slice(0, positives).forEach((example, i) => {
    const block = positiveExample(example, i + 1);
    if (tokenLength(instruction + block) <= maxTokens) instruction = block + instruction;
  });
  return instruction;
}

/** Mimic (method §7.2): the part of the baseline's Def text in front of the task block. */
export function mimicInstruction(definition: string): string {
  return `${dot(`Definition: ${strip(definition)}`)}\n\n`;
}

/** Mimic (method §7.2): the rest of the baseline's text. */
export function mimicInput(input: string): string {
  return `${dot(`Now complete the following example -\nInput: ${strip(input)}`)}\nOutput: `;
}

/**
 * The baseline's whole prompt (method §7.3). Examples are added while they fit and no further one is tried; a prompt that
 * is too long without any is cut to its first `maxTokens` tokens.
 */
export function tkInstructPrompt(
  task: PromptTask,
  positives: number,
  input: string,
  tokenizer: PromptTokenizer,
  maxTokens = PROMPT_TOKENS,
): string {
  const definition = mimicInstruction(task.definition);
  const rest = mimicInput(input);
  const examples: string[] = [];
  for (const example of task.positiveExamples.slice(0, positives)) {
    const text = `${positiveExample(example, examples.length + 1)}\n`;
    if (tokenizer.tokenLength(definition + examples.join(' ') + text + rest) > maxTokens) break;
    examples.push(text);
  }
  const source = strip(definition + examples.join('') + rest);
  return tokenizer.tokenLength(source) <= maxTokens ? source : tokenizer.truncate(source, maxTokens);
}

/**
 * The source up to the instance (method §7.3): definition and examples, as many as fit whatever the input, without the white
 * space at the end.
 * With {@link causalInput} behind it, it is the baseline's source to the letter where that has the same examples.
 */
export function causalInstruction(
  task: PromptTask,
  positives: number,
  tokenLength: (text: string) => number,
  maxTokens = PROMPT_TOKENS,
): string {
  let instruction = mimicInstruction(task.definition);
  for (const [i, example] of task.positiveExamples.slice(0, positives).entries()) {
    const next = `${instruction}${positiveExample(example, i + 1)}\n`;
    if (tokenLength(strip(next)) > maxTokens) break;
    instruction = next;
  }
  return strip(instruction);
}

/**
 * The source from the instance on (method §7.3). It begins with the white space between: byte-level BPE never joins a word
 * with what is in front of white space, so that the two parts have the tokens of the whole.
 */
export function causalInput(input: string): string {
  return `\n\n${strip(mimicInput(input))}`;
}

/** One example block; the leading spaces are the original's. */
function positiveExample({ input, output }: { input: string; output: string }, number: number): string {
  const question = dot(` Positive Example ${number} -\nInput: ${strip(input)}`);
  return `${dot(`${question}\n Output: ${strip(output)}`)}\n`;
}

/** Ends a text in a full stop unless it ends in one of the 32 ASCII punctuation marks. */
function dot(text: string): string {
  return ASCII_PUNCTUATION.test(text.at(-1) ?? '') ? text : `${text}.`;
}

/** Python's `str.strip()`, whose white space is not quite that of `String.trim()` (U+0085, U+001C–1F, not U+FEFF). */
function strip(text: string): string {
  let end = text.length;
  // A loop, because a pattern anchored at the end is quadratic on long runs of inner spaces.
  while (end > 0 && PYTHON_SPACE.test(text[end - 1]!)) end--;
  let start = 0;
  while (start < end && PYTHON_SPACE.test(text[start]!)) start++;
  return text.slice(start, end);
}
