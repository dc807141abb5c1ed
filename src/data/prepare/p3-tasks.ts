import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { publishedDatasets, publishedName } from '../p3/published-sizes.js';
import type { P3Split } from '../p3/format.js';

/** The record files of one published task and split: a template of a dataset. */
export interface P3TaskFiles {
  /** As the folder is called, without `_score_eval`. */
  readonly template: string;
  /** In the order of their numbers; a record is an example. */
  readonly plain: readonly string[];
  /** Of the form for rank classification: a record is a choice of an example. */
  readonly scored: readonly string[];
}

/** What becomes one file of prompts. */
export interface P3Part {
  readonly dataset: string;
  readonly split: P3Split;
  readonly tasks: readonly P3TaskFiles[];
}

/** The datasets of a folder of P3's cached form, and the tasks in it that are of none that the paper uses. */
export interface P3Found {
  readonly parts: readonly P3Part[];
  readonly others: readonly string[];
}

const RECORDS = /^(.+)\.tfrecord(?:-(\d+)-of-(\d+))?$/;
const SCORED = /_score_eval$/;

/**
 * Sorts the record files of P3's cached form (`TASK/SPLIT.tfrecord-00000-of-00001`) by what they become: the training split of
 * what the paper trains on, and of what it evaluates on the validation split and, for worked examples, the training split.
 *
 * @param paths below the source, with `/` between their parts
 * @throws HintError INVALID_DATA where a file of several is missing
 */
export function sortP3Tasks(source: string, paths: readonly string[]): P3Found {
  const parts = new Map<string, { dataset: string; split: P3Split; tasks: Map<string, Files> }>();
  const others = new Set<string>();
  for (const path of [...paths].sort()) {
    const [name = '', folder = ''] = path.split('/').reverse();
    const [, published = '', number = 0, of = 1] = RECORDS.exec(name) ?? [];
    const known = datasetOf(folder.replace(SCORED, ''));
    if (!known) others.add(folder.replace(SCORED, ''));
    const split = known && splitOf(known.use, published);
    if (!known || !split) continue;
    const { dataset, template } = known;
    const key = `${split}/${dataset}`;
    const part = parts.get(key) ?? { dataset, split, tasks: new Map<string, Files>() };
    parts.set(key, part);
    const task = part.tasks.get(template) ?? { plain: new Shards(), scored: new Shards() };
    part.tasks.set(template, task);
    task[SCORED.test(folder) ? 'scored' : 'plain'].add(join(source, path), Number(number), Number(of));
  }
  return {
    parts: [...parts.values()].map(({ dataset, split, tasks }) => ({
      dataset,
      split,
      tasks: [...tasks].map(([template, { plain, scored }]) => ({
        template,
        plain: plain.all(),
        scored: scored.all(),
      })),
    })),
    others: [...others],
  };
}

/** Whether a file of that name holds records of P3's cached form. */
export function isRecordFile(path: string): boolean {
  return RECORDS.test(path.split('/').at(-1) ?? '');
}

interface Files {
  readonly plain: Shards;
  readonly scored: Shards;
}

/** The files of one task, numbered from 0, of which each is there once. */
class Shards {
  private readonly files = new Map<number, string>();
  private first: { readonly file: string; readonly count: number } | undefined;

  add(file: string, number: number, count: number): void {
    this.first ??= { file, count };
    const { file: first } = this.first;
    if (number >= count)
      throw new HintError(
        'INVALID_DATA',
        `${file} has the number ${number} of ${count} files, which are numbered from 0 to ${count - 1}; fetch the files again.`,
      );
    if (count !== this.first.count || this.files.has(number))
      throw new HintError(
        'INVALID_DATA',
        `${this.files.get(number) ?? first} and ${file} are of two sets of files, of which one would be read for the other; keep one set.`,
      );
    this.files.set(number, file);
  }

  all(): string[] {
    if (!this.first) return [];
    const { file, count } = this.first;
    if (this.files.size < count)
      throw new HintError(
        'INVALID_DATA',
        `Of the ${count} files that ${file} is one of there are ${this.files.size}, without number ${this.missing(count)}; fetch the others.`,
      );
    return [...this.files].sort(([a], [b]) => a - b).map(([, one]) => one);
  }

  private missing(count: number): number {
    let number = 0;
    while (number < count && this.files.has(number)) number++;
    return number;
  }
}

/** Longest first: a name may begin with another one. */
const DATASETS = publishedDatasets().sort((a, b) => b.dataset.length - a.dataset.length);
// The round stands behind the template's name.
const ANLI = /^anli_(.+)_(r[123])$/;

function datasetOf(task: string): { dataset: string; template: string; use: 'train' | 'eval' } | undefined {
  const [, anli, round] = ANLI.exec(task) ?? [];
  if (anli !== undefined && round !== undefined)
    return { dataset: `anli_${round}`, template: anli, use: 'eval' };
  const found = DATASETS.find(({ dataset }) => publishedName(task).startsWith(`${dataset}_`));
  if (!found) return undefined;
  const { length } = found.dataset;
  return { dataset: task.slice(0, length), template: task.slice(length + 1), use: found.use };
}

/** The split that rows become; undefined for what is not used. */
export function splitOf(use: 'train' | 'eval', published: string): P3Split | undefined {
  if (use === 'train') return published === 'train' ? 'train' : undefined;
  return ({ validation: 'eval', train: 'fewshot' } as const)[published];
}
