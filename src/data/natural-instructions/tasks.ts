import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { CounterRng } from '../../util/counter-rng.js';
import { check, listOf } from '../../util/check.js';
import { fnv1a32 } from '../../util/hash.js';
import { PythonRandom } from '../../util/mt19937.js';
import type { Notices } from '../../util/notices.js';
import { parseJson, readText } from '../../util/read-file.js';
import { recordsOf } from '../../util/records.js';
import { NOTICED } from '../noticed.js';

/** The instances of a task the paper trains and evaluates on. */
export const INSTANCES_PER_TASK = 100;
/** Seed of the training selection; part of the data's definition, not of a run (method §7.1). */
const SELECTION_SEED = 42;

/** `excluded` holds the tasks that share a source with a test task or are not English. */
export type SniSplit = (typeof SNI_SPLITS)[number];
export const SNI_SPLITS = ['train', 'test', 'excluded'] as const;

/** A worked example of a task, shown to the model as part of the instruction. */
export interface SniDemonstration {
  input: string;
  output: string;
  explanation: string;
}

/** One input of a task and all its acceptable outputs (at least one). */
export interface SniInstance {
  id: string;
  input: string;
  outputs: string[];
}

/** One task of Super-NaturalInstructions. */
export interface SniTask {
  /** File name without extension, e.g. `task2001_agnews_topic_classification`. */
  name: string;
  /** The first string of the `Definition` list, verbatim. */
  definition: string;
  categories: string[];
  /** In file order. */
  positiveExamples: SniDemonstration[];
  /** In file order. */
  negativeExamples: SniDemonstration[];
  instances: SniInstance[];
}

/** What a task file is read for; see {@link parseSniTask}. */
export type SniTaskUse = 'dataset' | 'prompt';

/** Options of {@link readSniTasks}. */
export interface ReadSniOptions {
  /** A checkout: the folder that holds `tasks/` and `splits/`. */
  directory: string;
  split: SniSplit;
  /** The folder under `splits/` (default `default`, the English track; the other one is `xlingual`). */
  track?: string;
  /** Instances kept of each task (default 100). */
  instancesPerTask?: number;
  signal?: AbortSignal | undefined;
}

const stringOrList = z.union([
  z.string().transform((text) => [text]),
  listOf(z.string()).refine((list) => list.length > 0, { error: 'must have at least one text' }),
]);
const demonstration = z.looseObject({
  input: z.string(),
  output: stringOrList.transform((outputs) => outputs[0]!),
  explanation: z.string().default(''),
});
const promptFields = {
  Definition: stringOrList,
  Categories: stringOrList.default([]),
  'Negative Examples': listOf(demonstration).default([]),
};
const positiveExamples = listOf(demonstration);
const instances = listOf(
  z.looseObject({ id: z.string().optional(), input: z.string(), output: stringOrList }),
);
const datasetTask = z.looseObject({
  ...promptFields,
  'Positive Examples': positiveExamples,
  Instances: instances,
});
const promptTask = z.looseObject({
  ...promptFields,
  'Positive Examples': positiveExamples.default([]),
  Instances: instances.default([]),
});

/**
 * Parses the text of a task file, in the schema of release v2.6 or an older one (`Definition` a string, instances
 * without `id`).
 *
 * @param file names the file in errors and the task in the result
 * @param use `prompt` for a task that is only compiled, which may lack examples and instances (default `dataset`)
 * @param notices gathers that the task has several definitions or no instances
 * @throws HintError `INVALID_JSON`, `INVALID_DATA` naming the field
 */
export function parseSniTask(
  text: string,
  file: string,
  use: SniTaskUse = 'dataset',
  notices?: Notices,
): SniTask {
  const name = basename(file, '.json');
  const { data: task, faults } = check(
    use === 'dataset' ? datasetTask : promptTask,
    parseJson(text, file, 'the task file'),
  );
  if (faults) {
    const [issue] = faults;
    const field = issue.path.length > 0 ? `field ${formatPath(issue.path)}` : 'the whole file';
    throw new HintError(
      'INVALID_DATA',
      `${file} is not a Super-NaturalInstructions task: ${field} ${issue.message}. Mend the field or take the file from the original checkout.`,
    );
  }
  const definition = task.Definition[0]!;
  if (definition.trim() === '')
    throw new HintError(
      'INVALID_DATA',
      `${file}: field Definition[0] is empty; write the instruction of the task there.`,
    );
  if (task.Definition.length > 1) notices?.add(NOTICED.definitions, name);
  if (use === 'dataset' && task.Instances.length === 0) notices?.add(NOTICED.noInstances, name);
  return {
    name,
    definition,
    categories: task.Categories,
    positiveExamples: task['Positive Examples'].map(pickDemonstration),
    negativeExamples: task['Negative Examples'].map(pickDemonstration),
    instances: task.Instances.map((instance, i) => ({
      id: instance.id ?? `${name}-${i}`,
      input: instance.input,
      outputs: instance.output,
    })),
  };
}

