import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTextLines } from '../../src/data/line-blocks.js';
import { loadSniDataset } from '../../src/data/natural-instructions/dataset.js';
import { NOTICED } from '../../src/data/noticed.js';
import { loadP3Evaluation } from '../../src/data/p3/evaluation.js';
import { P3Source } from '../../src/data/p3/source.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { describeNotice, Notices } from '../../src/util/notices.js';

const fixtures = resolve(import.meta.dirname, '../fixtures');
let folder: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-noticed-'));
  tokenizer = await Tokenizer.load(join(fixtures, 'tokenizer'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Counts by kind. */
function counts(notices: Notices): Record<string, number> {
  return Object.fromEntries(notices.list.map(({ what, count }) => [what, count]));
}

describe('notices', () => {
  it('name a kind once, with its count and three places', () => {
    const notices = new Notices();
    for (let i = 0; i < 5; i++) notices.add('odd things', `place ${i}`);
    notices.addAll([{ what: 'odd things', count: 10, places: ['elsewhere'] }]);
    notices.addOnce('files', 'a');
    notices.addOnce('files', 'a');
    expect(notices.list.map(describeNotice)).toEqual([
      'odd things: 15 (place 0; place 1; place 2; …)',
      'files: 1 (a)',
    ]);
  });

  it('tell of an empty file, and of zeros between the members of an archive whose second member is read', async () => {
    const file = join(folder, 'padded.jsonl.gz');
    await writeFile(file, Buffer.concat([gzipSync('1\n'), Buffer.alloc(100), gzipSync('2\n')]));
    const empty = join(folder, 'empty.jsonl');
    await writeFile(empty, '');
    const notices = new Notices();
    const texts: string[] = [];
    for (const one of [file, empty])
      for await (const { text } of readTextLines(one, 'the file', { notices })) texts.push(text);
    expect(texts).toEqual(['1', '2']);
    expect(counts(notices)).toEqual({ [NOTICED.padded]: 1, [NOTICED.empty]: 1 });
  });
});

describe('Super-NaturalInstructions', () => {
  it('loses no task, definition, id or instance in silence, and evaluates instances with one id as two', async () => {
    const directory = join(folder, 'sni');
    await cp(join(fixtures, 'sni'), directory, { recursive: true });
    const list = join(directory, 'splits/default/test_tasks.txt');
    const names = (await readFile(list, 'utf8')).trim().split('\n');
    const instance = { id: 'same', input: 'i', output: ['o'] };
    const task = {
      Definition: ['first', 'second'],
      'Positive Examples': [],
      Instances: [instance, { ...instance, input: 'j' }, { ...instance, id: 'other' }],
    };
    await writeFile(join(directory, 'tasks/odd.json'), JSON.stringify(task));
    await writeFile(
      join(directory, 'tasks/none.json'),
      JSON.stringify({ ...task, Definition: 'd', Instances: [] }),
    );
    await writeFile(list, [...names, 'odd', 'none', 'odd', ''].join('\r\n'));
    const cacheDirectory = join(folder, 'cache');
    const setting = { format: 'hint', positives: 0 } as const;
    for (const round of ['made', 'from the cache']) {
      const notices = new Notices();
      const options = {
        directory,
        split: 'test',
        setting,
        tokenizer,
        cacheDirectory,
        notices,
        threads: 0,
      } as const;
      const examples = await loadSniDataset(options);
      const ids = examples.filter(({ task: name }) => name === 'odd').map(({ id }) => id);
      expect(ids, round).toEqual(['same', 'same#2', 'other']);
      expect(counts(notices), round).toEqual({
        [NOTICED.listedTwice]: 1,
        [NOTICED.definitions]: 1,
        [NOTICED.noInstances]: 1,
        [NOTICED.ids]: 1,
        [NOTICED.repeated]: 1,
      });
    }
  });
});

describe('P3', () => {
  it('loses no dataset, template or row in silence, in training and in evaluation', async () => {
    const directory = join(folder, 'p3');
    await cp(join(fixtures, 'p3'), directory, { recursive: true });
    const splits = JSON.parse(await readFile(join(directory, 'splits.json'), 'utf8')) as Record<
      string,
      string[]
    >;
    const templates = JSON.parse(await readFile(join(directory, 'templates.json'), 'utf8')) as {
      dataset: string;
      template: string;
    }[];
    const train = (
      Array.isArray(splits['train']) ? splits['train'] : Object.keys(splits['train']!)
    ) as string[];
    const evaluated = (
      Array.isArray(splits['eval']) ? splits['eval'] : Object.keys(splits['eval']!)
    ) as string[];
    const known = templates.find(({ dataset }) => dataset === train[0])!;
    await writeFile(
      join(directory, 'templates.json'),
      JSON.stringify([...templates, { ...known, template: 'nobody uses this' }]),
    );
    await writeFile(
      join(directory, 'splits.json'),
      JSON.stringify({ train: [...train, 'bare'], eval: evaluated, fewshot: [], extra: [] }),
    );
    await writeFile(join(directory, 'train/bare.jsonl'), '');
    await writeFile(join(directory, 'train/unlisted.jsonl'), '{}\n');
    // The first row once more, and once without what the form needs.
    const file = join(directory, `train/${train[0]}.jsonl.gz`);
    const rows = gunzipSync(await readFile(file))
      .toString('utf8')
      .trimEnd()
      .split('\n');
    const bare = JSON.parse(rows[0]!) as Record<string, unknown>;
    delete bare['fields'];
    delete bare['instruction'];
    await writeFile(file, gzipSync([...rows, rows[0], JSON.stringify({ ...bare, idx: 99_999 })].join('\n')));
    const notices = new Notices();
    const setting = { form: 'no-prompt', shots: 0 } as const;
    await P3Source.open({ directory, split: 'train', setting, tokenizer, notices, threads: 0 });
    const found = counts(notices);
    expect(found).toMatchObject({
      [NOTICED.notListed]: 1,
      [NOTICED.noTemplates]: 1,
      [NOTICED.rows]: 1,
      // The fixture has one such row itself.
      [NOTICED.noFields]: 2,
    });
    expect(found[NOTICED.noRows]).toBeGreaterThanOrEqual(1);
    const evaluation = new Notices();
    await writeFile(join(directory, 'eval/unlisted.jsonl'), '{}\n');
    await loadP3Evaluation({ directory, setting, tokenizer, notices: evaluation, threads: 0 });
    expect(counts(evaluation)).toMatchObject({ [NOTICED.notListed]: 1 });
  });
});
