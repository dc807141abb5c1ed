import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { check, listOf, type Faults } from '../../util/check.js';
import type { Notices } from '../../util/notices.js';
import { parseJson, readJson } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { NOTICED } from '../noticed.js';

/** What T0 writes where a template renders no target (method §8.1). */
export const NO_LABEL = '<NO LABEL>';

/** One prompted example: a row of a `<dataset>.jsonl.gz`. */
export interface P3Row {
  dataset: string;
  template: string;
  /** Number of the instance in its source. */
  idx: number;
  source: string;
  /** What a T0 model reads. */
  prompt: string;
  target: string;
  /** The answers that rank classification chooses from. */
  choices: string[] | undefined;
  /** The prompt with `[NAME]` in place of each field. */
  instruction: string | undefined;
  /** The texts of the fields, in the order of the prompt. */
  fields: Record<string, string> | undefined;
}

const rowSchema = z.object({
  dataset: z.string().min(1),
  template: z.string().min(1),
  idx: z.int().min(0),
  source: z.string().default(''),
  prompt: z.string(),
  target: z.string(),
  answer_choices: listOf(z.string()).optional(),
  instruction: z.string().optional(),
  fields: recordOf(z.string()).optional(),
});

/**
 * Parses one line of a data file.
 *
 * @param where file and line, for errors
 * @throws HintError INVALID_JSON, INVALID_DATA naming the field
 */
export function parseP3Row(line: string, where: string): P3Row {
  const { data, faults } = check(rowSchema, parseJson(line, where, 'the line'));
  if (faults) throw notP3(where, 'a prompted example', faults);
  const { answer_choices: choices, instruction, fields, target, ...row } = data;
  return { ...row, target: target.trim() === '' ? NO_LABEL : target, choices, instruction, fields };
}

/** The name under which a template of a dataset trains and is reported. */
export function p3TaskName({ dataset, template }: { dataset: string; template: string }): string {
  return `${dataset}_${template}`;
}

/** The id of a row's example. */
export function p3RowId(row: Pick<P3Row, 'dataset' | 'template' | 'source' | 'idx'>): string {
  return `${p3TaskName(row)}-${row.source === '' ? '' : `${row.source}-`}${row.idx}`;
}

/** What is known of a template, from `templates.json`. */
export interface P3Template {
  /** Dataset and subset that it was written for, such as `super_glue_rte`. */
  dataset: string;
  /** Its name within the dataset. */
  template: string;
  /** Whether it asks for what the dataset was made for; only these are evaluated in the paper (method §8.5). */
  originalTask: boolean;
  /** Whether its rows come with answer choices, by which they are ranked. */
  hasChoices: boolean;
  /** The template's text; some have several, drawn at random by the row. */
  instructions: string[];
  /** Rows that it has in all folders. */
  rows: number;
}

const templatesSchema = listOf(
  z.object({
    dataset: z.string().min(1),
    template: z.string().min(1),
    original_task: z.boolean(),
    has_answer_choices: z.boolean(),
    instructions: listOf(z.string()),
    rows: z.int().min(0),
  }),
);

/** Checks what a templates.json holds. @throws HintError INVALID_DATA naming the field */
export function parseP3Templates(json: unknown, file: string): z.infer<typeof templatesSchema> {
  const { data, faults } = check(templatesSchema, json);
  if (faults) throw notP3(file, 'a list of P3 templates', faults);
  return data;
}

/** The templates of a P3 directory, by task name. @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_DATA */
export async function readP3Templates(directory: string): Promise<Map<string, P3Template>> {
  const file = join(directory, 'templates.json');
  const listed = parseP3Templates(await readList(directory, file, 'the list of templates'), file);
  const templates = listed.map(({ original_task, has_answer_choices, ...rest }) => ({
    ...rest,
    originalTask: original_task,
    hasChoices: has_answer_choices,
  }));
  return new Map(templates.map((template) => [p3TaskName(template), template]));
}

/** The folders of a P3 directory. */
export type P3Split = (typeof P3_SPLITS)[number];

export const P3_SPLITS = ['train', 'eval', 'fewshot', 'extra'] as const;

const names = z.union([listOf(z.string()), recordOf(z.unknown()).transform(Object.keys)]);
const splitsSchema = z.object({
  train: names.default([]),
  eval: names.default([]),
  fewshot: names.default([]),
  extra: names.default([]),
});

/** Checks what a splits.json holds: the datasets of each split. @throws HintError INVALID_DATA naming the field */
export function parseP3Splits(json: unknown, file: string): Record<P3Split, string[]> {
  const { data, faults } = check(splitsSchema, json);
  if (faults) throw notP3(file, 'the splits of P3', faults);
  return data;
}

/**
 * The data files of a split, in the order of `splits.json`.
 *
 * @param only keeps these datasets; all without it
 * @param notices gathers the files that belong to no dataset of the list
 * @throws HintError NOT_FOUND (no such directory, dataset or file), IO, INVALID_JSON, INVALID_DATA
 */
export async function p3Files(
  directory: string,
  split: P3Split,
  only?: readonly string[],
  notices?: Notices,
): Promise<{ dataset: string; file: string }[]> {
  const list = join(directory, 'splits.json');
  const all = parseP3Splits(await readList(directory, list, 'the list of splits'), list)[split];
  const unknown = only?.find((name) => !all.includes(name));
  if (unknown !== undefined)
    throw new HintError(
      'NOT_FOUND',
      `${directory} has no ${split} dataset ${JSON.stringify(unknown)}; there are ${all.join(', ') || 'none'}.`,
    );
  const chosen = only ?? all;
  if (chosen.length === 0)
    throw new HintError('INVALID_DATA', `${list} names no ${split} dataset; list at least one there.`);
  const bad = chosen.find((name) => /[/\\]|^\.+$/.test(name));
  if (bad !== undefined)
    throw new HintError(
      'INVALID_DATA',
      `${list} lists ${JSON.stringify(bad)}; give dataset names, not paths.`,
    );
  const present = new Set(await readdir(join(directory, split)).catch(() => [] as string[]));
  const listed = new Set(all.flatMap((name) => [`${name}.jsonl.gz`, `${name}.jsonl`]));
  for (const name of [...present].sort())
    if (/\.jsonl(\.gz)?$/.test(name) && !listed.has(name)) notices?.add(NOTICED.notListed, join(split, name));
  return chosen.map((dataset) => {
    const name = [`${dataset}.jsonl.gz`, `${dataset}.jsonl`].find((candidate) => present.has(candidate));
    if (name !== undefined) return { dataset, file: join(directory, split, name) };
    throw new HintError(
      'NOT_FOUND',
      `No file ${join(directory, split, `${dataset}.jsonl.gz`)}, which splits.json lists; fetch it or take it off the list.`,
    );
  });
}

async function readList(directory: string, file: string, what: string): Promise<unknown> {
  try {
    return await readJson(file, what);
  } catch (cause) {
    if (!(cause instanceof HintError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new HintError(
      'NOT_FOUND',
      `${directory} is no P3 directory: it has no ${file.slice(directory.length + 1)}. Give the folder that holds templates.json, splits.json and train/.`,
      { cause },
    );
  }
}

function notP3(where: string, what: string, [issue]: Faults): HintError {
  const field = issue.path.length > 0 ? `field ${issue.path.join('.')}` : 'the whole';
  return new HintError('INVALID_DATA', `${where} is not ${what}: ${field} ${issue.message}.`);
}
