import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkDataset } from '../../src/data/check/check.js';
import { detectDatasetKind } from '../../src/data/detect.js';
import { NOTICED } from '../../src/data/noticed.js';
import { loadOwnDataset, readOwnRecords, type OwnRecordsOptions } from '../../src/data/own/dataset.js';
import type { OwnRow } from '../../src/data/own/tokenize.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { Notices } from '../../src/util/notices.js';

const fixtures = resolve(import.meta.dirname, '../fixtures');
let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'hint-own-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function put(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function read(file: string, options: Partial<OwnRecordsOptions> = {}): Promise<OwnRow[]> {
  const rows: OwnRow[] = [];
  for await (const row of readOwnRecords({ files: [file], split: 'all', ...options })) rows.push(row);
  return rows;
}

const records = [
  { instruction: 'Add.', input: '1 1', output: '2' },
  { instruction: 'Say, "hi".', input: '', output: 'line one\nline two' },
  { instruction: 'Name it.', input: 'a\u2028b\u0085c', output: 'x' },
];
const essence = (rows: OwnRow[]) =>
  rows.map(({ instruction, input, outputs }) => ({ instruction, input, output: outputs[0] }));

describe('own data', () => {
  it('are the same records in every format, packed or not, with CRLF or LF', async () => {
    const lines = records.map((record) => JSON.stringify(record));
    const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    const table = (separator: string, end: string): string =>
      [['instruction', 'input', 'output'], ...records.map((record) => Object.values(record).map(quote))]
        .map((row) => row.join(separator))
        .join(end);
    const files = [
      await put('a.jsonl', lines.join('\n')),
      await put('b.ndjson', `\uFEFF${lines.join('\r\n')}\r\n\n`),
      await put('c.json', JSON.stringify(records, null, 2)),
      await put('d.json', lines.join('\n')),
      await put('e.csv', table(',', '\n')),
      await put('f.csv', `\uFEFF${table(',', '\r\n')}\r\n`),
      await put('g.tsv', table('\t', '\n')),
      await put('h.jsonl.gz', gzipSync(lines.join('\n'))),
      await put('i.json.gz', gzipSync(JSON.stringify(records))),
      await put('j.csv.gz', gzipSync(table(',', '\n'))),
    ];
    for (const file of files) expect(essence(await read(file)), file).toEqual(records);
    expect(essence(await read(join(fixtures, 'parquet/own.parquet')))).toEqual(records);
    expect(await detectDatasetKind(files[0]!)).toBe('own');
    expect(await detectDatasetKind(folder)).toBe('own');
  });

  it('take the names of Dolly and of OpenAI for the fields, several outputs, and examples as JSON in a cell', async () => {
    const file = await put(
      'names.jsonl',
      [
        { instruction: 'i', context: 'c', response: 'r', category: 'x' },
        { prompt: 'p', completion: ['a', 'b'], id: 7, task: 't' },
        { instruction: 'i', output: 'o', examples: [{ input: '1', output: '2', explanation: 'e' }] },
      ]
        .map((record) => JSON.stringify(record))
        .join('\n'),
    );
    const notices = new Notices();
    const rows = await read(file, { notices });
    expect(rows).toMatchObject([
      { instruction: 'i', input: 'c', outputs: ['r'] },
      { instruction: 'p', input: '', outputs: ['a', 'b'], id: '7', task: 't' },
      { examples: [{ input: '1', output: '2' }] },
    ]);
    expect(rows[0]!.task).toBe(rows[2]!.task);
    expect(notices.list).toEqual([{ what: NOTICED.otherFields, count: 1, places: ['category'] }]);
    const table = await put(
      'examples.csv',
      'instruction,output,examples\ni,o,"[{""input"":""1"",""output"":""2""}]"\nj,,\n',
    );
    expect(await read(table)).toMatchObject([{ examples: [{ input: '1', output: '2' }] }, { outputs: [''] }]);
  });

  it.each(['lists', 'lists-version-2'])(
    'have lists in a Parquet table as they have in JSON (%s)',
    async (name) => {
      const rows = await read(join(fixtures, `parquet/${name}.parquet`));
      expect(rows.map(({ instruction, outputs, examples }) => [instruction, outputs, examples])).toEqual([
        ['Name a colour.', ['red', 'blue'], [{ input: 'a', output: 'b' }]],
        ['Say hi.', ['hi'], []],
        ['Say hi.', ['hi', '', 'h\u2028i'], []],
        ['Add.', ['2'], [{ input: '1 1', output: '2' }, { input: '', output: '0' }]], // prettier-ignore
      ]);
    },
  );

  it('may have no value at all in a column of a Parquet table, of which nobody knows the type', async () => {
    const rows = await read(join(fixtures, 'parquet/lists-of-nothing.parquet'));
    expect(rows.map(({ input, outputs, examples }) => [input, outputs, examples])).toEqual([
      ['', ['x'], []],
      ['', ['y', 'z'], []],
    ]);
  });

  it('name row and field of a list in a Parquet table that says nothing', async () => {
    const wrong = join(fixtures, 'parquet/wrong-lists.parquet');
    const { faults } = await checkDataset('own', wrong, {
      splitField: 'split',
      most: 50,
      notices: new Notices(),
    });
    expect(faults).toEqual([
      `${wrong}, row 1: field output is missing`,
      `${wrong}, row 2: field output is an empty list`,
      `${wrong}, row 3: field output[1] is null, no text`,
      `${wrong}, row 4: field examples[0].output is null, no text`,
      `${wrong}, row 5: field examples[0].input is null, no text`,
    ]);
    const list = join(fixtures, 'parquet/list-of-instructions.parquet');
    await expect(read(list)).rejects.toThrow('row 1: field instruction is ["a", "b"], no text');
    const lists = join(fixtures, 'parquet/list-of-lists.parquet');
    await expect(read(lists)).rejects.toThrow(
      'in the column "output" (it holds LIST of lists of BYTE_ARRAY, STRING)',
    );
  });

  it.each([
    ['{"input": "x", "output": "y"}', /line 2: field instruction is missing/],
    ['{"instruction": " ", "output": "y"}', /line 2: field instruction is empty/],
    ['{"instruction": "i"}', /line 2: field output is missing/],
    ['{"instruction": "i", "output": 5}', /field output is 5, neither a text nor a list/],
    ['{"instruction": "i", "output": ["a", null]}', /field output\[1\] is null/],
    ['{"instruction": "i", "output": []}', /field output is an empty list/],
    ['{"instruction": "i", "output": "o", "response": "p"}', /there as output and response/],
    [
      '{"instruction": "i", "output": "o", "examples": [{"input": "x"}]}',
      /field examples\[0\]\.output is missing/,
    ],
    ['{"instruction": "i", "output": "o", "examples": "no"}', /field examples is "no", no JSON/],
    ['[1]', /line 2 is \[1\], no object/],
    ['{"instruction"', /line 2 is not valid JSON/],
    ['{"__proto__": {"instruction": "i"}, "output": "o"}', /field instruction is missing/],
    ['{"Instruction": "i", "output": "o"}', /instruction is missing; it seems to be called "Instruction"/],
  ])('name file, line and field of %s', async (line, sentence) => {
    const file = await put('wrong.jsonl', `${JSON.stringify(records[0])}\n${line}\n`);
    await expect(read(file)).rejects.toThrow(sentence);
  });

  it('refuse tables that are none, by line or type', async () => {
    const wrong: [string, string, RegExp][] = [
      ['short.csv', 'instruction,output\na\n', /line 2 has 1 values, the header 2/],
      ['quote.csv', 'instruction,output\n"a,b\n', /quote\.csv cannot be read: .* line 2/],
      ['twice.csv', 'output,output\na,b\n', /column "output" twice/],
      ['empty.jsonl', '', /holds no record/],
      ['header.csv', 'instruction,output\n', /holds no record/],
      ['list.json', '[{"instruction": 1}', /not valid JSON/],
      ['semicolons.csv', 'instruction;output\na;b\n', /one column "instruction;output": .* by commas/],
      ['sheet.csv', 'PK\u0003\u0004etc', /sheet\.csv is a zip archive/],
      ['table.jsonl', 'PAR1etc', /table\.jsonl is a Parquet table/],
    ];
    for (const [name, content, sentence] of wrong)
      await expect(read(await put(name, content)), name).rejects.toThrow(sentence);
    await expect(read(await put('bytes.csv', Buffer.from([0x61, 0xff, 0x0a])))).rejects.toThrow(/not UTF-8/);
    await expect(read(join(fixtures, 'parquet/types.parquet'))).rejects.toThrow(/none of the columns/);
    await expect(read(await put('packed.jsonl', gzipSync('{}')))).rejects.toThrow(
      /compressed with gzip; .*\.gz/,
    );
    await expect(read(join(folder, 'nothing.jsonl'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(read(await put('x.txt', 'a'))).rejects.toThrow(/no data file of a known kind/);
  });

  it('are split by a field, or by a hash that does not change with what else there is', async () => {
    const many = Array.from({ length: 400 }, (_, i) => ({
      instruction: `Task ${i % 20}.`,
      input: `${i}`,
      output: 'o',
    }));
    const file = await put('many.jsonl', many.map((record) => JSON.stringify(record)).join('\n'));
    const inputs = async (options: Partial<OwnRecordsOptions>): Promise<string[]> =>
      (await read(file, options)).map(({ input }) => input);
    const [train, test] = [await inputs({ split: 'train' }), await inputs({ split: 'test' })];
    expect(train.length + test.length).toBe(400);
    expect(test.length).toBeGreaterThan(20);
    expect(test.length).toBeLessThan(65);
    const half = await put(
      'half.jsonl',
      many
        .slice(0, 200)
        .map((record) => JSON.stringify(record))
        .join('\n'),
    );
    const part = (await read(half, { split: 'test' })).map(({ input }) => input);
    expect(part).toEqual(test.filter((input) => Number(input) < 200));
    const byTask = await read(file, { split: 'test', splitBy: 'task', testFraction: 0.4 });
    const tasks = new Set(byTask.map(({ task }) => task));
    expect(byTask.length).toBe(20 * tasks.size);
    expect(tasks.size).toBeGreaterThan(2);
    await expect(read(file, { split: 'test', testFraction: 0 })).rejects.toThrow(
      /no record in the split "test"; its splits are train \(400 records\)/,
    );
    const named = await put('named.csv', 'instruction,output,part\na,b,train\nc,d,dev\n');
    expect(await read(named, { split: 'dev', splitField: 'part' })).toMatchObject([{ instruction: 'c' }]);
  });

  it('become examples of any system, with what is repeated, empty or not shown counted', async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, 'tokenizer'));
    const examples = [{ input: 'one', output: 'two' }];
    const lines = [
      { ...records[0], examples },
      records[0],
      { instruction: 'i', output: '' },
      { instruction: 'i', output: 'x', id: 'n' },
      { instruction: 'j', output: 'x', id: 'n' },
    ];
    const file = await put('load/all.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'));
    await put('load/README.txt', 'about');
    const load = async (format: 'hint' | 'tk-instruct', positives: number, notices?: Notices) =>
      loadOwnDataset({
        files: [join(file, '..')],
        split: 'all',
        setting: { format, positives },
        tokenizer,
        notices,
        threads: 0,
      });
    const notices = new Notices();
    const hint = await load('hint', 0, notices);
    expect(hint).toHaveLength(5);
    expect(tokenizer.decode(hint[0]!.instruction)).toBe('Add.');
    expect(hint.map(({ id }) => id)).toContain('n#2');
    const counts = Object.fromEntries(notices.list.map(({ what, count }) => [what, count]));
    expect(counts).toEqual({
      [NOTICED.otherFiles]: 1,
      [NOTICED.unshown]: 1,
      [NOTICED.repeated]: 1,
      [NOTICED.emptyOutputs]: 1,
      [NOTICED.ids]: 1,
    });
    const shown = await load('hint', 1);
    expect(shown[0]!.instruction.length).toBeGreaterThan(hint[0]!.instruction.length);
    const tk = await load('tk-instruct', 0);
    expect(tk[0]!.instruction).toHaveLength(0);
    expect(tk[0]!.input.length).toBeGreaterThan(hint[0]!.input.length);
  });
});
