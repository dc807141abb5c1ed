import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDirectoryAtomically } from '../util/atomic-directory.js';
import { generateCrossLingualTasks } from './cross-lingual.js';
import {
  generateDemoDataset,
  TEST_INSTANCES,
  TRAIN_INSTANCES,
  type DemoDatasetOptions,
  type InstructionTask,
} from './dataset.js';
import { generatePretrainingPairs, type TextPair } from './pretraining.js';
import { buildDemoTokenizer } from './tokenizer.js';

type Splits = Readonly<Record<'train' | 'test' | 'excluded', readonly InstructionTask[]>>;

/** @param tracks the lists of each track; a task of several is written once */
async function writeTasks(directory: string, tracks: Readonly<Record<string, Splits>>): Promise<void> {
  const tasks = join(directory, 'tasks');
  await mkdir(tasks, { recursive: true });
  const written = new Set<string>();
  for (const [track, splits] of Object.entries(tracks)) {
    const lists = join(directory, 'splits', track);
    await mkdir(lists, { recursive: true });
    for (const [split, members] of Object.entries(splits)) {
      for (const { name, ...task } of members) {
        if (!written.has(name))
          await writeFile(join(tasks, `${name}.json`), `${JSON.stringify(task, null, 1)}\n`);
        written.add(name);
      }
      await writeFile(join(lists, `${split}_tasks.txt`), members.map(({ name }) => `${name}\n`).join(''));
    }
  }
}

/**
 * Writes the demo's tasks in the layout of a Super-NaturalInstructions checkout: `tasks/*.json` and
 * `splits/{default,xlingual}/{train,test,excluded}_tasks.txt`. The cross-lingual track trains on translations, too, and is
 * tested on Italian. The directory appears complete or not at all.
 *
 * @throws HintError IO if the directory cannot be written; INVALID_ARGUMENT for bad options.
 */
export async function writeDemoDataset(directory: string, options: DemoDatasetOptions): Promise<void> {
  const { train, test } = generateDemoDataset(options);
  const { seed, trainInstances = TRAIN_INSTANCES, testInstances = TEST_INSTANCES } = options;
  const foreign = generateCrossLingualTasks({ seed, trainInstances, testInstances });
  await writeDirectoryAtomically(directory, (temporary) =>
    writeTasks(temporary, {
      default: { train, test, excluded: [...foreign.train, ...foreign.test] },
      xlingual: { train: [...train, ...foreign.train], test: foreign.test, excluded: test },
    }),
  );
}

/** Instances of one task file, as many as the reader takes of a task. */
const PAIRS_PER_TASK = 100;
const VALIDATION_PAIRS = 400;

function pretrainingTask(pairs: readonly TextPair[], index: number): InstructionTask {
  const number = 5001 + index;
  return {
    name: `task${number}_demo_pretraining`,
    Contributors: ['hint-engine'],
    Source: ['demo'],
    URL: [],
    Categories: ['Demo pretraining'],
    Reasoning: [],
    Definition: ['Continue the text.'],
    Input_language: ['English'],
    Output_language: ['English'],
    Instruction_language: ['English'],
    Domains: ['text'],
    'Positive Examples': [],
    'Negative Examples': [],
    Instances: pairs.map(({ input, target }, i) => ({
      id: `task${number}-${String(i).padStart(32, '0')}`,
      input,
      output: [target],
    })),
    'Instance License': ['Apache-2.0'],
  };
}

/**
 * Writes the pretraining text as a dataset that `no-instruct` trains on (input to target, no instruction): the same
 * layout, 100 pairs a task, the first tasks kept back as the test split.
 *
 * @throws HintError IO if the directory cannot be written.
 */
export async function writePretrainingDataset(
  directory: string,
  options: { seed: number; documents: number },
): Promise<void> {
  const pairs = [
    ...generatePretrainingPairs({ ...options, documents: options.documents + VALIDATION_PAIRS }),
  ];
  const tasks: InstructionTask[] = [];
  for (let start = 0; start < pairs.length; start += PAIRS_PER_TASK) {
    tasks.push(pretrainingTask(pairs.slice(start, start + PAIRS_PER_TASK), tasks.length));
  }
  const held = VALIDATION_PAIRS / PAIRS_PER_TASK;
  await writeDirectoryAtomically(directory, (temporary) =>
    writeTasks(temporary, {
      default: { train: tasks.slice(held), test: tasks.slice(0, held), excluded: [] },
    }),
  );
}

/**
 * Writes `tokenizer.json` and `tokenizer_config.json` of the demo's tokenizer into a directory.
 *
 * @throws HintError IO if it cannot be written.
 */
export async function writeDemoTokenizer(directory: string): Promise<void> {
  const { tokenizer, config } = buildDemoTokenizer();
  await writeDirectoryAtomically(directory, async (temporary) => {
    await writeFile(join(temporary, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
    await writeFile(join(temporary, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`);
  });
}
