import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError, throwIfAborted } from '../../../util/errors.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { listOf } from '../../../util/check.js';
import { readJson } from '../../../util/read-file.js';
import { recordOf } from '../../../util/record-schema.js';
import { readLineBlocks } from '../../line-blocks.js';
import { parseP3Row, parseP3Splits, parseP3Templates, type P3Split } from '../format.js';
import type { PromptRenderer } from './render.js';

/** Where prompts that were rendered here say that they come from. */
export const RENDERED = 'rendered';

/** Instructions that are listed of templates whose text depends on the row. */
export const MOST_INSTRUCTIONS = 16;

/** A template as it is listed, and what it gave of one split. */
export interface ListedTemplate {
  readonly template: string;
  readonly rows: number;
  readonly originalTask: boolean;
  readonly hasChoices: boolean;
  readonly instructions: Iterable<string>;
  /** Other fields of its entry. */
  readonly about: Readonly<Record<string, unknown>>;
}

/** A template, and what it has given so far. */
export interface Use {
  readonly renderer: PromptRenderer;
  rows: number;
  /** Rows that are left out, by the reason. */
  readonly reasons: Map<string, { rows: number; readonly first: string }>;
  hasChoices: boolean;
  readonly instructions: Set<string>;
}

interface TemplateEntry {
  dataset: string;
  template: string;
  rows_by_split?: Record<string, number>;
  instructions?: string[];
}

/** The lists of a P3 directory, as they are in its files. */
export interface Lists {
  templates: TemplateEntry[];
  splits: Record<string, string[] | Record<string, unknown>>;
}

/**
 * The lists of a directory that prompts are to be added to; empty ones where there are none yet.
 *
 * @throws HintError INVALID_JSON, INVALID_DATA for lists that are none of P3, IO
 */
export async function readLists(directory: string): Promise<Lists> {
  const read = async (name: string): Promise<unknown> => {
    const file = join(directory, name);
    return existsSync(file) ? readJson(file, 'the list') : undefined;
  };
  const [templates = [], splits = {}] = [await read('templates.json'), await read('splits.json')];
  try {
    parseP3Templates(templates, join(directory, 'templates.json'));
    parseP3Splits(splits, join(directory, 'splits.json'));
    rowCounts.parse(templates);
  } catch (cause) {
    const reason =
      cause instanceof HintError ? cause.message : 'a rows_by_split has what is no number of rows.';
    throw new HintError(
      'INVALID_DATA',
      `${directory} is no P3 directory that prompts could be added to: ${reason} Correct it, or choose another output.`,
      { cause },
    );
  }
  // Unchanged, with any other fields they have.
  return { templates: templates as TemplateEntry[], splits: splits as Lists['splits'] };
}

const rowCounts = listOf(z.looseObject({ rows_by_split: recordOf(z.int().min(0)).optional() }));

/**
 * Checks that a data file that would be replaced was rendered here: anything else, such as the published prompts, could not
 * be made again.
 *
 * @throws HintError INVALID_DATA, IO, ABORTED
 */
export async function checkRendered(
  file: string,
  dataset: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    let isEmpty = true;
    for await (const { bytes } of readLineBlocks(file, 'the prompts', { blockBytes: 1, signal })) {
      isEmpty = false;
      const [line = ''] = Buffer.from(bytes).toString('utf8').split('\n');
      const row = parseP3Row(line, file);
      if (row.dataset === dataset && row.source === RENDERED) return;
      break;
    }
    if (isEmpty) return;
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof HintError && cause.code === 'NOT_FOUND') return;
  }
  throw new HintError(
    'INVALID_DATA',
    `${file} exists and holds no prompts of ${dataset} that were rendered here, so it is not written over; choose another output, or remove it.`,
  );
}

/** A template with what it has given, as it is listed. */
export function listed({ renderer, rows, hasChoices, instructions }: Use): ListedTemplate {
  const { template, fixedChoices } = renderer;
  const { name, metrics, originalTask, choicesInPrompt } = template;
  const about = {
    promptsource_name: name,
    metrics,
    choices_in_prompt: choicesInPrompt,
    fixed_answer_choices: fixedChoices ?? null,
  };
  return { template: template.taskName, rows, originalTask, hasChoices, instructions, about };
}

/** Adds the templates of a split of a dataset to the lists, and writes them. @throws HintError IO */
export async function writeLists(
  directory: string,
  { templates, splits }: Lists,
  added: { dataset: string; split: P3Split; templates: readonly ListedTemplate[] },
): Promise<void> {
  const { dataset, split } = added;
  const entries = added.templates.map(({ template, rows, originalTask, hasChoices, instructions, about }) => {
    const before = templates.find((one) => one.dataset === dataset && one.template === template);
    const rowsBySplit = { ...before?.rows_by_split, [split]: rows };
    return {
      dataset,
      template,
      ...about,
      original_task: originalTask,
      has_answer_choices: hasChoices,
      instructions: [...new Set([...(before?.instructions ?? []), ...instructions])].slice(
        0,
        MOST_INSTRUCTIONS,
      ),
      rows: Object.values(rowsBySplit).reduce((sum, count) => sum + count, 0),
      rows_by_split: rowsBySplit,
    };
  });
  const others = templates.filter(
    (one) => one.dataset !== dataset || !entries.some(({ template }) => template === one.template),
  );
  const known = splits[split];
  const names = Array.isArray(known) ? known : Object.keys(known ?? {});
  const now = names.includes(dataset)
    ? known
    : Array.isArray(known) || known === undefined
      ? [...names, dataset]
      : { ...known, [dataset]: {} };
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  await writeFileAtomic(join(directory, 'templates.json'), json([...others, ...entries]));
  await writeFileAtomic(join(directory, 'splits.json'), json({ ...splits, [split]: now }));
}
