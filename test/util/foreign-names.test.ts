import { mkdtemp, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { p3Files, parseP3Row } from '../../src/data/p3/format.js';
import { publishedCap } from '../../src/data/p3/published-sizes.js';
import { rowOf } from '../data/p3/jinja-rows.js';
import { JinjaTemplate } from '../../src/data/p3/promptsource/jinja.js';
import { PromptRenderer } from '../../src/data/p3/promptsource/render.js';
import { readPromptTemplates } from '../../src/data/p3/promptsource/templates.js';
import { runP3Job } from '../../src/data/p3/tokenize.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { scorePredictions } from '../../src/evaluation/score.js';
import { modelOfSize } from '../../src/model/config/sizes.js';
import { findSystem } from '../../src/systems/index.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { applyOverrides, mergeSettings } from '../../src/training/config/overrides.js';
import { findRecipe } from '../../src/training/config/recipes.js';
import { parseBytes } from '../../src/util/bytes.js';
import { recordOf } from '../../src/util/record-schema.js';

/** What every object of JavaScript has without anybody having put it there. */
const INHERITED = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-names-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const renderText = (source: string, row: unknown): string =>
  new JinjaTemplate(source, { where: 'It' })
    .render(rowOf(row as Record<string, unknown>), () => 0)
    .map(({ text }) => text)
    .join('');

describe.each(INHERITED)('a name that every object inherits, %s,', (name) => {
  const own = (value: unknown): Record<string, unknown> =>
    JSON.parse(`{${JSON.stringify(name)}: ${JSON.stringify(value)}}`) as Record<string, unknown>;

  it('is no field of a row that does not have it, and one of a row that does', () => {
    expect(renderText(`{{ ${name} }}`, { text: 'a' })).toBe('');
    expect(renderText(`{{ ${name} }}`, own('mine'))).toBe('mine');
    expect(renderText(`{{ row.${name} }}|{{ row["${name}"] }}`, { row: own('mine') })).toBe('mine|mine');
    expect(renderText(`{{ row.${name} }}|{{ row["${name}"] }}`, { row: {} })).toBe('|');
    expect(renderText(`{% if ${name} is defined %}yes{% else %}no{% endif %}`, {})).toBe('no');
  });

  it('is no system, size, recipe, published dataset or unit of bytes', () => {
    expect(() => findSystem(name)).toThrow(/There is no system/);
    expect(() => modelOfSize(name)).toThrow(/There is no size/);
    expect(() => findRecipe(name)).toThrow(/There is no recipe/);
    expect(() => publishedCap(name)).toThrow(/has no dataset/);
    expect(parseBytes(`8 ${name}`)).toBeUndefined();
  });

  it('is refused as a setting instead of changing what objects are, or being passed over', () => {
    const base = { model: { init: 'base' }, data: { directory: 'sni' }, output: 'run' };
    for (const json of [
      mergeSettings(base, own(1)),
      { ...base, model: { init: 'base', hint: own(1) } },
      { ...base, optimizer: own(1) },
      mergeSettings(base, { data: own(1) }),
    ])
      expect(() => parseTrainingConfig(json, 'it'), JSON.stringify(json)).toThrow(/is unknown/);
    const merged = mergeSettings({ a: 1 }, own({ polluted: true })) as Record<string, unknown>;
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(Object.keys(merged)).toEqual(['a', name]);
    const { groups } = parseTrainingConfig({ ...base, optimizer: { groups: own({}) } }, 'it').optimizer;
    expect(Object.keys(groups)).toEqual([name]);
    const set = (): unknown => applyOverrides({}, [`${name}.polluted=1`]);
    if (name === '__proto__') expect(set).toThrow(/Cannot set/);
    else expect(Object.keys(set() as object)).toEqual([name]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('keeps its place among a file’s own names', async () => {
    const row = { dataset: 'd', template: 't', idx: 0, prompt: 'p', target: 'y', fields: own('text') };
    const parsed = parseP3Row(JSON.stringify(row).replace('{}', JSON.stringify(own('text'))), 'it');
    expect(Object.entries(parsed.fields ?? {})).toEqual([[name, 'text']]);
    const directory = join(folder, 'p3');
    await mkdir(join(directory, 'train'), { recursive: true });
    await writeFile(join(directory, 'splits.json'), JSON.stringify({ train: own({}) }));
    await writeFile(join(directory, 'train', `${name}.jsonl`), '');
    expect((await p3Files(directory, 'train')).map(({ dataset }) => dataset)).toEqual([name]);
    const yaml = join(folder, 'templates.yaml');
    await writeFile(yaml, JSON.stringify({ dataset: 'd', templates: own({ name, jinja: 'a ||| b' }) }));
    expect((await readPromptTemplates(yaml)).templates).toMatchObject([{ name }]);
    const series = benchmarkSeries({ parts: own({ samples: own([1, 2]) }) }, 'it');
    expect(series).toMatchObject([{ name: `${name}: ${name}`, samples: [1, 2] }]);
    const scores = scorePredictions([{ id: name, task: name, prediction: 'x', references: ['x'] }]);
    expect(Object.keys(scores.perTask)).toEqual([name]);
    const schema = recordOf(z.number());
    expect(Object.entries(schema.parse(own(3)))).toEqual([[name, 3]]);
    expect(schema.parse({})[name]).toBeUndefined();
    expect(schema.safeParse(own('x')).error?.issues).toMatchObject([{ code: 'invalid_type', path: [name] }]);
  });

  it('is a token like any other', async () => {
    const file = new URL('../fixtures/bpe-tokenizer/tokenizer.json', import.meta.url);
    const json = JSON.parse(await readFile(file, 'utf8')) as { model: { vocab: Record<string, number> } };
    const id = Object.keys(json.model.vocab).length;
    const text = JSON.stringify(json).replace('"vocab":{', `"vocab":{${JSON.stringify(name)}:${id},`);
    const path = join(folder, 'tokenizer.json');
    await writeFile(path, text);
    const tokenizer = await Tokenizer.load(path);
    expect(tokenizer.decode([id])).toBe(name);
  });
});

it('a template that is not listed is none, whatever its task is called', async () => {
  const line = { dataset: '_', template: 'proto__', idx: 0, prompt: 'p', target: 'y' };
  const job = {
    bytes: Buffer.from(JSON.stringify(line)),
    file: 'it',
    firstLine: 1,
    setting: { form: 't0' as const, shots: 0 },
    tasks: {},
    seed: 0,
    withChoices: false,
    cacheDirectory: null,
    maxInstructionTokens: 9,
    maxInputTokens: 9,
    maxTargetTokens: 9,
  };
  const tokenizer = { idsKey: 'x', get: () => Promise.reject(new Error('never asked')) };
  await expect(runP3Job(job, tokenizer as never)).rejects.toThrow(/templates.json does not list/);
});

it('a row’s fields never stand in for the functions that templates are rendered with', () => {
  const row = {
    __text: 'a',
    __item: 'b',
    __filter_choice: 'c',
    __method_strip: 'd',
    text: ' x ',
    '\uFDD4text': 'e',
  };
  expect(renderText('{{ text.strip() }}{{ [1, 2][0] }}{{ [text] | choice }}', row)).toBe('x1 x ');
  const template = { name: 't', taskName: 't', jinja: '{{ text }} ||| y', answerChoices: undefined, originalTask: true, choicesInPrompt: false, metrics: [] }; // prettier-ignore
  expect(new PromptRenderer(template).render(rowOf(row), () => 0)).toMatchObject({
    prompt: 'x',
    target: 'y',
  });
});
