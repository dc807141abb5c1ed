import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadP3Evaluation, type P3EvaluationOptions } from '../../src/data/p3/evaluation.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { averageDatasets, evaluateP3 } from '../../src/evaluation/rank-classification.js';
import { scoreFile } from '../../src/evaluation/score.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, randomModel, removeAll, tinyConfig, TOKENIZER } from '../inference/models.js';

const P3 = new URL('../fixtures/p3', import.meta.url).pathname;
let device: Device;
let tokenizer: Tokenizer;
let folder: string;

beforeAll(async () => {
  device = new Device({ threads: 2 });
  tokenizer = await Tokenizer.load(TOKENIZER);
  folder = await mkdtemp(join(tmpdir(), 'hint-rank-'));
});
afterAll(async () => {
  device.close();
  await removeAll([folder]);
});

const load = (changed: Partial<P3EvaluationOptions> = {}) =>
  loadP3Evaluation({
    directory: P3,
    setting: { form: 'split', shots: 0 },
    tokenizer,
    threads: 0,
    ...changed,
  });

describe('loadP3Evaluation', () => {
  it('takes the templates of the original task, with choices where the dataset has them', async () => {
    const { examples, templates } = await load();
    expect([...templates.keys()]).toHaveLength(5);
    expect(examples.filter(({ choices }) => choices).map(({ task }) => task.slice(0, 14))).toEqual(
      Array.from({ length: 18 }, () => 'super_glue_rte'),
    );
    await expect(load({ split: 'train' })).rejects.toMatchObject({ code: 'INVALID_DATA' });
    expect((await load({ split: 'train', allTemplates: true })).examples).toHaveLength(31);
  });

  it('shows every example of a template the same worked examples, from other instances', async () => {
    const { examples } = await load({ setting: { form: 'joint', shots: 2 } });
    const ofTask = new Map<string, Set<string>>();
    for (const { task, instruction } of examples) {
      const text = tokenizer.decode(instruction);
      expect(text.match(/ Output: /g)).toHaveLength(2);
      expect(text).toMatch(/ Definition: /);
      ofTask.set(task, (ofTask.get(task) ?? new Set()).add(text));
    }
    expect([...ofTask.values()].every(({ size }) => size === 1)).toBe(true);
    const other = await load({ setting: { form: 'joint', shots: 2 }, seed: 1 });
    expect(other.examples).not.toEqual(examples);
    await expect(load({ setting: { form: 'joint', shots: 7 } })).rejects.toThrow(
      /has 6 worked examples|has 3 worked/,
    );
  });
});

describe('evaluateP3', () => {
  it('ranks where there are choices, generates where there are none, and averages templates', async () => {
    const predictionsFile = join(folder, 'predictions.jsonl');
    const model = randomModel(device, tinyConfig(FULL_HINT));
    const set = await load();
    const result = await evaluateP3({ model, tokenizer }, set, { maxTokens: 4, predictionsFile });
    expect(result.templates).toHaveLength(5);
    for (const { dataset, accuracy, rougeL } of result.templates)
      expect([accuracy === undefined, rougeL === undefined]).toEqual(
        dataset === 'samsum' ? [true, false] : [false, true],
      );
    const rte = result.templates.filter(({ dataset }) => dataset === 'super_glue_rte');
    const mean = rte.reduce((sum, { accuracy }) => sum + accuracy!, 0) / rte.length;
    expect(result.datasets.find(({ dataset }) => dataset === 'super_glue_rte')).toEqual({
      dataset: 'super_glue_rte',
      accuracy: mean,
      count: 18,
      templates: 3,
    });
    expect(result.average).toBe(mean);
    expect(result.unanswerable).toBe(0);
    // The file says the same: exact match of ranked predictions is their accuracy.
    const scores = await scoreFile(predictionsFile);
    for (const { template, accuracy } of rte)
      expect(scores.perTask[`super_glue_rte_${template}`]!.exactMatch).toBeCloseTo(accuracy!, 3);
    const [line] = (await readFile(predictionsFile, 'utf8')).split('\n');
    const first = JSON.parse(line!) as { choices: string[]; scores: number[]; prediction: string };
    expect(first.prediction).toBe(first.choices[first.scores.indexOf(Math.max(...first.scores))]);
  });

  it('counts a target that is no choice as wrong and says so, and refuses an empty list', async () => {
    const model = randomModel(device, tinyConfig(null));
    const set = await load({ setting: { form: 't0', shots: 1 }, datasets: ['super_glue_rte'] });
    const examples = set.examples.map((example) => ({ ...example, references: ['Perhaps'] }));
    const result = await evaluateP3({ model, tokenizer }, { ...set, examples });
    expect([result.average, result.unanswerable]).toEqual([0, 18]);
    const empty = examples.map((example) => ({ ...example, choices: [] }));
    await expect(evaluateP3({ model, tokenizer }, { ...set, examples: empty })).rejects.toThrow(/empty list/);
    await expect(evaluateP3({ model, tokenizer }, { ...set, examples: [] })).rejects.toThrow(/0 examples/);
  });
});

describe('averageDatasets', () => {
  it('counts the rounds of ANLI as one dataset, each round the same', () => {
    const row = (dataset: string, accuracy: number) => ({ dataset, accuracy, count: 10 });
    const rows = [
      row('anli_r1', 10),
      row('anli_r1', 30),
      row('anli_r2', 50),
      row('anli_r3', 90),
      row('cb', 1),
    ];
    expect(averageDatasets(rows)).toEqual([
      { dataset: 'anli', accuracy: (20 + 50 + 90) / 3, count: 40, templates: 4 },
      { dataset: 'cb', accuracy: 1, count: 10, templates: 1 },
    ]);
  });
});
