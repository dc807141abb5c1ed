import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Engine } from '../../src/inference/engine.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { publicSettings } from '../../src/training/publish/public-settings.js';
import { publishRun } from '../../src/training/publish/publish.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { packageRoot } from '../../src/util/package-root.js';
import { tinyData, tinyRun } from './run-setup.js';
import { FIXTURES } from './tiny.js';

let scratch: string;
let run: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-publish-'));
  run = join(scratch, 'secret-folder', 'run');
  const validation = { split: 'test', every: 3, instancesPerTask: 2 };
  await trainFromConfig(tinyRun(run, { validation }));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function cardOf(folder: string): Promise<{ matter: Record<string, unknown>; text: string }> {
  const whole = await readFile(join(folder, 'README.md'), 'utf8');
  const [, matter = '', text = ''] = /^---\n(.*?)\n---\n(.*)$/s.exec(whole) ?? [];
  return { matter: parse(matter) as Record<string, unknown>, text };
}

describe('a published run', () => {
  it('is a model with tasks that load and answer, and a card whose links lead somewhere', async () => {
    const to = join(scratch, 'hint-tiny');
    const { files, tasks } = await publishRun(run, { to, license: 'apache-2.0', datasets: ['acme/tasks'] });
    expect((await filesOf(to)).map((file) => file.slice(to.length + 1)).sort()).toEqual(files);
    const { matter, text } = await cardOf(to);
    expect(matter).toMatchObject({
      license: 'apache-2.0',
      library_name: 'hint-engine',
      pipeline_tag: 'text2text-generation',
      datasets: ['acme/tasks'],
      tags: expect.arrayContaining(['hint-engine', 'hint', 't5']),
      'model-index': [{ name: 'hint-tiny', results: expect.any(Array) }],
    });
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link as string);
    expect(links).toContain('training_config.json');
    expect(links.filter((link) => !link.startsWith('https://') && !existsSync(join(to, link)))).toEqual([]);
    expect(tasks.length).toBeGreaterThan(0);
    await using engine = await Engine.open(to);
    for (const { file, definition } of tasks) {
      expect(text).toContain(`[${file}](${file})`);
      const task = await engine.loadTask(join(to, file));
      expect(task.origin?.definition).toBe(definition);
      expect(await task.generate(['a b c'], { maxTokens: 2 })).toHaveLength(1);
      task.dispose();
    }
  });

  it('gives its settings back as those of a run, and the scores of its best model', async () => {
    const to = join(scratch, 'settings');
    await publishRun(run, { to });
    const settings = JSON.parse(await readFile(join(to, 'training_config.json'), 'utf8')) as object;
    const again = parseTrainingConfig({ ...settings, output: 'elsewhere' });
    expect(again).toMatchObject({ steps: 6, batchSize: 4, seed: 5, data: { directory: 'sni' } });
    const best = JSON.parse(await readFile(join(run, 'best', 'validation.json'), 'utf8')) as {
      rougeL: number;
      loss: number;
    };
    const { matter } = await cardOf(to);
    const [{ results }] = matter['model-index'] as [
      { results: { dataset: { name: string }; metrics: [{ name: string; value: number }] }[] },
    ];
    const values = Object.fromEntries(results.map(({ metrics: [{ name, value }] }) => [name, value]));
    expect(values['RougeL']).toBeCloseTo(best.rougeL, 3);
    expect(values['loss per target token, nats']).toBeCloseTo(best.loss, 3);
    const command =
      'hint train --config training_config.json --set model.tokenizer=TOKENIZER --data DATA --output RUN';
    expect((await cardOf(to)).text).toContain(`# loss per target token, nats\n${command}\n`);
    expect(results[0]?.dataset.name).toBe('Super-NaturalInstructions, split test');
  });

  it('names no folder of this machine, and nobody who is logged in', async () => {
    const to = join(scratch, 'private');
    process.env['HF_TOKEN'] = 'hf_secretsecretsecret';
    try {
      await publishRun(run, { to });
    } finally {
      delete process.env['HF_TOKEN'];
    }
    const told = [scratch, 'secret-folder', dirname(FIXTURES), packageRoot(), tmpdir() + '/', 'hf_secret'];
    for (const file of await filesOf(to)) {
      const bytes = await readFile(file);
      expect(
        told.filter((word) => bytes.includes(word)),
        file,
      ).toEqual([]);
    }
    expect(
      publicSettings(tinyRun(run, { data: { ...tinyData(run), directory: '/home/me/tasks' } })),
    ).toMatchObject({
      data: { directory: 'tasks' },
    });
  });

  it('of own data has no instruction but those that are named, and of files only their names', async () => {
    const file = join(scratch, 'records.jsonl');
    const records = Array.from({ length: 12 }, (_, i) =>
      JSON.stringify({ instruction: 'Copy the word.', input: `w${i}`, output: `w${i}` }),
    );
    await writeFile(file, `${records.join('\n')}\n`);
    const own = join(scratch, 'own');
    await trainFromConfig(tinyRun(own, { data: { kind: 'own', files: file }, steps: 1 }));
    const to = join(scratch, 'of-own');
    expect((await publishRun(own, { to })).tasks).toEqual([]);
    const { text } = await cardOf(to);
    expect(text).toContain('records.jsonl');
    expect(text).not.toContain('Copy the word.');
    expect(text).not.toContain('no run from the start');
    await new RunDirectory(own).appendChanges(1, [{ key: 'dropout', before: 0.3, now: 0.1 }]);
    const instruction = { name: '../a b', definition: 'Say | it `again`.', examples: [] };
    const other = join(scratch, 'of-own-named');
    const { tasks } = await publishRun(own, { to: other, instructions: [instruction, instruction] });
    expect(tasks.map(({ file: name }) => name)).toEqual([
      'tasks/_a_b.safetensors',
      'tasks/_a_b-2.safetensors',
    ]);
    const { text: changed } = await cardOf(other);
    expect(changed).toContain('Say \\| it \\`again\\`.');
    expect(changed).toMatch(/from step 1 on dropout 0.1 in place of 0.3: no run from the start/);
  });
});

