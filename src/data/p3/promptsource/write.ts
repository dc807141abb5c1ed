import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
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
import { CounterRng } from '../../../util/counter-rng.js';
import { createYielder } from '../../../util/event-loop-lag.js';
import { fnv1a32 } from '../../../util/hash.js';
import { parseJson } from '../../../util/read-file.js';
import { makeFolder } from '../../../util/write-error.js';
import { readTextLines } from '../../line-blocks.js';
import { P3_SPLITS, type P3Split } from '../format.js';
import { checkRendered, MOST_INSTRUCTIONS, readLists, RENDERED, writeLists, type Use } from './lists.js';
import { PromptRenderer } from './render.js';
import { readPromptTemplates } from './templates.js';

/** What is rendered, and where to. */
export interface RenderOptions {
  /** A promptsource `templates.yaml`. */
  readonly templates: string;
  /** Rows of its dataset: JSON lines, also gzipped. */
  readonly rows: string;
  /** A P3 directory, which is made or added to. */
  readonly directory: string;
  readonly split: P3Split;
  /** Only these templates, by their promptsource or P3 names. */
  readonly only?: readonly string[] | undefined;
  /** Most rows that are read. */
  readonly limit?: number | undefined;
  /** For templates that draw their wording (default 0). */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((rows: number) => void) | undefined;
}

/** What a rendering gave. */
export interface RenderSummary {
  readonly dataset: string;
  readonly file: string;
  /** Rows of the raw dataset. */
  readonly rows: number;
  readonly templates: readonly {
    readonly template: string;
    readonly rows: number;
    /** Rows that the template gives no prompt, or no target. */
    readonly skipped: number;
  }[];
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

const compressed = promisify(gzip);
const BLOCK_CHARACTERS = 1 << 20;

/**
 * Renders raw rows with promptsource templates into a directory that the P3 readers take: `SPLIT/DATASET.jsonl.gz`,
 * with the joint form (`prompt`) and the split form (`instruction`, `fields`), and entries in `templates.json` and
 * `splits.json`. All or nothing: when a row cannot be rendered, or what is there already is not of this kind, nothing is
 * changed. A file of prompts that was rendered before is replaced.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_DATA naming template or line, INVALID_ARGUMENT for a template
 *   that there is not, ABORTED
 */
export async function renderPromptsource(given: RenderOptions): Promise<RenderSummary> {
  const options = checked(RENDER, given, 'options');
  const { directory, split, seed = 0, signal } = options;
  const { dataset, templates } = await readPromptTemplates(options.templates);
  const unknown = options.only?.find(
    (name) => !templates.some((one) => one.name === name || one.taskName === name),
  );
  if (unknown !== undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${options.templates} has no template ${JSON.stringify(unknown)}; there are ${templates.map(({ name }) => name).join(', ')}.`,
    );
  const chosen = templates.filter(
    ({ name, taskName }) => !options.only || options.only.includes(name) || options.only.includes(taskName),
  );
  const uses = chosen.map((template): Use => {
    const renderer = new PromptRenderer(template);
    return { renderer, rows: 0, skipped: 0, hasChoices: false, instructions: new Set() };
  });
  const lists = await readLists(directory);
  const file = join(directory, split, `${dataset}.jsonl.gz`);
  await checkRendered(file, dataset, signal);
  await makeFolder(join(directory, split));
  let rows = 0;
  const breathe = createYielder();
  const write = async (append: Append): Promise<void> => {
    let lines = '';
    const flush = async (): Promise<void> => {
      // Concatenated .gz files are one .gz file.
      await append(await compressed(lines));
      lines = '';
    };
    for await (const { row, where } of readRows(options)) {
      for (const use of uses) {
        const pause = breathe();
        if (pause) await pause;
        throwIfAborted(signal);
        const line = renderLine(use, row, { dataset, idx: rows, seed, where });
        if (line !== undefined) lines += `${line}\n`;
      }
      rows++;
      if (rows % 1000 === 0) options.onProgress?.(rows);
      if (lines.length > BLOCK_CHARACTERS) await flush();
    }
    if (rows === 0) throw new HintError('INVALID_DATA', `${options.rows} has no row to render.`);
    await flush();
  };
  await writeFileAtomically(file, write, signal);
  await writeLists(directory, lists, { dataset, split, uses });
  return {
    dataset,
    file,
    rows,
    templates: uses.map(({ renderer, rows: rendered, skipped }) => ({
      template: renderer.template.taskName,
      rows: rendered,
      skipped,
    })),
  };
}

async function* readRows({
  rows,
  limit = Infinity,
  signal,
}: RenderOptions): AsyncGenerator<{ row: Record<string, unknown>; where: string }> {
  let count = 0;
  for await (const { text, where } of readTextLines(rows, 'the rows', { signal })) {
    if (count++ >= limit) return;
    const row = parseJson(text, where, 'the row');
    if (typeof row !== 'object' || row === null || Array.isArray(row))
      throw new HintError(
        'INVALID_DATA',
        `${where} is no row; give one JSON object a line, with the columns of the dataset.`,
      );
    yield { row: row as Record<string, unknown>, where };
  }
}

function renderLine(
  use: Use,
  row: Readonly<Record<string, unknown>>,
  { dataset, idx, seed, where }: { dataset: string; idx: number; seed: number; where: string },
): string | undefined {
  const { renderer } = use;
  const { taskName } = renderer.template;
  const random = new CounterRng(seed, fnv1a32(`${dataset}_${taskName}`), idx);
  let rendered;
  try {
    rendered = renderer.render(row, () => random.uniform());
  } catch (cause) {
    if (!(cause instanceof HintError)) throw cause;
    throw new HintError(cause.code, `${where}: ${cause.message}`, { cause });
  }
  if (!rendered) {
    use.skipped++;
    return undefined;
  }
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
