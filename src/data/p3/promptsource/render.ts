import { withoutPause, type Pausing } from '../../../formats/jinja/execute.js';
import { copyOf } from '../../../formats/jinja/json.js';
import { leadingSpace, stripped, trailingSpace } from '../../../formats/jinja/python/characters.js';
import { List, type Value } from '../../../formats/jinja/python/values.js';
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

/** Why a template gives a row no example though it can be rendered. */
export type NoExample = 'no |||' | 'more than one |||' | 'empty prompt' | 'empty target';

const SEPARATOR = '|||';
// Longest text of one output, as in promptsource.
const LONGEST = 2048;
// What promptsource puts for the separator in the texts of rows while prompt and target are one text. It counts where a
// template counts characters, so it is the same here.
const PROTECTED = '3ed2dface8203c4c9dfb1a5dc58e41e0';

/** A promptsource template that turns rows of its dataset into prompted examples (method §8.1, method §8.3). */
export class PromptRenderer {
  private readonly prompt: JinjaTemplate;
  private readonly answers: JinjaTemplate | undefined;
  /** The answers, where they are the same for every row. */
  readonly fixedChoices: readonly string[] | undefined;

  /** @throws HintError INVALID_DATA for a template that cannot be read or has no separator, LIMIT_EXCEEDED */
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
    if (this.answers && !ofRow) this.fixedChoices = choicesIn(this.answers.render(new Map(), () => 0));
  }

  /** Columns of the row that the template reads. */
  get columns(): ReadonlySet<string> {
    return new Set([...this.prompt.fields, ...(this.answers?.fields ?? [])]);
  }

  /**
   * The instruction without a row, where prompts are known and their rows are not: every column holds its own name, so
   * that a template with branches has one of them.
   *
   * @returns undefined where the template cannot be rendered so
   */
  instructionWithoutRow(): string | undefined {
    const columns = [...this.columns].filter((name) => name !== 'answer_choices');
    const row = new Map<string, Value>(columns.map((name) => [name, name]));
    row.set('answer_choices', this.answers ? new List([...(this.fixedChoices ?? ['answer_choices'])]) : null);
    const parts: RenderedPart[] = [];
    try {
      this.prompt.render(row, () => 0, parts);
    } catch (cause) {
      if (!(cause instanceof HintError)) throw cause;
    }
    // What fails is mostly the target, which looks its answer up by a label.
    const [prompt = [], ...target] = splitAtSeparator(parts).map(trimmed);
    return target.length > 0 && prompt.length > 0 ? splitForm(prompt).instruction : undefined;
  }

  /**
   * @param row the fields of a row of the raw dataset
   * @param random uniform in [0, 1), for templates that draw their wording
   * @returns why there is no example where the template gives the row no prompt, or no target
   * @throws HintError INVALID_DATA where the template fails, LIMIT_EXCEEDED
   */
  render(row: ReadonlyMap<string, Value>, random: () => number): RenderedPrompt | NoExample {
    return withoutPause(this.renderInPauses(row, random));
  }

  /** {@link render} with pauses, in which others can have a turn. */
  *renderInPauses(
    row: ReadonlyMap<string, Value>,
    random: () => number,
  ): Pausing<RenderedPrompt | NoExample> {
    if (row.has('answer_choices'))
      throw new HintError(
        'INVALID_DATA',
        'The row has a field "answer_choices", which is the name of a template\'s answers; rename it.',
      );
    const own = protectedRow(row);
    const choices =
      this.fixedChoices ?? (this.answers && choicesIn(yield* this.answers.renderInPauses(own, random)));
    own.set('answer_choices', choices ? new List([...choices]) : null);
    const parts = splitAtSeparator(yield* this.prompt.renderInPauses(own, random));
    if (parts.length !== 2) return parts.length < 2 ? 'no |||' : 'more than one |||';
    const [prompt, target] = parts.map(trimmed) as [RenderedPart[], RenderedPart[]];
    if (prompt.length === 0) return 'empty prompt';
    if (target.length === 0) return 'empty target';
    return { prompt: textOf(prompt), target: textOf(target), choices, ...splitForm(prompt) };
  }
}

/**
 * The row with P3's names of fields, and with its separators out of the way. Its lists are copies, because a template may change
 * them (`{% set _ = labels.append(1) %}`), and other templates render the same row.
 */
function protectedRow(row: ReadonlyMap<string, Value>): Map<string, Value> {
  return new Map(
    [...row].map(([key, value]) => [
      key.replaceAll('-', '_'),
      typeof value === 'string' ? value.replaceAll(SEPARATOR, PROTECTED) : copyOf(value),
    ]),
  );
}

function restored(text: string): string {
  return text.replaceAll(PROTECTED, SEPARATOR);
}

function textOf(segments: readonly RenderedPart[]): string {
  return segments.map(({ text }) => text).join('');
}

function choicesIn(segments: readonly RenderedPart[]): string[] {
  return textOf(segments)
    .split(SEPARATOR)
    .map((choice) => restored(stripped(choice)));
}

/** The parts between separators, which may begin in one piece of text and end in the next. */
function splitAtSeparator(segments: readonly RenderedPart[]): RenderedPart[][] {
  let start = 0;
  return textOf(segments)
    .split(SEPARATOR)
    .map((part) => {
      const end = start + part.length;
      const pieces = cutOut(segments, start, end);
      start = end + SEPARATOR.length;
      return pieces;
    });
}

/** What lies between two places of the whole text. */
function cutOut(segments: readonly RenderedPart[], start: number, end: number): RenderedPart[] {
  let at = 0;
  return segments.flatMap((segment) => {
    const begin = at;
    at += segment.text.length;
    const isEmptyField = segment.text === '' && begin >= start && begin <= end;
    if (!isEmptyField && (at <= start || begin >= end)) return [];
    return [{ ...segment, text: segment.text.slice(Math.max(0, start - begin), Math.max(0, end - begin)) }];
  });
}

/** Without white space at the ends of the whole, and with separators of rows back in place; nothing where that is all. */
function trimmed(segments: readonly RenderedPart[]): RenderedPart[] {
  const kept = segments.map((segment) => ({ ...segment }));
  for (const segment of kept) {
    segment.text = segment.text.slice(leadingSpace(segment.text));
    if (segment.text !== '') break;
  }
  for (const segment of kept.toReversed()) {
    segment.text = segment.text.slice(0, trailingSpace(segment.text));
    if (segment.text !== '') break;
  }
  if (textOf(kept) === '') return [];
  return kept.map((segment) => ({ ...segment, text: restored(segment.text) }));
}

/** A field that stands in the prompt again keeps its name; another text of the same name gets a number. */
function splitForm(segments: readonly RenderedPart[]): Pick<RenderedPrompt, 'instruction' | 'fields'> {
  const fields: Record<string, string> = {};
  let instruction = '';
  for (const segment of segments) {
    if (!('field' in segment)) {
      instruction += segment.text;
      continue;
    }
    const { text } = segment;
    let name = segment.field;
    for (let i = 2; Object.hasOwn(fields, name) && fields[name] !== text; i++) name = `${segment.field}_${i}`;
    fields[name] = text;
    instruction += `[${name}]`;
  }
  return { instruction, fields };
}
