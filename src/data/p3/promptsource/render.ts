import { HintError } from '../../../util/errors.js';
import { JinjaTemplate, type RenderedPart } from './jinja.js';
import type { PromptTemplate } from './templates.js';

/** What a template makes of a row: the fields of a line of P3 data that depend on both. */
export interface RenderedPrompt {
  /** What a T0 model reads (the joint form and T0). */
  readonly prompt: string;
  readonly target: string;
  readonly choices: readonly string[] | undefined;
  /** The prompt with `[NAME]` for each field, and the fields' texts in its order (the split form). */
  readonly instruction: string;
  readonly fields: Readonly<Record<string, string>>;
}

const SEPARATOR = '|||';
// Longest text of one output, as in promptsource.
const LONGEST = 2048;
// A noncharacter of Unicode, for the separator in the texts of rows while prompt and target are one text.
const PROTECTED = '\uFDD3';

/** A promptsource template that turns rows of its dataset into prompted examples (method §8.1, method §8.3). */
export class PromptRenderer {
  private readonly prompt: JinjaTemplate;
  private readonly answers: JinjaTemplate | undefined;
  /** The answers, where they are the same for every row. */
  readonly fixedChoices: readonly string[] | undefined;

  /** @throws HintError INVALID_DATA for a template that cannot be parsed or has no separator */
  constructor(readonly template: PromptTemplate) {
    const where = `The template "${template.name}"`;
    if (!template.jinja.includes(SEPARATOR))
      throw new HintError(
        'INVALID_DATA',
        `${where} has no ${SEPARATOR} between prompt and target; put one there.`,
      );
    const { answerChoices } = template;
    if (answerChoices !== undefined)
      this.answers = new JinjaTemplate(answerChoices, { where: `${where}, in its answer choices,` });
    const ofRow = this.answers?.dependsOnRow ?? false;
    this.prompt = new JinjaTemplate(template.jinja, {
      where,
      longest: LONGEST,
      given: new Map([['answer_choices', ofRow]]),
    });
    if (this.answers && !ofRow) this.fixedChoices = choicesIn(this.answers.render({}, () => 0));
  }

  /**
   * @param row the fields of a row of the raw dataset
   * @param random uniform in [0, 1), for templates that draw their wording
   * @returns undefined where the template gives the row no prompt, or no target
   * @throws HintError INVALID_DATA for a row without a field that the template reads, or where the template fails
   */
  render(row: Readonly<Record<string, unknown>>, random: () => number): RenderedPrompt | undefined {
    if (Object.hasOwn(row, 'answer_choices'))
      throw new HintError(
        'INVALID_DATA',
        'The row has a field "answer_choices", which is the name of a template\'s answers; rename it.',
      );
    const own = protectedRow(row);
    const choices = this.fixedChoices ?? (this.answers && choicesIn(this.answers.render(own, random)));
    const answers = choices?.map((choice) => choice.replaceAll(SEPARATOR, PROTECTED)) ?? null;
    const parts = splitAtSeparator(this.prompt.render({ ...own, answer_choices: answers }, random));
    const [prompt, target] = parts.map(trimmed);
    if (parts.length !== 2 || !prompt || !target) return undefined;
    return { prompt: textOf(prompt), target: textOf(target), choices, ...splitForm(prompt) };
  }
}

/** The row with P3's names of fields, and with its separators out of the way. */
function protectedRow(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([key, value]) => [
      key.replaceAll('-', '_'),
      typeof value === 'string'
        ? value.replaceAll(PROTECTED, '\uFFFD').replaceAll(SEPARATOR, PROTECTED)
        : value,
    ]),
  );
}

function restored(text: string): string {
  return text.replaceAll(PROTECTED, SEPARATOR);
}

function textOf(segments: readonly RenderedPart[]): string {
  return restored(segments.map(({ text }) => text).join(''));
}

function choicesIn(segments: readonly RenderedPart[]): string[] {
  return segments
    .map(({ text }) => text)
    .join('')
    .split(SEPARATOR)
    .map((choice) => restored(choice).trim());
}

function splitAtSeparator(segments: readonly RenderedPart[]): RenderedPart[][] {
  const parts: RenderedPart[][] = [[]];
  for (const segment of segments) {
    for (const [i, text] of segment.text.split(SEPARATOR).entries()) {
      if (i > 0) parts.push([]);
      parts.at(-1)?.push({ ...segment, text });
    }
  }
  return parts;
}

/** Without white space at the ends of the whole. */
function trimmed(segments: readonly RenderedPart[]): RenderedPart[] {
  const kept = segments.map((segment) => ({ ...segment }));
  for (const segment of kept) if ((segment.text = segment.text.trimStart()) !== '') break;
  for (const segment of kept.toReversed()) if ((segment.text = segment.text.trimEnd()) !== '') break;
  return kept;
}

/** A field that stands in the prompt again keeps its name; another text of the same name gets a number. */
function splitForm(segments: readonly RenderedPart[]): Pick<RenderedPrompt, 'instruction' | 'fields'> {
  const fields: Record<string, string> = {};
  let instruction = '';
  for (const segment of segments) {
    if (!('field' in segment)) {
      instruction += restored(segment.text);
      continue;
    }
    const text = restored(segment.text);
    let name = segment.field;
    for (let i = 2; Object.hasOwn(fields, name) && fields[name] !== text; i++) name = `${segment.field}_${i}`;
    fields[name] = text;
    instruction += `[${name}]`;
  }
  return { instruction, fields };
}
