import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BENCH_RESULTS,
  checkReplaceable,
  picture,
  PREDICTIONS,
  report,
  TASK,
  type ReplaceableKind,
} from '../../src/util/existing.js';

const root = resolve(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures');
const model = join(fixtures, 'original', 'greedy');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-foreign-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function hint(...parameters: string[]): Promise<{ code: number; stderr: string }> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [join(root, 'dist/bundle/cli/main.js'), ...parameters],
      (error, _, stderr) => done({ code: typeof error?.code === 'number' ? error.code : 0, stderr }),
    );
    child.stdin?.end();
  });
}

/** Every file below a folder with its content. */
async function contents(directory: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of (await readdir(directory, { recursive: true })).sort()) {
    const file = join(directory, name);
    found.set(name, (await stat(file)).isFile() ? (await readFile(file)).toString('latin1') : '(folder)');
  }
  return found;
}

/** Puts files there, runs a command on the folder, and expects one sentence and nothing changed. */
async function expectRefusal(
  files: Record<string, string | Buffer>,
  command: (directory: string) => string[],
  message: RegExp,
): Promise<void> {
  const directory = await mkdtemp(join(folder, 'case-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  const before = await contents(directory);
  const { code, stderr } = await hint(...command(directory));
  expect(stderr).toMatch(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(code).toBeGreaterThan(0);
  expect(await contents(directory)).toEqual(before);
}

const promptsource = (directory: string): string[] => [
  'promptsource',
  join(fixtures, 'promptsource/templates.yaml'),
  join(fixtures, 'promptsource/rows.jsonl'),
  '--output',
  directory,
];
const train = (directory: string): string[] => ['train', '--data', join(fixtures, 'sni'), '--init', model, '--set', `model.tokenizer=${join(fixtures, 'tokenizer')}`, '--steps', '1', '--output', directory]; // prettier-ignore
const notes = 'my notes, nowhere else\n';
const entry = {
  dataset: 'd',
  template: 't',
  original_task: true,
  has_answer_choices: false,
  instructions: [],
  rows: 1,
};

describe('a command that would write over what is not its own says so in one sentence and changes nothing:', () => {
  it.each<[string, Record<string, string | Buffer>, (directory: string) => string[], RegExp]>([
    ['templates.json of another program', { 'templates.json': '[{"name": "mail"}]' }, promptsource, /templates\.json is not a list of P3 templates: field 0\.dataset/], // prettier-ignore
    [
      'templates.json that is an object',
      { 'templates.json': '{}' },
      promptsource,
      /templates\.json is not a list/,
    ],
    [
      'templates.json cut off',
      { 'templates.json': '[{"data' },
      promptsource,
      /templates\.json is not valid JSON/,
    ],
    ['counts that are none', { 'templates.json': JSON.stringify([{ ...entry, rows_by_split: { train: 'x' } }]) }, promptsource, /rows_by_split/], // prettier-ignore
    ['splits.json of another program', { 'splits.json': '{"train": 0.8}' }, promptsource, /splits\.json is not the splits of P3: field train/], // prettier-ignore
    ['prompts that were not rendered', { 'train/shop_reviews.jsonl.gz': gzipSync(`${JSON.stringify({ dataset: 'shop_reviews', template: 't', idx: 0, prompt: 'p', target: 'y' })}\n`) }, promptsource, /shop_reviews\.jsonl\.gz exists and holds no prompts .* rendered here/], // prettier-ignore
    [
      'a file that is no archive',
      { 'train/shop_reviews.jsonl.gz': notes },
      promptsource,
      /shop_reviews\.jsonl\.gz exists/,
    ],
    ['a model where a run should go', { 'config.json': '{"model_type": "t5"}', 'model.safetensors': 'x' }, train, /holds config\.json, model\.safetensors, which no training run/], // prettier-ignore
    ['a config.json of something else', { 'config.json': '{"name": "app"}' }, train, /holds config\.json/],
    ['a folder named model', { 'model/notes.txt': notes }, train, /holds model,/],
    ['metrics of something else', { 'metrics.jsonl': 'not json\n' }, train, /holds a training run already/],
    ['weights in place of a task', { 'model.safetensors': readFileSync(join(model, 'model.safetensors')) }, (directory) => ['compile', model, '--definition', 'x', '--output', join(directory, 'model.safetensors')], /model\.safetensors exists and is not a compiled task/], // prettier-ignore
    ['a folder in place of a task', { 'task/notes.txt': notes }, (directory) => ['compile', model, '--definition', 'x', '--output', join(directory, 'task')], /task: it is a directory/], // prettier-ignore
    ['no folder for a task', {}, (directory) => ['compile', model, '--definition', 'x', '--output', join(directory, 'none', 'task')], /none is no folder/], // prettier-ignore
    ['notes in place of predictions', { 'predictions.jsonl': notes }, (directory) => ['eval', model, '--data', join(fixtures, 'sni'), '--predictions', join(directory, 'predictions.jsonl')], /is not a predictions file/], // prettier-ignore
    ['notes in place of results of tasks', { 'a.json': notes }, (directory) => ['bench', 'tasks', '--output', join(directory, 'a.json')], /is not a results file/], // prettier-ignore
    ['notes in place of results of training', { 'a.json': '{"name": "app"}' }, (directory) => ['bench', 'training', '--output', join(directory, 'a.json')], /is not a results file/], // prettier-ignore
    ['a report of something else', { 'latency.md': '# Shopping\n' }, (directory) => ['bench', 'latency', '--output', directory], /latency\.md exists and is not the report/], // prettier-ignore
    ['a picture that is none', { 'a.svg': notes }, (directory) => ['flops', '--curve', '--plot', join(directory, 'a.svg')], /a\.svg exists and is not an SVG picture/], // prettier-ignore
    ['a table of something else', { 'table1.json': '[]' }, (directory) => ['reproduce', 'table1', '--demo', '--output', directory], /table1\.json exists and is not the results of a table/], // prettier-ignore
    ['a folder of something else in place of a model', { 'notes.txt': notes }, (directory) => ['demo', '--pretrain', directory], /neither empty nor a model/], // prettier-ignore
    ['a file in place of the demo’s folder', { out: notes }, (directory) => ['demo', '--output', join(directory, 'out')], /out is no folder/], // prettier-ignore
  ])('%s', async (_, files, command, message) => {
    await expectRefusal(files, command, message);
  });
});

describe('an earlier result of the same kind is replaced:', () => {
  it('prompts that were rendered before, also where no row gave one', async () => {
    const directory = join(folder, 'again');
    expect((await hint(...promptsource(directory))).code).toBe(0);
    const before = await contents(directory);
    expect((await hint(...promptsource(directory))).code).toBe(0);
    expect(await contents(directory)).toEqual(before);
    await writeFile(join(directory, 'train', 'shop_reviews.jsonl.gz'), gzipSync(''));
    expect((await hint(...promptsource(directory))).code).toBe(0);
    expect(await contents(directory)).toEqual(before);
  });

  it('keeps what else the lists say', async () => {
    const directory = join(folder, 'lists');
    await mkdir(directory);
    const other = { ...entry, note: 'mine' };
    await writeFile(join(directory, 'templates.json'), JSON.stringify([other]));
    await writeFile(join(directory, 'splits.json'), JSON.stringify({ eval: { d: { rows: 1 } }, more: 1 }));
    expect((await hint(...promptsource(directory))).code).toBe(0);
    const read = async (name: string): Promise<unknown> =>
      JSON.parse(await readFile(join(directory, name), 'utf8'));
    expect(((await read('templates.json')) as unknown[])[0]).toEqual(other);
    expect(await read('splits.json')).toEqual({ eval: { d: { rows: 1 } }, more: 1, train: ['shop_reviews'] });
  });

  it.each<[string, ReplaceableKind, () => Promise<string | Buffer>]>([
    ['predictions', PREDICTIONS, () => Promise.resolve('{"id":"1","task":"t","prediction":"x"}\n')],
    ['results', BENCH_RESULTS, () => Promise.resolve('{"machine":{},"date":"","parts":{}}\n')],
    ['a task', TASK, () => readFile(join(fixtures, 'tasks/hint-version-2.safetensors'))],
    ['an SVG', picture('a.svg'), () => Promise.resolve('<svg xmlns="x">')],
    [
      'a PNG',
      picture('a.PNG'),
      () => Promise.resolve(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])),
    ],
    ['a report', report('Größe'), () => Promise.resolve('# Größe\n\ntext')],
    ['nothing yet', TASK, () => Promise.resolve('')],
  ])('%s', async (_, kind, content) => {
    const path = join(folder, 'replaceable');
    await writeFile(path, await content());
    await expect(checkReplaceable(path, kind)).resolves.toBeUndefined();
    await writeFile(path, notes);
    await expect(checkReplaceable(path, kind)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(checkReplaceable(join(folder, 'not yet'), kind)).resolves.toBeUndefined();
    await expect(checkReplaceable('/dev/null', kind)).resolves.toBeUndefined();
  });
});
