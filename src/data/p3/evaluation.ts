import { HintError } from '../../util/errors.js';
import { boolean, checked, choice, optional, options as optionsOf } from '../../util/arguments.js';
import { CounterRng } from '../../util/counter-rng.js';
import { fnv1a32 } from '../../util/hash.js';
import type { TokenizedExample } from '../batch.js';
import { readTextLines } from '../line-blocks.js';
import { unpackExamples } from '../token-cache.js';
import { P3_READING, streamP3, type P3Options } from './dataset.js';
import { P3Census } from './census.js';
import { p3Files, P3_SPLITS, p3TaskName, parseP3Row, readP3Templates, type P3Template } from './format.js';
import { formatP3Row, type P3Setting, type P3Shot } from './forms.js';

/** Options of {@link loadP3Evaluation}. */
export interface P3EvaluationOptions extends Omit<P3Options, 'split' | 'keep' | 'shots' | 'withChoices'> {
  /** Default `eval`. */
  split?: P3Options['split'] | undefined;
  /** Also templates that ask for something else than their dataset was made for (default false; method §8.5). */
  allTemplates?: boolean | undefined;
}

const LOAD = optionsOf<P3EvaluationOptions>(
  { ...P3_READING, split: optional(choice(...P3_SPLITS)), allTemplates: optional(boolean) },
  'an object such as { directory, setting, tokenizer }',
);

/** Examples to be evaluated, and the templates they come from. */
export interface P3EvaluationSet {
  /** All of them tokenised, template after template. */
  examples: TokenizedExample[];
  /** By task name; only those that are evaluated. */
  templates: ReadonlyMap<string, P3Template>;
}

/**
 * The examples that P3 is evaluated on, choices included. In a dataset that has templates with answer choices, only
 * those are taken; others are generated. Worked examples are drawn from `fewshot/`, the same for all examples of a
 * template.
 *
 * @throws HintError as streamP3; INVALID_DATA when no template is left, or one has fewer worked examples than shots
 */
export async function loadP3Evaluation(given: P3EvaluationOptions): Promise<P3EvaluationSet> {
  const { allTemplates = false, ...options } = checked(LOAD, given, 'options');
  const { directory, split = 'eval', datasets, setting, seed = 0, notices } = options;
  const all = await readP3Templates(directory);
  const files = await p3Files(directory, split, datasets);
  const chosen = evaluatedTemplates(all, files, allTemplates);
  const keep = new Map([...all.keys()].map((task) => [task, chosen.has(task) ? 1 : 0]));
  const shots = setting.shots > 0 ? await readShots(directory, datasets, setting, seed, chosen) : undefined;
  const examples: TokenizedExample[] = [];
  const census = new P3Census(all, notices);
  for await (const packed of streamP3({ ...options, split, keep, shots, withChoices: true })) {
    const block = unpackExamples(packed, notices);
    census.see(block);
    for (const example of block) examples.push(example);
  }
  census.end(chosen.keys());
  if (examples.length === 0)
    throw new HintError(
      'INVALID_DATA',
      `${directory}/${split} has no example to evaluate in the form ${setting.form}; take all templates, or other datasets.`,
    );
  return { examples, templates: chosen };
}

/** The templates of these datasets that are evaluated, by task name: those with answer choices in a dataset that has such. */
export function evaluatedTemplates(
  all: ReadonlyMap<string, P3Template>,
  datasets: readonly { readonly dataset: string }[],
  allTemplates = false,
): Map<string, P3Template> {
  return new Map(
    datasets.flatMap(({ dataset }) => {
      const own = [...all].filter(([, template]) => template.dataset === dataset);
      const ranked = own.some(
        ([, { hasChoices, originalTask }]) => hasChoices && (originalTask || allTemplates),
      );
      return own.filter(
        ([, { hasChoices, originalTask }]) =>
          (allTemplates || originalTask) && (allTemplates || !ranked || hasChoices),
      );
    }),
  );
}

/** Worked examples of each task, a random choice of the rows of `fewshot/`. */
async function readShots(
  directory: string,
  datasets: readonly string[] | undefined,
  { form, shots: count }: P3Setting,
  seed: number,
  tasks: ReadonlyMap<string, P3Template>,
): Promise<Map<string, P3Shot[]>> {
  // The rows of a task in the order of a random number each, as long as they are among the first `count`.
  const drawn = new Map<string, { order: number; shot: P3Shot }[]>();
  for (const { file } of await p3Files(directory, 'fewshot', datasets)) {
    for await (const { text, where } of readTextLines(file, 'the worked examples')) {
      const row = parseP3Row(text, where);
      const task = p3TaskName(row);
      const prompt = tasks.has(task) ? formatP3Row(row, form, '') : undefined;
      if (!prompt) continue;
      const order = new CounterRng(seed, fnv1a32(`${task} ${row.source} ${row.idx}`)).nextUint32();
      const own = drawn.get(task) ?? [];
      own.push({ order, shot: { input: prompt.input, target: row.target } });
      own.sort((a, b) => a.order - b.order);
      drawn.set(task, own.slice(0, count));
    }
  }
  for (const task of tasks.keys()) {
    const found = drawn.get(task)?.length ?? 0;
    if (found < count)
      throw new HintError(
        'INVALID_DATA',
        `${directory}/fewshot has ${found} worked examples of ${task}, ${count} are asked for; give fewer shots.`,
      );
  }
  return new Map([...drawn].map(([task, own]) => [task, own.map(({ shot }) => shot)]));
}
