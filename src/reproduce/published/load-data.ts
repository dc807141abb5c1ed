import type { TokenizedExample } from '../../data/batch.js';
import { loadSniDataset } from '../../data/natural-instructions/dataset.js';
import { readSniTasks } from '../../data/natural-instructions/tasks.js';
import { DistinctIds } from '../../data/noticed.js';
import { readTextLines } from '../../data/line-blocks.js';
import { evaluatedTemplates, loadP3Evaluation, type P3EvaluationSet } from '../../data/p3/evaluation.js';
import { p3Files, p3RowId, p3TaskName, parseP3Row, readP3Templates } from '../../data/p3/format.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { findSystem } from '../../systems/index.js';
import { HintError } from '../../util/errors.js';
import type { Notices } from '../../util/notices.js';
import { checkTasks } from '../check-data.js';
import { firstOfEach } from '../evaluate-cell.js';
import type { PublishedModel } from './models.js';
import type { NamedData } from './named-data.js';

/** Positive examples in the prompt of a model whose name ends in def-pos. */
const POSITIVES = 2;
const MOST_INPUT_TOKENS = 1024;

/** What a published model is evaluated on. */
export interface EvaluationData {
  /** Ids are distinct. */
  readonly examples: readonly TokenizedExample[];
  /** Of P3. */
  readonly templates?: P3EvaluationSet['templates'];
  /** In what they differ from the data that the published figure is of; sentences without a full stop. */
  readonly differences: readonly string[];
}

