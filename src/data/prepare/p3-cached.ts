import { writeFileAtomically } from '../../util/atomic-file.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { GzipRecords } from '../../util/gzip-records.js';
import { sha256Hex } from '../../util/hash.js';
import { jsonRecord } from '../../util/records.js';
import { readLists, writeLists, type ListedTemplate } from '../p3/promptsource/lists.js';
import { PromptRenderer } from '../p3/promptsource/render.js';
import { readPromptTemplates } from '../p3/promptsource/templates.js';
import { sourceMark } from './source-mark.js';
import { cachedPrompts } from './p3-examples.js';
import type { P3Jobs, PrepareP3Options } from './p3-job.js';
import { sortP3Tasks, type P3Part } from './p3-tasks.js';
import { noTemplatesOf, TemplateFolder } from './p3-templates.js';

const PROGRESS_ROWS = 1000;

/**
 * What is to be made of P3's cached form. Rows have prompt and target, but no fields; the text of a template, and whether it
 * asks for its dataset's own task, come from promptsource's templates where they are given.
 *
 * @param paths of the record files below the source
 */
export async function cachedJobs(
  { source, folder, templates, signal }: PrepareP3Options,
  paths: readonly string[],
): Promise<P3Jobs> {
  const { parts, others } = sortP3Tasks(source, paths);
  const known = templates === undefined ? undefined : await TemplateFolder.open(templates);
  // Otherwise the want of every text would be told behind the last of many files.
  if (known && parts.length > 0 && parts.every(({ dataset }) => known.fileOf(dataset) === undefined))
    throw noTemplatesOf(templates as string, (parts[0] as P3Part).dataset);
  const jobs = parts.map(async (part) => {
    const file = known?.fileOf(part.dataset);
    const sources = part.tasks.flatMap(({ plain, scored }) => [...plain, ...scored]);
    const marks = await Promise.all(
      [...sources, ...(file === undefined ? [] : [file])].map((one) =>
        sourceMark(one.slice(source.length), one),
      ),
    );
    return {
      dataset: part.dataset,
      split: part.split,
      from: sha256Hex(...marks),
      write: async (path: string, onRows: (rows: number) => void) => {
        const renderers = await renderersIn(file);
        const rows = await writeRows(path, part, onRows, signal);
        const listed = [...rows].map(([template, one]) => asListed(template, one, renderers.get(template)));
        const { dataset, split } = part;
        await writeLists(folder, await readLists(folder), { dataset, split, templates: listed });
        return Object.fromEntries([...rows].map(([template, one]) => [template, one.rows]));
      },
    };
  });
  return { jobs: await Promise.all(jobs), others };
}

interface Written {
  rows: number;
  hasChoices: boolean;
}

async function writeRows(
  path: string,
  { dataset, tasks }: P3Part,
  onRows: (rows: number) => void,
  signal: AbortSignal | undefined,
): Promise<Map<string, Written>> {
  const written = new Map<string, Written>();
  const breathe = createYielder();
  let all = 0;
  await writeFileAtomically(
    path,
    async (append) => {
      const records = new GzipRecords(append);
      for (const task of tasks) {
        const one: Written = { rows: 0, hasChoices: false };
        for await (const { prompt, target, choices } of cachedPrompts(task, signal)) {
          const answers = choices && { answer_choices: choices };
          const { template } = task;
          const record = jsonRecord({
            dataset,
            template,
            idx: one.rows++,
            source: 'p3',
            prompt,
            target,
            ...answers,
          });
          await records.add(record);
          one.hasChoices ||= choices !== undefined;
          if (++all % PROGRESS_ROWS === 0) onRows(all);
          const pause = breathe();
          if (pause) await pause;
          throwIfAborted(signal);
        }
        written.set(task.template, one);
      }
      await records.flush();
    },
    signal,
  );
  return written;
}

function asListed(
  template: string,
  { rows, hasChoices }: Written,
  renderer?: PromptRenderer,
): ListedTemplate {
  const instruction = renderer?.instructionWithoutRow();
  return {
    template,
    rows,
    hasChoices,
    originalTask: renderer?.template.originalTask ?? false,
    instructions: instruction === undefined ? [] : [instruction],
    about: {},
  };
}

/** The templates of a dataset that can be read, by the names that P3 gives them. */
async function renderersIn(file: string | undefined): Promise<Map<string, PromptRenderer>> {
  const renderers = new Map<string, PromptRenderer>();
  if (file === undefined) return renderers;
  for (const template of (await readPromptTemplates(file)).templates)
    try {
      renderers.set(template.taskName, new PromptRenderer(template));
    } catch (cause) {
      if (!(cause instanceof HintError)) throw cause;
    }
  return renderers;
}
