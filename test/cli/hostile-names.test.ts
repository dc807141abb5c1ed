import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/formats/safetensors/file.js';
import { removeAll, tinyConfig, writeModel } from '../inference/models.js';

const root = resolve(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures');

/** Sets a terminal's title, its colours, moves its cursor, and turns the direction of what follows. */
const EVIL = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u0008\r\u007f\u202e\u2066\u0000';
const IN_FILE_NAME = '\u001b[31m\u009b2J\u202e\r\u0007';

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function hint(...parameters: string[]): Promise<Outcome> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [join(root, 'dist/bundle/cli/main.js'), ...parameters],
      (error, stdout, stderr) =>
        done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

let folder: string;
let model: string;
const path = (...names: string[]): string => join(folder, ...names);
const lines = (...values: unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-hostile-'));
  await writeSafetensors(
    path('task.safetensors'),
    [{ name: `tensor${EVIL}`, dtype: 'F32', shape: [1], data: new Uint8Array(4) }],
    { format: `pt${EVIL}`, [`key${EVIL}`]: `value${EVIL}` },
  );
  await mkdir(path('run'));
  await writeFile(path('run', 'metrics.jsonl'), lines({ step: 1, loss: 2, [`rate${EVIL}`]: EVIL }));

  const task = {
    Definition: [`Do${EVIL}`],
    'Positive Examples': [],
    'Negative Examples': [],
    Instances: [{ id: `task1-${EVIL}\n== forged`, input: `in${EVIL}`, output: [`out${EVIL}`] }],
  };
  await mkdir(path('sni', 'tasks'), { recursive: true });
  await mkdir(path('sni', 'splits', 'default'), { recursive: true });
  await writeFile(path('sni', 'tasks', 'task1_evil.json'), JSON.stringify(task));
  await writeFile(path('sni', 'splits', 'default', 'test_tasks.txt'), 'task1_evil\n');
  await writeFile(path('sni', 'splits', 'default', 'train_tasks.txt'), 'task1_evil\n');

  const prediction = { id: `1${EVIL}`, task: `task${EVIL}\nforged 100`, prediction: 'x', references: ['x'] };
  await writeFile(path('predictions.jsonl'), lines(prediction));
  await writeFile(path('twice.jsonl'), lines(prediction, prediction));
  await writeFile(path('broken.jsonl'), lines({ nothing: EVIL }));

  const results = { parts: { [`part${EVIL}`]: { samples: { [`row${EVIL}`]: [1, 2, 3] } } } };
  await writeFile(path('before.json'), JSON.stringify(results));
  const other = {
    parts: { [`part${EVIL}`]: { samples: { [`row${EVIL}`]: [9, 9, 9], [`more${EVIL}`]: [1] } } },
  };
  await writeFile(path('after.json'), JSON.stringify(other));

  const template = (jinja: string): string =>
    JSON.stringify({ dataset: `shop${EVIL}`, templates: { a: { name: `ask${EVIL}`, jinja } } });
  await writeFile(path('templates.yaml'), template('{{ text }} ||| y'));
  await writeFile(path('wanting.yaml'), template('{{ text[text].x }} ||| y'));
  await writeFile(path('rows.jsonl'), lines({ text: EVIL, [`field${EVIL}`]: 1 }));

  await mkdir(path('cases'));
  await cp(join(fixtures, 'original', 'greedy'), path('cases', `greedy${IN_FILE_NAME}`), { recursive: true });

  // Every piece that a model can generate has an escape sequence behind it.
  model = await writeModel(tinyConfig(null));
  const tokenizer = JSON.parse(await readFile(join(model, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: [string, number][] };
  };
  for (const piece of tokenizer.model.vocab.slice(300).filter(([name]) => !name.startsWith('<')))
    piece[0] += `${EVIL}${String(Math.random())}`;
  await writeFile(join(model, 'tokenizer.json'), JSON.stringify(tokenizer));
});
afterAll(() => Promise.all([rm(folder, { recursive: true, force: true }), removeAll([model])]));

/** What a terminal acts on, but for ends of lines and tabs. */
const RAW = /(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

const run = (): string[] => ['run', model, '--definition', 'Do it.', '--input', 'a cat', '--max-tokens', '4'];

describe('what a terminal would act on never reaches it from a file:', () => {
  it.each<[string, () => string[], number]>([
    ['metadata and tensor names', () => ['inspect', path('task.safetensors')], 0],
    ['metadata as JSON', () => ['inspect', path('task.safetensors'), '--json'], 0],
    ['metrics of a run', () => ['inspect', path('run')], 0],
    ['ids and texts of a dataset', () => ['data', path('sni'), '--split', 'test', '--tokenizer', join(fixtures, 'tokenizer')], 0], // prettier-ignore
    ['ids and texts as JSON', () => ['data', path('sni'), '--split', 'test', '--tokenizer', join(fixtures, 'tokenizer'), '--json'], 0], // prettier-ignore
    ['names of scored tasks', () => ['score', path('predictions.jsonl')], 0],
    ['names of scored tasks as JSON', () => ['score', path('predictions.jsonl'), '--json'], 0],
    ['an id in an error', () => ['score', path('twice.jsonl')], 1],
    ['a line in an error', () => ['score', path('broken.jsonl')], 1],
    ['an error as JSON', () => ['score', path('twice.jsonl'), '--json'], 1],
    ['outputs of a model', run, 0],
    ['outputs of a model as they come', () => [...run(), '--stream'], 0],
    ['outputs of a model as JSON', () => [...run(), '--json'], 0],
    ['events of a model as JSON', () => [...run(), '--stream', '--json'], 0],
    ['a task file in an error', () => ['run', model, '--task', path('task.safetensors'), '--input', 'a'], 1],
    ['names of cases', () => ['verify', path('cases'), '--threads', '1'], 0],
    ['names of measurements', () => ['bench', 'compare', path('before.json'), path('after.json')], 0],
    ['names of templates and files', () => ['promptsource', path('templates.yaml'), path('rows.jsonl'), '--output', path(`p3${IN_FILE_NAME}`)], 0], // prettier-ignore
    ['a value that has no such field', () => ['promptsource', path('wanting.yaml'), path('rows.jsonl'), '--output', path('p3b')], 0], // prettier-ignore
    ['a path', () => ['inspect', path(`nowhere${IN_FILE_NAME}`)], 1],
    ['an unknown option', () => ['inspect', `--${IN_FILE_NAME}`], 2],
    ['an unknown command', () => [IN_FILE_NAME], 2],
    ['a setting', () => ['train', '--set', `${IN_FILE_NAME}=1`, '--output', path('none')], 2],
  ])('%s', async (_, parameters, code) => {
    const outcome = await hint(...parameters());
    const all = outcome.stdout + outcome.stderr;
    expect(all).not.toMatch(RAW);
    // It was there, and is shown.
    expect(all).toMatch(/\\u001b|\\u009b/);
    expect(all).not.toMatch(/^(== )?forged/m);
    expect(outcome.code).toBe(code);
  });

  it('and JSON output keeps the exact text', async () => {
    const inspected = JSON.parse((await hint('inspect', path('task.safetensors'), '--json')).stdout) as {
      metadata: Record<string, string>;
    };
    expect(inspected.metadata[`key${EVIL}`]).toBe(`value${EVIL}`);
    const [answer] = JSON.parse((await hint(...run(), '--json')).stdout) as { output: string }[];
    expect(answer?.output).toContain(EVIL.replace(/\r.*/s, ''));
  });
});
