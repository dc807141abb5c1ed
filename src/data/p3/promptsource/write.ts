import { join } from 'node:path';
import { HintError, throwIfAborted } from '../../../util/errors.js';
import {
  callback,
  checked,
  choice,
  integer,
  list,
  name,
  optional,
  options as optionsOf,
  path,
  signal as signalKind,
} from '../../../util/arguments.js';
import { writeFileAtomically, type Append } from '../../../util/atomic-file.js';
import { GzipRecords } from '../../../util/gzip-records.js';
import { CounterRng } from '../../../util/counter-rng.js';
import { createYielder } from '../../../util/event-loop-lag.js';
import { fnv1a32 } from '../../../util/hash.js';
import { parseJson } from '../../../util/read-file.js';
import { makeFolder } from '../../../util/write-error.js';
import type { Pausing } from '../../../formats/jinja/execute.js';
import { valueOfJson } from '../../../formats/jinja/json.js';
import { Dict, PythonError, type Value } from '../../../formats/jinja/python/values.js';
import { readTextLines } from '../../line-blocks.js';
import { P3_SPLITS, type P3Split } from '../format.js';
import {
  checkRendered,
  listed,
  MOST_INSTRUCTIONS,
  readLists,
  RENDERED,
  writeLists,
  type Use,
} from './lists.js';
import { PromptRenderer } from './render.js';
import { readPromptTemplates, type UnusableTemplate } from './templates.js';

/** What is rendered, and where to. */
export interface RenderOptions {
  /** A promptsource `templates.yaml`. */
  readonly templates: string;
  /** Rows of its dataset: JSON lines, also gzipped. */
  readonly rows: string;
  /** A P3 directory, which is made or added to. */
  readonly directory: string;
  /** The split of P3 that the rows are written as. */
  readonly split: P3Split;
  /** Only these templates, by their promptsource or P3 names. */
  readonly only?: readonly string[] | undefined;
  /** Most rows that are read. */
  readonly limit?: number | undefined;
  /** For templates that draw their wording (default 0). */
  readonly seed?: number | undefined;
  /** Ends the rendering, which rejects with ABORTED and writes nothing. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of rows read so far. */
  readonly onProgress?: ((rows: number) => void) | undefined;
}

/** What a rendering gave. */
export interface RenderSummary {
  /** The dataset and subset that the templates name. */
  readonly dataset: string;
  /** Path of the templates that were rendered. */
  readonly file: string;
  /** Rows of the raw dataset. */
  readonly rows: number;
  /** What became of each template that could be read. */
  readonly templates: readonly {
    readonly template: string;
    readonly rows: number;
    /** Rows that the template gives no example. */
    readonly skipped: number;
    /** Why, with the most frequent reason first. */
    readonly reasons: readonly SkipReason[];
    /** Columns that the template reads and no row has. */
    readonly absentColumns: readonly string[];
  }[];
  /** Templates that cannot be read, which are left out as a whole. */
  readonly unreadable: readonly UnusableTemplate[];
}

/** Why rows are left out. */
export interface SkipReason {
  /** `empty prompt`, `empty target`, `no |||`, `more than one |||`, Python's class of an error, or `limit`. */
  readonly reason: string;
  /** How many were left out for it. */
  readonly rows: number;
  /** What happened to the first of these rows: a sentence, or its place in the file. */
  readonly first: string;
}

const RENDER = optionsOf<RenderOptions>(
  {
    templates: path,
    rows: path,
    directory: path,
    split: choice(...P3_SPLITS),
    only: optional(list(name)),
    limit: optional(integer(1)),
    seed: optional(integer(0)),
    signal: optional(signalKind),
    onProgress: optional(callback()),
  },
  'an object such as { templates, rows, directory, split }',
);

/**
 * Renders raw rows with promptsource templates into a directory that the P3 readers take: `SPLIT/DATASET.jsonl.gz`,
 * with the joint form (`prompt`) and the split form (`instruction`, `fields`), and entries in `templates.json` and
 * `splits.json`. Rows that a template gives no example, and templates that cannot be read, are left out and counted. All or
 * nothing otherwise: when a row cannot be read, or what is there already is not of this kind, nothing is changed. A file of
 * prompts that was rendered before is replaced.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_DATA naming the line, or where no template can be read,
 *   INVALID_ARGUMENT for a template that there is not, ABORTED
 */
export async function renderPromptsource(given: RenderOptions): Promise<RenderSummary> {
  return renderDataset(checked(RENDER, given, 'options'));
}

/**
 * {@link renderPromptsource} of options that are known to be right.
 *
 * @param name of the dataset, where it is not that of the templates: the rounds of ANLI share theirs
 */
