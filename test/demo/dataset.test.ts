import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateCrossLingualTasks } from '../../src/demo/cross-lingual.js';
import { generateDemoDataset, planOperations, type InstructionTask } from '../../src/demo/dataset.js';
import { writeDemoDataset } from '../../src/demo/files.js';
import { inItalian } from '../../src/demo/italian.js';
import { CATEGORIES } from '../../src/demo/lexicon.js';
import { answer, operationKey } from '../../src/demo/operations.js';
import { makeScene } from '../../src/demo/scenes.js';
import { SeededRandom } from '../../src/demo/random.js';
import { INTRODUCTIONS, REQUESTS } from '../../src/demo/wording.js';

const { train, test } = generateDemoDataset({ seed: 1 });
const definitionOf = (task: InstructionTask): string => task.Definition[0] ?? '';
const keyOf = (task: InstructionTask): string => task.name.replace(/^task\d+_demo_/, '');
const wordsOf = (text: string): string[] => text.match(/[A-Za-z]+|[0-9]+/g) ?? [];

describe('demo dataset', () => {
  it('is the same for the same seed and another for another', () => {
    expect(JSON.stringify(generateDemoDataset({ seed: 1 }))).toBe(JSON.stringify({ train, test }));
    expect(JSON.stringify(generateDemoDataset({ seed: 2 }).train)).not.toBe(JSON.stringify(train));
  });

  it('has hundreds of training tasks with instances in each task', () => {
    expect(train.length).toBeGreaterThan(300);
    expect(test.length).toBeGreaterThan(50);
    for (const task of [...train, ...test])
      expect(task.Instances.length, task.name).toBeGreaterThanOrEqual(10);
  });

  it('shows no test definition, sentence frame or input in training', () => {
    const definitions = new Set(train.map(definitionOf));
    const inputs = new Set(train.flatMap((task) => task.Instances.map(({ input }) => input)));
    for (const task of test) {
      expect(definitions.has(definitionOf(task)), definitionOf(task)).toBe(false);
    }
    const testInputs = test.flatMap((task) => task.Instances.map(({ input }) => input));
    // Short number rows can be drawn twice by chance; anything else would be a leak between the pools.
    const shared = testInputs.filter((input) => inputs.has(input) && !input.startsWith('Numbers'));
    expect(shared).toEqual([]);
    for (const { train: shown, test: kept } of [
      ...Object.values(REQUESTS),
      ...Object.values(INTRODUCTIONS),
    ]) {
      expect(kept.filter((sentence) => shown.includes(sentence))).toEqual([]);
    }
  });

  it('keeps the unseen combinations out of training while training shows both of their parts', () => {
    const plan = planOperations(1);
    const trained = new Set(plan.train.map(operationKey));
    const selectors = new Set(plan.train.flatMap(({ selector, second }) => [selector.key, second?.key]));
    const formats = new Set(plan.train.map(({ format }) => format));
    for (const operation of plan.test) {
      expect(trained.has(operationKey(operation)), operationKey(operation)).toBe(false);
      expect(selectors.has(operation.selector.key), operation.selector.key).toBe(true);
      expect(formats.has(operation.format)).toBe(true);
    }
    const unseen = new Set(plan.test.map(operationKey));
    expect(train.map(keyOf).filter((key) => unseen.has(key))).toEqual([]);
    expect(test.map(keyOf).filter((key) => unseen.has(key)).length).toBeGreaterThan(test.length / 2);
  });

  it('describes test tasks with words that training definitions use', () => {
    const known = new Set(train.flatMap((task) => wordsOf(definitionOf(task))));
    const strange = new Set(
      test.flatMap((task) => wordsOf(definitionOf(task))).filter((word) => !known.has(word)),
    );
    expect([...strange]).toEqual([]);
  });

  it('gives one answer to an input within a task, and many across tasks', () => {
    const answers = new Map<string, Set<string>>();
    const ambiguous: string[] = [];
    for (const task of train) {
      if (new Set(task.Instances.map(({ input }) => input)).size < task.Instances.length)
        ambiguous.push(task.name);
      for (const { input, output } of task.Instances) {
        if (output.length !== 1) ambiguous.push(task.name);
        answers.set(input, (answers.get(input) ?? new Set()).add(output[0] ?? ''));
      }
    }
    expect(ambiguous).toEqual([]);
    const repeated = [...answers.values()].filter((outputs) => outputs.size >= 3);
    expect(repeated.length).toBeGreaterThan(answers.size / 2);
  });

  it('answers by what the input says', () => {
    const { train: operations } = planOperations(1);
    const find = (key: string) => operations.find((operation) => operationKey(operation) === key);
    const last = find('words_last_plain');
    const scene = makeScene('words', new SeededRandom(5));
    expect(last && answer(last, scene)).toBe(scene.text.slice(0, -1).split(' ').at(-1));
    const largest = find('numbers_largest_plain');
    const numbers = makeScene('numbers', new SeededRandom(5));
    expect(largest && answer(largest, numbers)).toBe(
      String(Math.max(...(numbers.text.match(/\d+/g) ?? []).map(Number))),
    );
    expect(largest && answer(largest, scene)).toBeUndefined();
  });

  it('refuses a count it cannot serve', () => {
    expect(() => generateDemoDataset({ seed: 1, trainInstances: 101 })).toThrow(/trainInstances is 101/);
    expect(() => generateDemoDataset({ seed: 1, wordings: 0 })).toThrow(/wordings is 0/);
  });
});

