import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scoreFile, scorePredictions } from '../../src/evaluation/score.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-score-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

const jsonLines = (lines: unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

describe('scorePredictions', () => {
  it('gives the overall numbers of the golden set, rounded to four decimals', () => {
    const path = new URL('../fixtures/rouge/scores.json', import.meta.url);
    const golden = JSON.parse(readFileSync(path, 'utf8')) as {
      rougeL: number;
      exactMatch: number;
      cases: [string, string[]][];
    };
    const predictions = golden.cases.map(([prediction, references], i) => ({
      id: `${i}`,
      prediction,
      references,
    }));
    const { rougeL, exactMatch, count } = scorePredictions(predictions);
    expect({ rougeL, exactMatch, count }).toEqual({
      rougeL: golden.rougeL,
      exactMatch: golden.exactMatch,
      count: golden.cases.length,
    });
  });

  it('averages over instances, so that a task with more instances weighs more', () => {
    const references = ['yes'];
    const report = scorePredictions([
      { id: '1', task: 'b', prediction: 'yes', references },
      { id: '2', task: 'b', prediction: 'yes', references },
      { id: '3', task: 'a', prediction: 'no', references },
      { id: '4', prediction: 'Yes!', references },
    ]);
    expect(report).toEqual({
      rougeL: 75,
      exactMatch: 75,
      count: 4,
      perTask: {
        a: { rougeL: 0, exactMatch: 0, count: 1 },
        b: { rougeL: 100, exactMatch: 100, count: 2 },
      },
    });
    expect(Object.keys(report.perTask)).toEqual(['a', 'b']);
  });

  it('rounds an exact half to even, as Python does', () => {
    const instances = (hits: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({
        id: `${i}`,
        prediction: i < hits ? 'x' : 'y',
        references: ['x'],
      }));
    expect(scorePredictions(instances(1, 3200)).exactMatch).toBe(0.0312);
    expect(scorePredictions(instances(3, 3200)).exactMatch).toBe(0.0938);
    expect(scorePredictions(instances(2, 3)).exactMatch).toBe(66.6667);
  });

  it('refuses what would silently skew the mean: nothing, a repeated id, an instance without reference', () => {
    const references = ['x'];
    expect(() => scorePredictions([])).toThrow(/0 predictions/);
    expect(() =>
      scorePredictions([
        { id: 'a', prediction: '', references },
        { id: 'a', prediction: '', references },
      ]),
    ).toThrow(/"a" occurs twice/);
    expect(() => scorePredictions([{ id: 'a', prediction: '' }])).toThrow(/"a" has no reference/);
    expect(() => scorePredictions([{ id: 'a', prediction: '' }], new Map([['b', ['x']]]))).toThrow(/"a"/);
  });

  it('does not lose a task whose name is a property of every object', () => {
    const { perTask } = scorePredictions([
      { id: '1', task: '__proto__', prediction: 'x', references: ['x'] },
    ]);
    expect(Object.keys(perTask)).toEqual(['__proto__']);
  });
});

describe('scoreFile', () => {
  it('reads predictions with their own references, blank lines and a byte order mark', async () => {
    const path = await file(
      'own.jsonl',
      '\ufeff{"id":"1","prediction":"a","references":"A"}\n\n{"id":"2","prediction":"b","references":["c","d"],"task":"t"}\r\n',
    );
    expect(await scoreFile(path)).toEqual({
      rougeL: 50,
      exactMatch: 50,
      count: 2,
      perTask: { t: { rougeL: 0, exactMatch: 0, count: 1 } },
      missing: 0,
    });
  });

  it('reads the files Tk-Instruct writes, with a top-level id or without, whichever way the prediction is spelt', async () => {
    const Instance = { id: 'task1-0', input: 'i', output: ['yes'] };
    const forms = [
      { Task: 'task1_x', Instance, prediction: 'yes' },
      { Task: 'task1_x', Instance, Prediction: 'yes' },
      { id: 'task1_x-0', Task: 'task1_x', Instance, Prediction: 'yes', prediction: 'no' },
      { id: 'task1-0', Task: 'task1_x', Instance: { input: 'i', output: 'yes' }, Prediction: 'yes' },
      { id: 'task1-0', Task: 'task1_x', Instance, Prediction: 'yes', references: ['no'] },
      { id: 'task1-0', Task: 'task1_x', Prediction: 'yes', references: ['yes'] },
    ];
    for (const form of forms)
      expect(await scoreFile(await file('forms.jsonl', jsonLines([form]))), JSON.stringify(form)).toEqual({
        ...{ rougeL: 100, exactMatch: 100, count: 1, missing: 0 },
        perTask: { task1_x: { rougeL: 100, exactMatch: 100, count: 1 } },
      });
  });

  it('says which field of a line is missing or wrong', async () => {
    const wrong: [object, RegExp][] = [
      [{ id: 'a', Task: 't', Instance: { id: 'b' }, Prediction: 'x' }, /line 1 .*Instance\.output/],
      [{ Instance: { output: ['x'] }, Prediction: 'x' }, /Instance\.id is missing/],
      [{ Instance: { id: 'b', output: ['x'] } }, /prediction is missing/],
      [{ id: 'a' }, /prediction is missing/],
      [{ id: 7, prediction: 'x' }, /field id/],
    ];
    for (const [line, sentence] of wrong)
      await expect(scoreFile(await file('wrong.jsonl', jsonLines([line])))).rejects.toThrow(sentence);
  });

  it('keeps a record whole that has U+2028, U+2029, U+0085, a lone CR or a vertical tab in its texts', async () => {
    // JSON wants the last two escaped; the others stand in a record as they are.
    const odd = 'a\u2028b\u2029c\u0085d\\u000be\\f';
    const first = `{"id":"1","prediction":"${odd}","references":["${odd}"]}`;
    const second = `{"id":"2",\r"prediction":"b","references":["b"]}`;
    const path = await file('odd.jsonl', `${first}\r\n${second}\n`);
    expect(await scoreFile(path)).toMatchObject({ rougeL: 100, exactMatch: 100, count: 2 });
  });

  it('counts references without a ROUGE token instead of scoring them 0 in silence', async () => {
    const lines = [
      { id: '1', prediction: 'สวัสดี', references: ['สวัสดี', '你好'] },
      { id: '2', prediction: 'b', references: ['b'] },
    ];
    const path = await file('thai.jsonl', jsonLines(lines));
    expect(await scoreFile(path)).toMatchObject({ rougeL: 50, exactMatch: 100, wordlessReferences: 2 });
    const report = await scoreFile(path, { track: 'xlingual' });
    expect(report).toMatchObject({ rougeL: 100, exactMatch: 100, count: 2 });
    expect(report).not.toHaveProperty('wordlessReferences');
  });

  it('scores only the instances of a track where the references name theirs', async () => {
    const predictions = await file(
      'tracks.jsonl',
      jsonLines([
        { id: '1', prediction: 'a' },
        { id: '2', prediction: 'ก' },
      ]),
    );
    const references = await file(
      'track-references.jsonl',
      jsonLines([
        { id: '1', references: ['a'], track: 'default' },
        { id: '2', references: ['ก'], track: 'xlingual' },
      ]),
    );
    const options = { references, track: 'xlingual' } as const;
    expect(await scoreFile(predictions, options)).toMatchObject({ rougeL: 100, count: 1, otherTrack: 1 });
    await expect(scoreFile(predictions, { ...options, track: 'english' as 'default' })).rejects.toThrow(
      /track/,
    );
  });

  it('refuses an empty file of references, though the predictions bring their own', async () => {
    const path = await file('own.jsonl', jsonLines([{ id: '1', prediction: 'x', references: ['x'] }]));
    const references = await file('none.jsonl', '');
    await expect(scoreFile(path, { references })).rejects.toThrow(/none.jsonl holds 0 references/);
  });

  it('tells how many references got no prediction, so that a cut-off run is noticed', async () => {
    const path = await file('p.jsonl', jsonLines([{ id: '1', prediction: 'x' }]));
    const references = await file(
      'r.jsonl',
      jsonLines([
        { id: '1', references: ['x'] },
        { id: '2', references: 'y' },
      ]),
    );
    expect(await scoreFile(path, { references })).toMatchObject({ exactMatch: 100, count: 1, missing: 1 });
  });

  it('finds references and task names in a Super-NaturalInstructions directory, reading only the tasks it needs', async () => {
    const tasks = join(directory, 'sni', 'tasks');
    await mkdir(tasks, { recursive: true });
    const task = { Instances: [{ id: 'task7-ab', output: ['x', 'y'] }, { output: 'no id' }] };
    await writeFile(join(tasks, 'task7_source_name.json'), JSON.stringify(task));
    await writeFile(join(tasks, 'task70_broken.json'), '{');
    const path = await file('sni.jsonl', jsonLines([{ id: 'task7-ab', prediction: 'Y' }]));
    expect(await scoreFile(path, { references: join(directory, 'sni') })).toMatchObject({
      exactMatch: 100,
      missing: 0,
      perTask: { task7_source_name: { count: 1 } },
    });
  });

  it.each([
    ['{"id":"1","prediction":"a"', 'INVALID_JSON', /line 2/],
    ['[]', 'INVALID_DATA', /line 2 is \[\]/],
    ['{"id":"1"}', 'INVALID_DATA', /line 2/],
    ['{"id":1,"prediction":"a"}', 'INVALID_DATA', /line 2/],
    ['{"id":"1","prediction":"a","references":[]}', 'INVALID_DATA', /line 2/],
  ])('names the line of a malformed prediction: %s', async (line, code, message) => {
    const path = await file('bad.jsonl', `{"id":"0","prediction":"a","references":["a"]}\n${line}\n`);
    await expect(scoreFile(path)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  it('says so when a file is missing, empty, a directory or a malformed task', async () => {
    const path = await file('good.jsonl', jsonLines([{ id: 'task9-1', prediction: 'x' }]));
    await expect(scoreFile(join(directory, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(scoreFile(directory)).rejects.toMatchObject({ code: 'IO' });
    await expect(scoreFile(await file('empty.jsonl', '\n'))).rejects.toThrow(/0 predictions/);
    const missing = join(directory, 'none');
    await expect(scoreFile(path, { references: missing })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const tasks = join(directory, 'bad', 'tasks');
    await mkdir(tasks, { recursive: true });
    await writeFile(join(tasks, 'task9_x.json'), '{"Instances": [{"id": 3}]}');
    const references = join(directory, 'bad');
    await expect(scoreFile(path, { references })).rejects.toThrow(/task9_x\.json.*Instances/);
  });

  it('stops when aborted', async () => {
    const path = await file('abort.jsonl', jsonLines([{ id: '1', prediction: 'x', references: ['x'] }]));
    await expect(scoreFile(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