describe('publishing refuses', () => {
  it.each([
    [{ license: '' }, /The licence is ""; give an identifier of the hub/],
    [{ license: 'Apache 2.0' }, /The licence is "Apache 2\.0"; give an identifier of the hub, in lower case/],
    [{ datasets: ['acme/a', 'my data'] }, /The dataset is "my data"; give its name on the hub/],
  ])('what the hub would: %j', async (given, sentence) => {
    const to = join(scratch, 'not-on-the-hub');
    await expect(publishRun(run, { to, ...given })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(sentence),
    });
    expect(existsSync(to)).toBe(false);
  });

  it.each([
    ['a run that has not finished', 'unfinished', /has not finished: 3 of 6 steps/],
    ['a run that goes on after it had finished', 'going-on', /has not finished: 6 of 12 steps/],
    ['a model without its run', 'model', /is a model without the run that trained it/],
    ['a folder of runs', 'sweep', /is a folder of 2 training runs; give one of them/],
    ['an empty folder', 'empty', /holds no training run/],
    ['what is not there', 'nowhere', /holds no training run/],
  ])('%s', async (_, name, sentence) => {
    const path = join(scratch, 'refused', name);
    if (name === 'unfinished') {
      await cp(run, path, { recursive: true });
      await rm(join(path, 'model'), { recursive: true });
      await keepLines(path, 3);
    } else if (name === 'going-on') {
      await cp(run, path, { recursive: true });
      const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as object;
      await writeFile(join(path, 'config.json'), JSON.stringify({ ...config, steps: 12 }));
    } else if (name === 'model') await cp(join(run, 'model'), path, { recursive: true });
    else if (name === 'sweep')
      for (const seed of ['seed-0', 'seed-1']) await cp(run, join(path, seed), { recursive: true });
    else if (name === 'empty') await mkdir(path, { recursive: true });
    const to = join(scratch, `to-${name}`);
    await expect(publishRun(path, { to })).rejects.toThrow(sentence);
    expect(existsSync(to)).toBe(false);
  });

  it('a folder that has something in it, and one within the run', async () => {
    const to = join(scratch, 'taken');
    await mkdir(to);
    await writeFile(join(to, 'notes.txt'), 'mine');
    await expect(publishRun(run, { to })).rejects.toThrow(/taken has files in it; give a new folder/);
    const twice = join(scratch, 'twice');
    await publishRun(run, { to: twice });
    await expect(publishRun(run, { to: twice })).rejects.toThrow(/twice has a published model in it/);
    await expect(publishRun(run, { to: join(run, 'hub') })).rejects.toThrow(/is within the run/);
    await expect(publishRun(run, { to: join(to, 'notes.txt') })).rejects.toMatchObject({ code: 'IO' });
    expect(await readdir(to)).toEqual(['notes.txt']);
  });
});

/** The first steps of metrics.jsonl. */
async function keepLines(path: string, steps: number): Promise<void> {
  const file = join(path, 'metrics.jsonl');
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  const kept = lines.filter((line) => (JSON.parse(line) as { step: number }).step <= steps);
  await writeFile(file, `${kept.join('\n')}\n`);
}