describe('the cross-lingual track of the demo', () => {
  const foreign = generateCrossLingualTasks({ seed: 1, trainInstances: 20, testInstances: 10 });

  it('is the same for the same seed, with distinct inputs in each task', () => {
    expect(generateCrossLingualTasks({ seed: 1, trainInstances: 20, testInstances: 10 })).toEqual(foreign);
    for (const { name, Instances } of [...foreign.train, ...foreign.test])
      expect([name, new Set(Instances.map(({ input }) => input)).size]).toEqual([
        name,
        foreign.train.some((one) => one.name === name) ? 20 : 10,
      ]);
  });

  it('trains on translations both ways and is tested on Italian alone, by English instructions', () => {
    const english = Object.values(CATEGORIES).flat();
    // "banana" is a word of both.
    const italian = english.map(inItalian);
    const speaks = (language: string | undefined, text: string): boolean =>
      wordsOf(text.replace(/^Words: /, '')).every((word) =>
        (language === 'Italian' ? italian : english).includes(word),
      );
    for (const { Instances, Output_language, Input_language } of [...foreign.train, ...foreign.test])
      for (const { input, output } of Instances) {
        expect([input, speaks(Input_language[0], input)]).toEqual([input, true]);
        expect([output, speaks(Output_language[0], output[0] ?? '')]).toEqual([output, true]);
      }
    for (const { Output_language, Input_language } of foreign.train)
      expect(Output_language).not.toEqual(Input_language);
    for (const { Input_language, Instruction_language } of foreign.test)
      expect([Input_language, Instruction_language]).toEqual([['Italian'], ['English']]);
  });

  it('answers by the input: a translation names the word of the category that is there', () => {
    const toEnglish = foreign.train.find(({ name }) => name.endsWith('translate_animal_to_english'));
    expect(toEnglish?.Definition).toEqual([
      'You are given a list of words in Italian. Write the animal in English.',
    ]);
    for (const { input, output } of toEnglish?.Instances ?? [])
      expect(wordsOf(input)).toContain(inItalian(output[0] ?? ''));
    const last = foreign.test.find(({ name }) => name.endsWith('italian_words_last_plain'));
    for (const { input, output } of last?.Instances ?? []) expect(wordsOf(input).at(-1)).toBe(output[0]);
  });

  it('is made of words that the tokenizer of the demo can spell', () => {
    for (const { Instances } of [...foreign.train, ...foreign.test])
      for (const { input, output } of Instances) expect(`${input}${output.join()}`).toMatch(/^[ -~]+$/);
  });
});

describe('demo dataset on disk', () => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'hint-demo-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('is laid out as a Super-NaturalInstructions checkout, every listed task present', async () => {
    const directory = join(root, 'data');
    await writeDemoDataset(directory, { seed: 1, trainInstances: 3, testInstances: 3 });
    const list = async (split: string, track = 'default'): Promise<string[]> =>
      (await readFile(join(directory, 'splits', track, `${split}_tasks.txt`), 'utf8'))
        .split('\n')
        .filter(Boolean);
    const [trainNames, testNames] = [await list('train'), await list('test')];
    const excluded = await list('excluded');
    const [foreignTrain, foreignTest] = [await list('train', 'xlingual'), await list('test', 'xlingual')];
    expect([foreignTest.length, foreignTrain.length - trainNames.length]).toEqual([16, 12]);
    expect([...foreignTrain, ...foreignTest].sort()).toEqual([...trainNames, ...excluded].sort());
    expect(await list('excluded', 'xlingual')).toEqual(testNames);
    const files = (await readdir(join(directory, 'tasks'))).map((file) => file.replace('.json', ''));
    expect(files.sort()).toEqual([...trainNames, ...testNames, ...excluded].sort());
    const task = JSON.parse(
      await readFile(join(directory, 'tasks', `${testNames[0]}.json`), 'utf8'),
    ) as InstructionTask;
    expect(task.Instances).toHaveLength(3);
    expect(task.Instances[0]?.id).toMatch(/^task\d{4}-[0-9a-f]{32}$/);
    expect(task['Positive Examples']).toHaveLength(2);
  });

  it('fails with a sentence where it cannot write, and leaves nothing behind', async () => {
    await writeFile(join(root, 'file'), 'kept');
    const before = await readdir(root);
    for (const directory of ['/proc/hint-demo/data', join(root, 'file', 'data')]) {
      await expect(writeDemoDataset(directory, { seed: 1, trainInstances: 1 })).rejects.toThrow(
        /Could not write/,
      );
    }
    expect(await readdir(root)).toEqual(before);
  });
});
