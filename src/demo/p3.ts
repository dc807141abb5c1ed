import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDirectoryAtomically } from '../util/atomic-directory.js';
import { planOperations, withLabel } from './dataset.js';
import { answer, isNeighbour, operationKey, type Operation } from './operations.js';
import { SeededRandom } from './random.js';
import { makeScene, type Scene } from './scenes.js';
import { describeOperation, type Split } from './wording.js';

/** A line of a data file of P3: the prompt, and its two parts. */
interface PromptRow {
  readonly dataset: string;
  readonly template: string;
  readonly idx: number;
  readonly source: 'demo';
  readonly prompt: string;
  readonly target: string;
  readonly answer_choices: readonly string[];
  readonly instruction: string;
  readonly fields: { readonly input: string };
}

/** What P3 says of a template. */
interface TemplateRecord {
  readonly dataset: string;
  readonly template: string;
  readonly original_task: true;
  readonly has_answer_choices: true;
  readonly instructions: readonly string[];
  readonly rows: number;
}

/** Prompts in the layout of P3, by folder and data set. */
export interface DemoP3 {
  readonly templates: readonly TemplateRecord[];
  readonly rows: Readonly<Record<'train' | 'eval' | 'fewshot', ReadonlyMap<string, readonly PromptRow[]>>>;
}

const TEMPLATES = 3;
const EVALUATED_DATASETS = 8;
const ROWS = { train: 30, eval: 10, fewshot: 8 } as const;

/**
 * The demo's tasks as prompted data sets: what is asked for is a data set, a wording of it a template, and the answers to choose from are
 * those that the other items of the input would give. What is evaluated is asked for in no training prompt.
 */
export function generateDemoP3(seed: number): DemoP3 {
  const { train, test } = planOperations(seed);
  const isPrompted = (operation: Operation): boolean => !operation.second && !isNeighbour(operation.selector);
  const training = train.filter(isPrompted).map((operation) => makeDataset(operation, 'train', seed));
  const evaluated = test
    .filter(isPrompted)
    .slice(0, EVALUATED_DATASETS)
    .map((operation) => makeDataset(operation, 'test', seed));
  const rowsOf = (datasets: readonly PromptedDataset[], folder: keyof DemoP3['rows']) =>
    new Map(datasets.map(({ name, rows }) => [name, rows(folder)]));
  return {
    templates: [...training, ...evaluated].flatMap(({ templates }) => templates),
    rows: {
      train: rowsOf(training, 'train'),
      eval: rowsOf(evaluated, 'eval'),
      fewshot: rowsOf(evaluated, 'fewshot'),
    },
  };
}

interface PromptedDataset {
  readonly name: string;
  readonly templates: readonly TemplateRecord[];
  readonly rows: (folder: keyof DemoP3['rows']) => PromptRow[];
}

function makeDataset(plain: Operation, split: Split, seed: number): PromptedDataset {
  const name = operationKey(plain).replaceAll('-', '_');
  const random = SeededRandom.forPart(seed, `p3 ${name}`);
  const operation = withLabel(plain, random);
  const wordings = new Set<string>();
  while (wordings.size < TEMPLATES) wordings.add(describeOperation(operation, split, random));
  const worded = [...wordings].map((text, i) => ({ template: `wording_${i + 1}`, text }));
  const rowCount = split === 'train' ? ROWS.train : ROWS.eval + ROWS.fewshot;
  return {
    name,
    templates: worded.map(({ template, text }) => ({
      dataset: name,
      template,
      original_task: true,
      has_answer_choices: true,
      instructions: [`${text} [INPUT]`],
      rows: rowCount,
    })),
    rows: (folder) => {
      const scenes = questions(operation, ROWS[folder], SeededRandom.forPart(seed, `p3 ${folder} ${name}`));
      return worded.flatMap(({ template, text }) =>
        scenes.map(({ scene, target, choices }, idx) => ({
          dataset: name,
          template,
          idx,
          source: 'demo' as const,
          prompt: `${text} ${scene.text}`,
          target,
          answer_choices: choices,
          instruction: `${text} [INPUT]`,
          fields: { input: scene.text },
        })),
      );
    },
  };
}

interface ScenedQuestion {
  readonly scene: Scene;
  readonly target: string;
  readonly choices: readonly string[];
}

/** Inputs that have an answer, with the answers of the same form to their other items. */
function questions(operation: Operation, count: number, random: SeededRandom): ScenedQuestion[] {
  const found = new Map<string, ScenedQuestion>();
  while (found.size < count) {
    const scene = makeScene(operation.selector.shape, random);
    const target = answer(operation, scene);
    if (target === undefined) continue;
    const choices = new Set(
      scene.items.flatMap(
        (item) =>
          answer({ ...operation, selector: { ...operation.selector, pick: () => item } }, scene) ?? [],
      ),
    );
    found.set(scene.text, { scene, target, choices: [...choices] });
  }
  return [...found.values()];
}

/**
 * Writes the demo's prompts in the layout of P3: `templates.json`, `splits.json` and a file of JSON lines for each data set. The directory
 * appears complete or not at all.
 *
 * @throws HintError IO if the directory cannot be written
 */
export async function writeDemoP3(directory: string, seed: number): Promise<void> {
  const { templates, rows } = generateDemoP3(seed);
  await writeDirectoryAtomically(directory, async (temporary) => {
    const splits = Object.fromEntries(
      Object.entries(rows).map(([folder, datasets]) => [folder, [...datasets.keys()]]),
    );
    await writeFile(join(temporary, 'templates.json'), `${JSON.stringify(templates, null, 1)}\n`);
    await writeFile(join(temporary, 'splits.json'), `${JSON.stringify(splits, null, 1)}\n`);
    for (const [folder, datasets] of Object.entries(rows)) {
      await mkdir(join(temporary, folder));
      for (const [dataset, lines] of datasets)
        await writeFile(
          join(temporary, folder, `${dataset}.jsonl`),
          lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
        );
    }
  });
}
