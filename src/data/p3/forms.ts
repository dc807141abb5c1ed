import { HintError } from '../../util/errors.js';
import type { P3Row } from './format.js';

/**
 * How a P3 prompt is shown to a system (method §8.3). `joint`: the hypernetwork reads the template's text, the model
 * the whole prompt; `split`: the same text, but the model reads the instance's fields alone; `t0`: the model reads
 * the whole prompt and there is no instruction; `no-prompt`: the model reads the fields alone.
 */
export type P3Form = (typeof P3_FORMS)[number];
export const P3_FORMS = ['joint', 'split', 't0', 'no-prompt'] as const;

/** A form and the number of worked examples in front of it. */
export interface P3Setting {
  /** Who reads the template's text, and who the instance. */
  form: P3Form;
  /** The paper uses 0, 1, 2, 4 and 5. */
  shots: number;
}

/** Token limits of P3 (method §8.2); there is no EOS on instruction and input. */
export const P3_LIMITS = { maxInstructionTokens: 512, maxInputTokens: 1024, maxTargetTokens: 256 } as const;

// Shots and the query's input share this many tokens (method §8.4).
const SHOT_BUDGET = 960;

/** The texts of one example; `instruction` is null where the form has none. */
export interface P3Prompt {
  instruction: string | null;
  input: string;
}

/** @throws HintError INVALID_ARGUMENT for an unknown form or a number of shots it cannot have */
export function checkP3Setting({ form, shots }: P3Setting): void {
  if (!['joint', 'split', 't0', 'no-prompt'].includes(form))
    throw new HintError(
      'INVALID_ARGUMENT',
      `No P3 form ${JSON.stringify(form)}; there are joint, split, t0 and no-prompt.`,
    );
  if (!Number.isInteger(shots) || shots < 0)
    throw new HintError('INVALID_ARGUMENT', `shots is ${shots}; give an integer ≥ 0 (the paper goes to 5).`);
  if (shots > 0 && form === 'no-prompt')
    throw new HintError(
      'INVALID_ARGUMENT',
      `The form no-prompt has no worked examples, ${shots} were asked for; give shots: 0.`,
    );
}

/** Whether a form needs the row's fields, which not every row has. */
export function needsFields(form: P3Form): boolean {
  return form === 'split' || form === 'no-prompt';
}

/** The template's text as the hypernetwork reads it: every `[NAME]` of a field becomes `[MASK]` (method §8.3). */
export function maskFields(instruction: string): string {
  return instruction.replace(/\[[A-Za-z0-9_]+\]/g, '[MASK]');
}

/** The instance alone: its fields in the order of the prompt, numbered from 1 (method §8.3, a reconstruction). */
export function fieldLines(fields: Readonly<Record<string, string>>): string {
  return Object.values(fields)
    .map((value, i) => `[${i + 1}]: ${value}\n`)
    .join('');
}

/**
 * One row in a form, without shots; undefined for a row that lacks what the form needs: its fields, or a text of its
 * template.
 *
 * @param templateText what the template's text is when the row has none of its own
 */
export function formatP3Row(
  row: P3Row,
  form: P3Form,
  templateText: string | undefined,
): P3Prompt | undefined {
  if (needsFields(form) && row.fields === undefined) return undefined;
  const input = needsFields(form) ? fieldLines(row.fields ?? {}) : row.prompt;
  if (form === 't0' || form === 'no-prompt') return { instruction: null, input };
  const text = row.instruction ?? templateText;
  return text === undefined ? undefined : { instruction: maskFields(text), input };
}

/** A worked example: what the model would read and write. */
export interface P3Shot {
  input: string;
  target: string;
}

/**
 * Puts worked examples in front of a prompt (method §8.4): of the instruction where there is one, of the input else.
 * Shots are taken in order as long as they and the query's input have at most 960 tokens together.
 *
 * @param countTokens tokens of a text, no EOS
 */
export function prependShots(
  prompt: P3Prompt,
  shots: readonly P3Shot[],
  countTokens: (text: string) => number,
): P3Prompt {
  let left = SHOT_BUDGET - countTokens(prompt.input);
  let text = '';
  for (const { input, target } of shots) {
    const shot = `${input} Output: ${target}\n\n`;
    left -= countTokens(shot);
    if (left < 0) break;
    text += shot;
  }
  text += ' Definition: ';
  return prompt.instruction === null
    ? { instruction: null, input: text + prompt.input }
    : { instruction: text + prompt.instruction, input: prompt.input };
}
