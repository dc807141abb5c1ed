import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseP3Row, readP3Templates, p3Files, type P3Row } from '../../../src/data/p3/format.js';
import { prepareP3 } from '../../../src/data/prepare/p3.js';
import { example, tfRecords } from './records.js';

let root: string;
let source: string;
let templates: string;
let target: string;
let number = 0;

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

const yaml = (
  dataset: string,
  subset: string | null,
  name: string,
  jinja: string,
  choices: string | null,
): string =>
  JSON.stringify({
    dataset,
    subset,
    templates: {
      a: { name, jinja, answer_choices: choices, metadata: { original_task: true, metrics: ['Accuracy'] } },
    },
  });

const prompt = (text: string, answer: string, choices?: string[]): Buffer =>
  example({
    inputs: [5, 6],
    inputs_pretokenized: text,
    targets: [7, 1],
    targets_pretokenized: `\n${answer}`,
    ...(choices ? { answer_choices: choices } : {}),
  });

const choice = (idx: [number, number], text: string, answer: string, isCorrect: number): Buffer =>
  example({
    idx,
    inputs_pretokenized: text,
    targets_pretokenized: answer,
    is_correct: [isCorrect],
    weight: [],
  });

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hint-prepare-p3-'));
  [source, templates] = [join(root, 'data'), join(root, 'templates')];
  const shard = (task: string, split: string, of = '00000-of-00001'): string =>
    join(source, task, `${split}.tfrecord-${of}`);
  await put(
    shard('cos_e_v1.11_pick_one', 'train', '00001-of-00002'),
    tfRecords(prompt('Q2', 'no', ['yes', 'no'])),
  );
  await put(
    shard('cos_e_v1.11_pick_one', 'train', '00000-of-00002'),
    tfRecords(prompt('Q1', 'yes', ['yes', 'no'])),
  );
  await put(shard('cos_e_v1.11_pick_one', 'validation'), tfRecords(prompt('Not trained on', 'no')));
  await put(join(source, 'cos_e_v1.11_pick_one', 'info.train.json'), '{}');
  await put(shard('trec_what_kind', 'train'), tfRecords(prompt('Which kind? ', 'Entity')));
  await put(
    shard('super_glue_rte_does_it_follow', 'train'),
    tfRecords(prompt('Shot', 'True', ['True', 'False'])),
  );
  await put(shard('super_glue_rte_does_it_follow', 'validation'), tfRecords(prompt('Asked', 'False')));
  await put(
    shard('super_glue_rte_does_it_follow_score_eval', 'validation'),
    tfRecords(
      choice([0, 0], 'Asked', 'True', 0),
      choice([0, 1], 'Asked', 'False', 1),
      choice([1, 0], 'Again', 'True', 1),
      choice([1, 1], 'Again', 'False', 0),
    ),
  );
  await put(
    shard('anli_GPT_3_style_r2', 'validation'),
    tfRecords(prompt('Round two', 'True', ['True', 'Neither'])),
  );
  await put(shard('squad_v2_something', 'train'), tfRecords(prompt('Not of the paper', 'x')));
  await put(
    join(templates, 'super_glue/rte/templates.yaml'),
    yaml(
      'super_glue',
      'rte',
      'does it follow',
      '{{premise}} Does {{hypothesis}} follow? ||| {{ answer_choices[label] }}',
      'True ||| False',
    ),
  );
  await put(
    join(templates, 'anli/templates.yaml'),
    yaml(
      'anli',
      null,
      'GPT-3 style',
      '{{premise}} {{hypothesis}} True or Neither? ||| {{ answer_choices[label] }}',
      'True ||| Neither',
    ),
  );
});
beforeEach(() => {
  target = join(root, `made-${number++}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function rowsOf(split: 'train' | 'eval' | 'fewshot', dataset: string): Promise<P3Row[]> {
  const [{ file } = { file: '' }] = await p3Files(target, split, [dataset]);
  const text = gunzipSync(await readFile(file)).toString();
  return text
    .trim()
    .split('\n')
    .map((line) => parseP3Row(line, file));
}

describe('hint prepare p3 of the cached form', () => {
  it('gives prompts, targets and choices, in the splits in which the paper uses them', async () => {
    expect(await prepareP3({ source, folder: target })).toMatchObject({ made: 5, kept: 0 });
    const trained = await rowsOf('train', 'cos_e_v1.11');
    expect(trained).toMatchObject([
      {
        dataset: 'cos_e_v1.11',
        template: 'pick_one',
        idx: 0,
        prompt: 'Q1',
        target: 'yes',
        choices: ['yes', 'no'],
      },
      { idx: 1, prompt: 'Q2', target: 'no' },
    ]);
    expect(await rowsOf('train', 'trec')).toMatchObject([
      { prompt: 'Which kind?', target: 'Entity', choices: undefined },
    ]);
    expect(await rowsOf('fewshot', 'super_glue_rte')).toMatchObject([{ prompt: 'Shot', target: 'True' }]);
    expect(await rowsOf('eval', 'anli_r2')).toMatchObject([{ template: 'GPT_3_style', prompt: 'Round two' }]);
  });

  it('puts the choices of an example together where they are records of their own', async () => {
    await prepareP3({ source, folder: target });
    expect(await rowsOf('eval', 'super_glue_rte')).toMatchObject([
      { template: 'does_it_follow', idx: 0, prompt: 'Asked', target: 'False', choices: ['True', 'False'] },
      { idx: 1, prompt: 'Again', target: 'True', choices: ['True', 'False'] },
    ]);
  });

  it('takes the texts of templates, and whose task they ask for, from promptsource', async () => {
    await prepareP3({ source, folder: target, templates });
    const known = await readP3Templates(target);
    expect(known.get('super_glue_rte_does_it_follow')).toMatchObject({
      originalTask: true,
      hasChoices: true,
      instructions: ['[PREMISE] Does [HYPOTHESIS] follow?'],
      rows: 3,
    });
    expect(known.get('anli_r2_GPT_3_style')).toMatchObject({
      instructions: ['[PREMISE] [HYPOTHESIS] True or Neither?'],
    });
    expect(known.get('trec_what_kind')).toMatchObject({ originalTask: false, instructions: [] });
  });

  it('refuses a folder of which the templates are deeper, before anything is made', async () => {
    await expect(prepareP3({ source, folder: target, templates: root })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/has no templates of .*promptsource\/templates/) as string,
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it("says what there is beside the paper's numbers, what is missing, and what a form is needed for", async () => {
    const { counts, notes } = await prepareP3({ source, folder: target, templates });
    expect(
      Object.fromEntries(counts.map(({ what, found, published }) => [what, [found, published]])),
    ).toEqual({
      'train: datasets': [2, 38],
      'train: prompted tasks': [2, 313],
      'train: examples, each dataset up to 500,000': [3, 17_277_532],
      'eval: datasets, rounds of ANLI counted': [2, 11],
      'eval: templates that are ranked': [2, 116],
    });
    const all = notes.join('\n');
    expect(all).toContain('36 datasets that the paper trains on are not there: adversarial_qa_dbidaf');
    expect(all).toMatch(/story_cloze_2016 .* fills in the form at https:/);
    expect(all).toContain('trec (1 of 18 templates, 1 of 5452 rows)');
    expect(all).toContain('2 templates have no text');
    expect(all).toContain('1 are of no dataset that the paper uses, and are left out: squad_v2_something.');
  });

  it('does what is left when it is called again, also what the lists have lost', async () => {
    const abort = new AbortController();
    const onProgress = ({ done }: { done: number }): void => {
      if (done === 2) abort.abort();
    };
    await expect(
      prepareP3({ source, folder: target, signal: abort.signal, onProgress }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await prepareP3({ source, folder: target })).toMatchObject({ made: 3, kept: 2 });
    expect(await prepareP3({ source, folder: target })).toMatchObject({ made: 0, kept: 5 });
    expect(await prepareP3({ source, folder: target, templates })).toMatchObject({ made: 3, kept: 2 });
    await rm(join(target, 'splits.json'));
    expect(await prepareP3({ source, folder: target, templates })).toMatchObject({ made: 5, kept: 0 });
  });

  const whole = tfRecords(prompt('A', 'b'), prompt('C', 'd'));
  const damaged = Buffer.from(whole);
  damaged[30]! ^= 1;
  it.each([
    ['cut off', whole.subarray(0, -9), 'INVALID_FILE', /record 2 is cut off/],
    ['damaged', damaged, 'INVALID_FILE', /record 1 is damaged/],
    [
      'of other records',
      tfRecords(example({ question: 'x' })),
      'INVALID_DATA',
      /record 1 has no inputs_pretokenized/,
    ],
    [
      'of texts that are no UTF-8',
      tfRecords(Buffer.from(prompt('Q\u{1}Q', 'b').toString('latin1').replace('\u{1}', '\u{ff}'), 'latin1')),
      'INVALID_DATA',
      /record 1 is not UTF-8/,
    ],
  ])(
    'names a file that is %s, lists nothing of it, and keeps the others',
    async (_, bytes, code, message) => {
      const bad = await mkdtemp(join(root, 'bad-'));
      await put(
        join(bad, 'ag_news_classify/train.tfrecord-00000-of-00001'),
        tfRecords(prompt('News', 'World')),
      );
      await put(join(bad, 'trec_what_kind/train.tfrecord-00000-of-00001'), bytes);
      await expect(prepareP3({ source: bad, folder: target })).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
      expect(JSON.parse(await readFile(join(target, 'splits.json'), 'utf8'))).toEqual({ train: ['ag_news'] });
      await put(join(bad, 'trec_what_kind/train.tfrecord-00000-of-00001'), whole);
      expect(await prepareP3({ source: bad, folder: target })).toMatchObject({ made: 1, kept: 1 });
    },
  );

  it('refuses a set of files of which one is missing, an example without an answer, and raw rows without templates', async () => {
    const partial = await mkdtemp(join(root, 'partial-'));
    await put(join(partial, 'trec_what_kind/train.tfrecord-00001-of-00003'), whole);
    await expect(prepareP3({ source: partial, folder: target })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(/^Of the 3 files .* there are 1, without number 0; fetch the others\.$/),
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
    const unanswered = await mkdtemp(join(root, 'unanswered-'));
    const file = join(unanswered, 'super_glue_cb_style_score_eval/validation.tfrecord');
    await put(file, tfRecords(choice([0, 0], 'A', 'b', 0)));
    await expect(prepareP3({ source: unanswered, folder: target })).rejects.toMatchObject({
      message: expect.stringContaining('no choice is_correct'),
    });
    await expect(prepareP3({ source: templates, folder: target })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('give --templates'),
    });
  });
});

describe('links to folders', () => {
  it('are followed in records and templates, and what two names lead to is read once', async () => {
    const linked = await mkdtemp(join(root, 'linked-'));
    await mkdir(join(linked, 'templates'));
    for (const task of ['super_glue_rte_does_it_follow', 'super_glue_rte_does_it_follow_score_eval'])
      await symlink(join(source, task), join(linked, task));
    await symlink(source, join(linked, 'whole'));
    await symlink('..', join(linked, 'templates/around'));
    await symlink(join(templates, 'super_glue'), join(linked, 'templates/super_glue'));
    const given = { source: linked, templates: join(linked, 'templates'), folder: target };
    expect(await prepareP3(given)).toMatchObject({ made: 5, kept: 0 });
    expect(await rowsOf('eval', 'super_glue_rte')).toHaveLength(2);
    const known = await readP3Templates(target);
    expect(known.get('super_glue_rte_does_it_follow')).toMatchObject({ originalTask: true });
  });

  it('that lead nowhere are told where a file is to be read', async () => {
    const broken = await mkdtemp(join(root, 'broken-'));
    await mkdir(join(broken, 'trec_what_kind'));
    await symlink('nowhere', join(broken, 'trec_what_kind/train.tfrecord-00000-of-00001'));
    await expect(prepareP3({ source: broken, folder: target })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('train.tfrecord-00000-of-00001 does not exist') as string,
    });
  });
});

describe('numbers in the names of files', () => {
  const whole = tfRecords(prompt('A', 'b'));
  it.each([
    [['00007-of-00004'], /has the number 7 of 4 files, which are numbered from 0 to 3/],
    [['00000-of-00002', '00001-of-00002', '00002-of-00002'], /has the number 2 of 2 files/],
    [['00000-of-00001', '00000-of-00002', '00001-of-00002'], /are of two sets of files/],
    [['00000-of-00001', '0-of-1'], /are of two sets of files/],
    [['00000-of-00003', '00002-of-00003'], /there are 2, without number 1; fetch the others/],
    [[`0-of-${'9'.repeat(200)}`], /without number 1; fetch the others/],
  ])('that are no whole set, %j, are refused before anything is made', async (numbers, sentence) => {
    const folder = await mkdtemp(join(root, 'numbers-'));
    for (const one of numbers) await put(join(folder, `trec_what_kind/train.tfrecord-${one}`), whole);
    await expect(prepareP3({ source: folder, folder: target })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(sentence) as string,
    });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('hint prepare p3 of raw rows', () => {
  it('renders every template in both forms, rounds of ANLI apart', async () => {
    const raw = await mkdtemp(join(root, 'raw-'));
    const row = JSON.stringify({ premise: 'It rains.', hypothesis: 'It is wet.', label: 0 });
    await put(join(raw, 'super_glue/rte/validation.jsonl'), `${row}\n`);
    await put(join(raw, 'anli/dev_r1.jsonl'), `${row}\n${row}\n`);
    await put(join(raw, 'anli/test_r1.jsonl'), `${row}\n`);
    await put(join(raw, 'boolq/train.jsonl'), `${row}\n`);
    const report = await prepareP3({ source: raw, folder: target, templates });
    expect(report).toMatchObject({ made: 2, kept: 0 });
    expect(report.notes.join()).toContain('left out: boolq');
    expect(await rowsOf('eval', 'super_glue_rte')).toMatchObject([
      {
        prompt: 'It rains. Does It is wet. follow?',
        target: 'True',
        instruction: '[PREMISE] Does [HYPOTHESIS] follow?',
        fields: { PREMISE: 'It rains.', HYPOTHESIS: 'It is wet.' },
      },
    ]);
    expect(await rowsOf('eval', 'anli_r1')).toHaveLength(2);
    expect(await prepareP3({ source: raw, folder: target, templates })).toMatchObject({ made: 0, kept: 2 });
    await put(join(raw, 'hellaswag/validation.jsonl'), `${row}\n`);
    await expect(prepareP3({ source: raw, folder: target, templates })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('no templates of hellaswag'),
    });
  });
});