export async function renderDataset(options: RenderOptions, name?: string): Promise<RenderSummary> {
  const { directory, split, seed = 0, signal } = options;
  const { dataset: ofTemplates, uses, unreadable } = await readUses(options);
  const dataset = name ?? ofTemplates;
  const lists = await readLists(directory);
  const file = join(directory, split, `${dataset}.jsonl.gz`);
  await checkRendered(file, dataset, signal);
  await makeFolder(join(directory, split));
  let rows = 0;
  const columns = new Set<string>();
  const breathe = createYielder();
  const write = async (append: Append): Promise<void> => {
    const records = new GzipRecords(append);
    for await (const { row, where } of readRows(options)) {
      for (const name of row.keys()) columns.add(name.replaceAll('-', '_'));
      for (const use of uses) {
        const rendering = renderLine(use, row, { dataset, idx: rows, seed, where });
        let step;
        do {
          const pause = breathe();
          if (pause) await pause;
          throwIfAborted(signal);
          step = rendering.next();
        } while (step.done !== true);
        const line = step.value;
        if (line !== undefined) await records.add(`${line}\n`);
      }
      rows++;
      if (rows % 1000 === 0) options.onProgress?.(rows);
    }
    if (rows === 0) throw new HintError('INVALID_DATA', `${options.rows} has no row to render.`);
    await records.flush();
  };
  await writeFileAtomically(file, write, signal);
  await writeLists(directory, lists, { dataset, split, templates: uses.map(listed) });
  return {
    dataset,
    file,
    rows,
    templates: uses.map(({ renderer, rows: rendered, reasons }) => ({
      template: renderer.template.taskName,
      rows: rendered,
      skipped: rows - rendered,
      reasons: [...reasons]
        .map(([reason, { rows: count, first }]) => ({ reason, rows: count, first }))
        .sort((a, b) => b.rows - a.rows),
      absentColumns: [...renderer.columns].filter((name) => name !== 'answer_choices' && !columns.has(name)),
    })),
    unreadable,
  };
}

/** The templates that are asked for, and those of them that cannot be read. */
async function readUses({
  templates: file,
  only,
}: RenderOptions): Promise<{ dataset: string; uses: Use[]; unreadable: UnusableTemplate[] }> {
  // prettier-ignore
  const { dataset, templates, unusable } = await readPromptTemplates(file);
  const unknown = only?.find((name) => !templates.some((one) => one.name === name || one.taskName === name));
  if (unknown !== undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${file} has no template ${JSON.stringify(unknown)}; there are ${templates.map(({ name }) => name).join(', ')}.`,
    );
  const unreadable = only ? [] : [...unusable];
  const uses: Use[] = [];
  for (const template of templates) {
    if (only && !only.includes(template.name) && !only.includes(template.taskName)) continue;
    try {
      const renderer = new PromptRenderer(template);
      uses.push({ renderer, rows: 0, reasons: new Map(), hasChoices: false, instructions: new Set() });
    } catch (cause) {
      if (!(cause instanceof HintError)) throw cause;
      unreadable.push({ template: template.taskName, reason: cause.message });
    }
  }
  const [fault] = unreadable;
  if (uses.length === 0)
    throw new HintError(
      'INVALID_DATA',
      fault
        ? `${file} has no template that can be read; the first: ${fault.reason}`
        : `${file} has no template.`,
    );
  return { dataset, uses, unreadable };
}

async function* readRows({
  rows,
  limit = Infinity,
  signal,
}: RenderOptions): AsyncGenerator<{ row: Map<string, Value>; where: string }> {
  let count = 0;
  for await (const { text, where } of readTextLines(rows, 'the rows', { signal })) {
    if (count++ >= limit) return;
    const row = rowOf(text, where);
    if (!(row instanceof Dict))
      throw new HintError(
        'INVALID_DATA',
        `${where} is no row; give one JSON object a line, with the columns of the dataset.`,
      );
    yield { row: new Map([...row.entries.values()].map(({ key, value }) => [key as string, value])), where };
  }
}

/** The values of a row with their numbers as Python has them. */
function rowOf(text: string, where: string): Value {
  parseJson(text, where, 'the row');
  try {
    return valueOfJson(text);
  } catch (cause) {
    if (!(cause instanceof PythonError)) throw cause;
    throw new HintError('INVALID_DATA', `${where} cannot be read: ${cause.message}; correct it.`, { cause });
  }
}

/** A line of the file of prompts; undefined where the row gives none. */
function* renderLine(
  use: Use,
  row: ReadonlyMap<string, Value>,
  { dataset, idx, seed, where }: { dataset: string; idx: number; seed: number; where: string },
): Pausing<string | undefined> {
  const { renderer } = use;
  const { taskName } = renderer.template;
  const random = new CounterRng(seed, fnv1a32(`${dataset}_${taskName}`), idx);
  const leaveOut = (reason: string, first: string): undefined => {
    const known = use.reasons.get(reason);
    if (known) known.rows++;
    else use.reasons.set(reason, { rows: 1, first });
  };
  let rendered;
  try {
    rendered = yield* renderer.renderInPauses(row, () => random.uniform());
  } catch (cause) {
    if (!(cause instanceof HintError)) throw cause;
    if (cause.code === 'LIMIT_EXCEEDED') return leaveOut('limit', `${where}: ${cause.message}`);
    if (cause.cause instanceof PythonError) return leaveOut(cause.cause.kind, `${where}: ${cause.message}`);
    throw new HintError(cause.code, `${where}: ${cause.message}`, { cause });
  }
  if (typeof rendered === 'string') return leaveOut(rendered, where);
  const { prompt, target, choices, instruction, fields } = rendered;
  use.rows++;
  use.hasChoices ||= choices !== undefined;
  if (use.instructions.size < MOST_INSTRUCTIONS) use.instructions.add(instruction);
  return JSON.stringify({
    dataset,
    template: taskName,
    idx,
    source: RENDERED,
    prompt,
    target,
    ...(choices ? { answer_choices: choices } : {}),
    instruction,
    input: Object.values(fields).join('\n'),
    fields,
  });
}