/** How data are loaded. */
export interface LoadOptions {
  readonly directory: string;
  readonly tokenizer: Tokenizer;
  /** Most examples of each task or template. */
  readonly limit?: number | undefined;
  /** Keeps tokens for a later call. */
  readonly cacheDirectory: string;
  readonly notices?: Notices | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Checks that a directory has data of the kind that a model is evaluated on, before anything is downloaded.
 *
 * @throws HintError NOT_FOUND, INVALID_DATA, INVALID_JSON, IO
 */
export async function checkData({ data }: PublishedModel, directory: string): Promise<void> {
  if (data.kind === 'sni') await checkTasks(directory, ['test']);
  else {
    await readP3Templates(directory);
    await datasetsOf(data, directory);
  }
}

/**
 * The ids of the examples that {@link loadData} gives, without a tokenizer, which comes with the model. Of those that are there
 * twice, each is told.
 *
 * @throws HintError as {@link loadData}
 */
export async function* exampleIds(
  { data }: PublishedModel,
  { directory, limit = Infinity, signal }: Pick<LoadOptions, 'directory' | 'limit' | 'signal'>,
): AsyncGenerator<string, void, undefined> {
  if (data.kind === 'sni') {
    const instancesPerTask = Math.min(limit, data.instancesPerTask);
    for await (const { instances } of readSniTasks({ directory, split: 'test', instancesPerTask, signal }))
      for (const { id } of instances) yield id;
    return;
  }
  const files = await p3Files(directory, 'eval', await datasetsOf(data, directory));
  const templates = evaluatedTemplates(await readP3Templates(directory), files);
  const taken = new Map<string, number>();
  for (const { file } of files)
    for await (const { text, where } of readTextLines(file, 'the P3 data', { signal })) {
      const row = parseP3Row(text, where);
      const task = p3TaskName(row);
      const before = taken.get(task) ?? 0;
      if (!templates.has(task) || row.choices === undefined || before >= limit) continue;
      taken.set(task, before + 1);
      yield p3RowId(row);
    }
}

/**
 * The examples of a published evaluation, as the original shows them to the model.
 *
 * @throws HintError as loadSniDataset and loadP3Evaluation
 */
export async function loadData(model: PublishedModel, options: LoadOptions): Promise<EvaluationData> {
  const { data } = model;
  return data.kind === 'sni' ? loadSni(model, data, options) : loadP3(model, data, options);
}

async function loadSni(
  { system }: PublishedModel,
  named: NamedData & { kind: 'sni' },
  { limit, onProgress, ...options }: LoadOptions,
): Promise<EvaluationData> {
  const count = Math.min(limit ?? Infinity, named.instancesPerTask);
  const examples = await loadSniDataset({
    ...options,
    split: 'test',
    setting: findSystem(system).setting(POSITIVES),
    instancesPerTask: count,
    maxInputTokens: MOST_INPUT_TOKENS,
    onProgress: ({ tasksDone, tasksTotal }) => onProgress?.(tasksDone, tasksTotal),
  });
  const tasks = new Set(examples.map(({ task }) => task)).size;
  const differences = [];
  if (tasks !== named.tasks) differences.push(`${tasks} of ${named.tasks} test tasks`);
  if (count < named.instancesPerTask)
    differences.push(
      `at most ${count} ${plural(count, 'instance')} of each task by --limit, instead of ${named.instancesPerTask}`,
    );
  if (examples.length !== named.instances)
    differences.push(
      `${shownCount(examples.length)} ${plural(examples.length, 'instance')} instead of ${shownCount(named.instances)}`,
    );
  return { examples, differences };
}

async function loadP3(
  { system }: PublishedModel,
  named: NamedData & { kind: 'p3' },
  { limit, onProgress, ...options }: LoadOptions,
): Promise<EvaluationData> {
  const set = await loadP3Evaluation({
    ...options,
    datasets: await datasetsOf(named, options.directory),
    setting: findSystem(system).p3Setting({}),
    maxInputTokens: MOST_INPUT_TOKENS,
    onProgress: ({ filesDone, filesTotal }) => onProgress?.(filesDone, filesTotal),
  });
  const ranked = set.examples.filter(({ choices }) => choices !== undefined);
  if (ranked.length === 0)
    throw new HintError(
      'INVALID_DATA',
      `No evaluated row of ${options.directory} has answer choices, by which T0 is evaluated; use P3's rows, with "answer_choices".`,
    );
  const ids = new DistinctIds(undefined);
  const examples = firstOfEach(ranked, limit ?? Infinity);
  const differences = p3Differences(named, set);
  if (limit !== undefined)
    differences.push(`at most ${limit} ${plural(limit, 'row')} of each template by --limit`);
  for (const example of examples) example.id = ids.of(example.id);
  return { examples, templates: set.templates, differences };
}

/** Those of the named data sets that a directory has. @throws HintError INVALID_DATA where it has none */
async function datasetsOf(named: NamedData & { kind: 'p3' }, directory: string): Promise<string[]> {
  const all = (await p3Files(directory, 'eval')).map(({ dataset }) => dataset);
  const found = all.filter((dataset) => named.datasets.some(({ folder }) => folder.test(dataset)));
  if (found.length > 0) return found;
  throw new HintError(
    'INVALID_DATA',
    `${directory} has no data set for evaluation that T0 is evaluated on, such as super_glue_rte; it has ${all.join(', ')}. Add them with "hint promptsource".`,
  );
}

function p3Differences(
  named: NamedData & { kind: 'p3' },
  { examples, templates }: P3EvaluationSet,
): string[] {
  const instances = new Map<string, Set<string>>();
  for (const { id, task } of examples) {
    const dataset = templates.get(task)?.dataset ?? '';
    const own = instances.get(dataset) ?? new Set();
    instances.set(dataset, own.add(id.slice(task.length + 1)));
  }
  const missing: string[] = [];
  const differences: string[] = [];
  for (const { name, folder, templates: count, instances: rows } of named.datasets) {
    const [dataset] = [...instances.keys()].filter((one) => folder.test(one));
    if (dataset === undefined) {
      missing.push(name);
      continue;
    }
    const found = [...templates.values()].filter((template) => template.dataset === dataset).length;
    const size = instances.get(dataset)?.size ?? 0;
    if (found !== count) differences.push(`${dataset}: ${found} of ${count} templates`);
    if (size !== rows) differences.push(`${dataset}: ${shownCount(size)} of ${shownCount(rows)} instances`);
  }
  return missing.length > 0 ? [`without ${missing.join(', ')}`, ...differences] : differences;
}

function plural(count: number, word: string): string {
  return count === 1 ? word : `${word}s`;
}

function shownCount(count: number): string {
  return count.toLocaleString('en');
}