/**
 * Reads one task file, with all its instances.
 *
 * @param use as in {@link parseSniTask}
 * @throws HintError `NOT_FOUND`, `IO`, `INVALID_JSON`, `INVALID_DATA`, `ABORTED`
 */
export async function readSniTask(
  file: string,
  { use = 'dataset', signal }: { use?: SniTaskUse; signal?: AbortSignal | undefined } = {},
): Promise<SniTask> {
  return parseSniTask(await readText(file, 'the task file', signal), file, use);
}

/** The path of a task's file in a checkout. */
export function sniTaskFile(directory: string, name: string): string {
  return join(directory, 'tasks', `${name}.json`);
}

/**
 * The task names of a split, in file order, each once.
 *
 * @param notices gathers which are listed again
 * @throws HintError `NOT_FOUND` (no such checkout, track or split, with those that exist), `INVALID_DATA`
 */
export async function readSniTaskNames(
  directory: string,
  split: SniSplit,
  track = 'default',
  notices?: Notices,
): Promise<string[]> {
  const file = join(directory, 'splits', track, `${split}_tasks.txt`);
  let text: string;
  try {
    text = await readText(file, 'the split list');
  } catch (cause) {
    if (!(cause instanceof HintError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new HintError('NOT_FOUND', await describeMissingSplit(directory, track, file), { cause });
  }
  const listed = recordsOf(text)
    .map((line) => line.trim())
    .filter(Boolean);
  const names = new Set<string>();
  for (const name of listed) {
    if (names.has(name)) notices?.add(NOTICED.listedTwice, name);
    names.add(name);
  }
  const bad = [...names].find((name) => /[/\\]|^\.+$/.test(name));
  if (bad !== undefined)
    throw new HintError('INVALID_DATA', `${file} lists ${JSON.stringify(bad)}; give task names, not paths.`);
  if (names.size === 0)
    throw new HintError('INVALID_DATA', `${file} names no task; write one task name on each line.`);
  return [...names];
}

/**
 * The tasks of a split, one at a time: a checkout of any size needs the memory of its largest task. Each has the
 * instances of {@link selectInstances}.
 *
 * @throws HintError as {@link readSniTask} and {@link readSniTaskNames} do
 */
export async function* readSniTasks(options: ReadSniOptions): AsyncGenerator<SniTask, void, undefined> {
  const { directory, split, track, instancesPerTask = INSTANCES_PER_TASK, signal } = options;
  checkInstancesPerTask(instancesPerTask);
  for (const name of await readSniTaskNames(directory, split, track)) {
    throwIfAborted(signal);
    const task = await readSniTask(sniTaskFile(directory, name), { signal });
    yield { ...task, instances: selectInstances(task.instances, split, instancesPerTask) };
  }
}

/**
 * The instances that are used of a task: the first `count` of the file for evaluation (the dataset's authors
 * balanced them), the first `count` after a shuffle seeded alike for every task in training (method §7.1).
 */
export function selectInstances(
  instances: readonly SniInstance[],
  split: SniSplit,
  count: number,
): SniInstance[] {
  const order = [...instances];
  if (split === 'train') new PythonRandom(SELECTION_SEED).shuffle(order);
  return order.slice(0, count);
}

/**
 * The reference an instance is trained towards: one of its outputs, uniformly, always the same for the same seed
 * and instance, whatever else is read.
 */
export function chooseTarget(instance: SniInstance, seed: number): string {
  const { outputs } = instance;
  if (outputs.length === 1) return outputs[0]!;
  return outputs[new CounterRng(seed, fnv1a32(instance.id), fnv1a32('target')).below(outputs.length)]!;
}

/** @throws HintError `INVALID_ARGUMENT` unless `count` is an integer ≥ 1 or Infinity */
export function checkInstancesPerTask(count: number): void {
  if (count === Infinity || (Number.isInteger(count) && count >= 1)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `instancesPerTask is ${count}; give an integer ≥ 1 (the paper uses 100).`,
  );
}

function pickDemonstration({ input, output, explanation }: z.infer<typeof demonstration>): SniDemonstration {
  return { input, output, explanation };
}

function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) => (typeof key === 'number' ? `[${key}]` : (i > 0 ? '.' : '') + String(key)))
    .join('');
}

async function describeMissingSplit(directory: string, track: string, file: string): Promise<string> {
  const tracks = await readdir(join(directory, 'splits')).catch(() => undefined);
  if (tracks === undefined)
    return `${directory} is no Super-NaturalInstructions checkout: it has no folder splits/. Give the folder that holds tasks/ and splits/ (git clone https://github.com/allenai/natural-instructions).`;
  if (!tracks.includes(track))
    return `${directory} has no track ${JSON.stringify(track)}; the folders under splits/ are: ${tracks.join(', ')}.`;
  return `No split list ${file}; the splits are train, test and excluded, each a file <split>_tasks.txt with one task name a line.`;
}
