import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadP3Evaluation } from '../../src/data/p3/evaluation.js';
import { generateDemoP3, writeDemoP3 } from '../../src/demo/p3.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { packageRoot } from '../../src/util/package-root.js';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-demo-p3-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const { templates, rows } = generateDemoP3(1);

it('the demo’s prompts have their answer among several choices, in the input or made of it', () => {
  for (const datasets of Object.values(rows))
    for (const row of [...datasets.values()].flat()) {
      expect(row.answer_choices).toContain(row.target);
      expect(row.answer_choices.length).toBeGreaterThan(1);
      expect(row.instruction.replace('[INPUT]', row.fields.input)).toBe(row.prompt);
    }
});

it('are evaluated on what no training prompt asks for, worked examples apart from what is asked', () => {
  const trained = new Set(rows.train.keys());
  expect([...rows.eval.keys()].filter((name) => trained.has(name))).toEqual([]);
  expect([...rows.fewshot.keys()]).toEqual([...rows.eval.keys()]);
  const asked = new Set([...rows.eval.values()].flat().map(({ prompt }) => prompt));
  expect([...rows.fewshot.values()].flat().filter(({ prompt }) => asked.has(prompt))).toEqual([]);
  const counted = new Map<string, number>();
  for (const datasets of Object.values(rows))
    for (const { dataset, template } of [...datasets.values()].flat())
      counted.set(`${dataset} ${template}`, (counted.get(`${dataset} ${template}`) ?? 0) + 1);
  for (const { dataset, template, rows: count } of templates)
    expect(counted.get(`${dataset} ${template}`)).toBe(count);
});

it('are the same for the same seed, and read as P3 with shots and in split form', async () => {
  expect(JSON.stringify(generateDemoP3(1))).toBe(JSON.stringify(generateDemoP3(1)));
  const directory = join(scratch, 'p3');
  await writeDemoP3(directory, 1);
  const tokenizer = await Tokenizer.load(join(packageRoot(), 'models', 'demo-t5'));
  const set = await loadP3Evaluation({ directory, tokenizer, setting: { form: 'split', shots: 5 } });
  expect(set.templates.size).toBe(24);
  expect(set.examples).toHaveLength(240);
});
