import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Charsmap } from '../../src/formats/tokenizer/charsmap.js';
import { readTextLines } from '../../src/data/line-blocks.js';
import { rowOf } from './p3/jinja-rows.js';
import { JinjaTemplate } from '../../src/data/p3/promptsource/jinja.js';
import { PromptRenderer } from '../../src/data/p3/promptsource/render.js';
import { readPromptTemplates } from '../../src/data/p3/promptsource/templates.js';
import { readLines } from '../../src/data/text/lines.js';
import { readParquetRows } from '../../src/formats/parquet/texts.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { rougeLF1 } from '../../src/evaluation/rouge.js';
import { limits, setLimits } from '../../src/util/limits.js';
import { plainParquet } from '../fuzz/plain-parquet.mjs';

const before = limits();
const limitExceeded = expect.objectContaining({ code: 'LIMIT_EXCEEDED' }) as Error;
const fixture = (name: string): string => resolve(import.meta.dirname, '../fixtures', name);
let directory: string;

async function put(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, content);
  return file;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-explosive-'));
});
afterEach(() => setLimits(before));
afterAll(() => rm(directory, { recursive: true }));

describe('parquet', () => {
  const read = async (bytes: Uint8Array): Promise<unknown> =>
    readParquetRows({ file: await put('a.parquet', bytes), column: 'text', row: 0 });

  it('is read where its claims are true', async () => {
    expect(await read(plainParquet(3, 3))).toMatchObject({ rows: 3, ends: Int32Array.of(3, 6, 9) });
  });

  it.each([
    ['more rows than there is memory for', plainParquet(2_000_000_000, 3), 'LIMIT_EXCEEDED'],
    ['more values than rows', plainParquet(3, 2_000_000_000), 'INVALID_FILE'],
    ['fewer values than rows', plainParquet(4, 3), 'INVALID_FILE'],
    ['a page of gigabytes', plainParquet(3, 3, { unpacked: 2_000_000_000 }), 'LIMIT_EXCEEDED'],
    ['a page beyond the file', plainParquet(3, 3, { packed: 1_000_000 }), 'INVALID_FILE'],
    ['a page of negative size', plainParquet(3, 3, { packed: -1 }), 'INVALID_FILE'],
  ])('refuses %s before memory is taken', async (_, bytes, code) => {
    await expect(read(bytes)).rejects.toMatchObject({ code });
  });

  it('refuses a run of a few bytes that claims a billion values, and a footer that claims gigabytes', async () => {
    // A level of five bytes in front of the values of an optional column.
    const run = [5, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    await expect(read(plainParquet(3, 3, { levels: run }))).rejects.toMatchObject({ code: 'INVALID_FILE' });
    const bytes = Buffer.from(plainParquet(3, 3));
    bytes.writeUInt32LE(2 ** 31, bytes.length - 8);
    await expect(read(bytes)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('refuses texts that many rows share once they are larger together than a record may be', async () => {
    setLimits({ bytes: 200 });
    await expect(read(plainParquet(3, 3))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });
});

describe('gzip', () => {
  it('of a line without an end is refused, however little it takes packed', async () => {
    setLimits({ bytes: 4_000_000 });
    const file = await put('a.jsonl.gz', gzipSync(Buffer.alloc(8_000_000, 'a')));
    const text = { path: file, form: 'json-lines', gzip: true, bytes: 0 } as const;
    await expect(all(readLines(text, { line: 0, byte: 0 }))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    await expect(all(readTextLines(file, 'it'))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('of millions of blank lines gives the lines that are not, under their numbers', async () => {
    const blank = Buffer.alloc(4_000_000, ' \n');
    const file = await put('b.txt.gz', gzipSync(Buffer.concat([blank, Buffer.from('a\n'), blank])));
    const text = { path: file, form: 'text-lines', gzip: true, bytes: 0 } as const;
    const lines = await all(readLines(text, { line: 0, byte: 0 }));
    expect(lines.map(({ line, nextByte }) => [line, nextByte])).toEqual([[2_000_001, 4_000_002]]);
    expect(await all(readTextLines(file, 'it'))).toEqual([{ text: 'a', where: `${file}, line 2000001` }]);
  });
});

describe('YAML', () => {
  const head = 'dataset: a\nsubset: b\n';
  const laughs = `${Array.from(
    { length: 12 },
    (_, i) =>
      `a${i}: &a${i} [${
        i
          ? Array(9)
              .fill(`*a${i - 1}`)
              .join()
          : 'x'
      }]`,
  ).join('\n')}\n`;

  it.each([
    ['aliases of aliases', head + laughs],
    ['an alias of itself', `${head}templates: &a [*a]`],
    ['an alias of nothing', `${head}templates: *a`],
    ['an anchor twice', `${head}templates: &a &b {}`],
    ['a key twice', `${head}dataset: c\ntemplates: {}`],
    ['lists of lists', `${head}templates: ${'['.repeat(8000)}`],
    ['lists of lists that end', `${head}templates: ${'['.repeat(800)}${']'.repeat(800)}`],
    [
      'maps of maps',
      `${head}templates:\n${Array.from({ length: 700 }, (_, i) => `${' '.repeat(i + 1)}a:`).join('\n')}`,
    ],
    ['a class of Python', `${head}templates: !!python/object/apply:os.system [ls]`],
    ['bytes', '\0\u0001\u0002'],
  ])('of %s is refused in one sentence', async (_, text) => {
    const file = await put('templates.yaml', text);
    await expect(readPromptTemplates(file)).rejects.toMatchObject({ code: 'INVALID_DATA' });
  });

  it('of more than a parser can hold is refused before it is parsed', async () => {
    const file = await put('templates.yaml', head + '- a\n'.repeat(300_000));
    await expect(readPromptTemplates(file)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('whose keys take the square of their number ends at the limit of time', async () => {
    setLimits({ seconds: 0.2 });
    const keys = `{${Array.from({ length: 60_000 }, (_, i) => `k${i}`).join()}}`;
    const file = await put('templates.yaml', `${head}templates: ${keys}`);
    await expect(readPromptTemplates(file)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });
});

describe('templates', () => {
  const render = (jinja: string, row: Record<string, unknown> = { text: 'a', tags: ['x', 'y'] }): unknown =>
    new JinjaTemplate(jinja, { where: 'The template' }).render(rowOf(row), () => 0);
  const doubling = (what: string): string =>
    `{% set s = namespace(v=${what}) %}{% for i in range(60) %}{% set s.v = s.v + s.v %}{% endfor %}{{ s.v | length }}`;

  it.each([
    ['a range of a billion', '{% for i in range(10**9) %}{% endfor %}', 'LIMIT_EXCEEDED'],
    ['a list of a billion', '{{ range(10**9) | list | length }}', 'LIMIT_EXCEEDED'],
    ['a text of a billion', '{{ "x" * 10**9 }}', 'LIMIT_EXCEEDED'],
    ['a width of a billion', '{{ "%1000000000s" % text }}', 'LIMIT_EXCEEDED'],
    ['a power without end', '{{ 10**(10**10) }}', 'LIMIT_EXCEEDED'],
    ['a number of too many digits', '{{ 10**5000 }}', 'INVALID_DATA'],
    ["Python's internals", '{{ text.__class__.__mro__ }}', 'INVALID_DATA'],
    ['a range without steps', '{{ range(0, 1, 0) }}', 'INVALID_DATA'],
    [
      'loops within loops',
      '{% for a in range(90000) %}{% for b in range(90000) %}x{% endfor %}{% endfor %}',
      'LIMIT_EXCEEDED',
    ],
    ['a text that doubles', doubling('"ab"'), 'LIMIT_EXCEEDED'],
    ['a list that doubles', doubling('[1, 2]'), 'LIMIT_EXCEEDED'],
    [
      'replacements that multiply',
      `{{ text${' | replace("a", "aaaaaaaaaaaaaaaa")'.repeat(9)} }}`,
      'LIMIT_EXCEEDED',
    ],
    ['a macro that calls itself', '{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}', 'INVALID_DATA'],
    ['parentheses', `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`, 'INVALID_DATA'],
    ['conditions', '{% if text %}'.repeat(20_000) + '{% endif %}'.repeat(20_000), 'INVALID_DATA'],
  ])('of %s end in an error', (_, jinja, code) => {
    setLimits({ seconds: 2 });
    expect(() => render(jinja)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('whose lists hold one another many times over do not become text for ever', () => {
    const lists = Array.from({ length: 60 }, (_, i) => `{% set l${i + 1} = [l${i}, l${i}] %}`).join('');
    expect(() => render(`{% set l0 = [] %}${lists}{{ l60 }}`)).toThrow(limitExceeded);
  });

  it('never reach what JavaScript gives every object', () => {
    const names = ['constructor', 'prototype', '__proto__', 'toString', 'hasOwnProperty', 'call', 'apply'];
    for (const name of names)
      for (const of of ['text', 'tags', '{}', '1', '1.5', 'range', '(tags | map("upper"))', 'none'])
        expect(render(`{{ ${of}.${name} }}{{ ${of}["${name}"] }}x`), `${of}.${name}`).toMatchObject([{}, {}, { text: 'x' }].slice(of === 'text' || of.includes('tags') ? 0 : 2)); // prettier-ignore
  });

  it('follow a field through thousands of variables', () => {
    const names = Array.from({ length: 3000 }, (_, i) => `a${i}`);
    const literals = names.map((name) => `{% set ${name} = 1 %}`).join('');
    // A field goes from the last variable to the one before it, and so on.
    const chain = names
      .slice(1)
      .map((name, i) => `{% set a${i} = ${name} %}`)
      .join('');
    const parts = render(`${literals}${chain}{% set a2999 = text %}{{ a0 }}`) as object[];
    expect(parts).toEqual([{ text: '1', field: 'A0' }]);
  });

  it('give back the noncharacters of Unicode that a row has', () => {
    const template = { name: 'a', taskName: 'a', jinja: '\ufdd0 Is {{ text }}? ||| {{ text }}', answerChoices: undefined, originalTask: true, choicesInPrompt: false, metrics: [] }; // prettier-ignore
    const rendered = new PromptRenderer(template).render(
      rowOf({ text: '\ufdd0\ufdd1b\ufdd2\ufdd3' }),
      () => 0,
    );
    expect(rendered).toMatchObject({
      prompt: '\ufdd0 Is \ufdd0\ufdd1b\ufdd2\ufdd3?',
      fields: { TEXT: '\ufdd0\ufdd1b\ufdd2\ufdd3' },
    });
  });

  it('replace as Python does', () => {
    const text = (jinja: string): string =>
      (render(jinja, { text: 'banana' }) as { text: string }[]).map((one) => one.text).join('');
    expect(text('{{ text.replace("a", "oo") }}')).toBe('boonoonoo');
    expect(text('{{ text.replace("a", "o", 2) }}')).toBe('bonona');
    expect(text('{{ text | replace("an", "") }}')).toBe('ba');
    expect(text('{{ text.replace("", "-") }}')).toBe('-b-a-n-a-n-a-');
  });
});

describe('a tokenizer', () => {
  async function load(
    change: (json: Record<string, never>) => unknown,
    base = 'bpe-tokenizer',
  ): Promise<unknown> {
    const json = JSON.parse(await readFile(fixture(`${base}/tokenizer.json`), 'utf8')) as Record<
      string,
      never
    >;
    return Tokenizer.load(await put('tokenizer.json', JSON.stringify(change(json))));
  }
  const split = (Regex: string): object => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  });
  const nested = (levels: number): object => {
    let part: object = { type: 'ByteLevel' };
    for (let i = 0; i < levels; i++) part = { type: 'Sequence', pretokenizers: [part] };
    return part;
  };

  it.each([
    ['an expression that refers back', (json: object) => ({ ...json, pre_tokenizer: split('(a*)b\\1') })],
    [
      'a repetition of what may be empty',
      (json: object) => ({ ...json, pre_tokenizer: split('(?:a*a*)*b') }),
    ],
    ['an atomic group', (json: object) => ({ ...json, pre_tokenizer: split('(?>a*)b') })],
    ['a look without an end', (json: object) => ({ ...json, pre_tokenizer: split('a(?!.*b)') })],
    ['parts within parts', (json: object) => ({ ...json, pre_tokenizer: nested(100) })],
    [
      'replacements that multiply',
      (json: object) => ({
        ...json,
        normalizer: {
          type: 'Sequence',
          normalizers: Array.from({ length: 9 }, () => ({
            type: 'Replace',
            pattern: { String: 'a' },
            content: 'aa',
          })),
        },
      }),
    ],
    [
      'an id beyond all vocabularies',
      (json: object) => ({ ...json, added_tokens: [{ id: 2 ** 40, content: 'x' }] }),
    ],
    [
      'thousands of added tokens',
      (json: object) => ({
        ...json,
        added_tokens: Array.from({ length: 30_000 }, (_, id) => ({ id, content: `<${id}>` })),
      }),
    ],
  ])('with %s is refused', async (_, change) => {
    await expect(load(change)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it.each(['(a+)+$', '(a|a)*b', 'a*b*a*b*a*x', '(a?){30}a{30}x'])(
    'whose expression is %s takes no longer than any other',
    async (expression) => {
      const read = (await load((json) => ({
        ...(json as object),
        pre_tokenizer: split(expression),
      }))) as Tokenizer;
      // Backtracking would take years.
      expect(read.encode('a'.repeat(2000)).length).toBeGreaterThan(1);
    },
  );

  it('whose expressions are those of published models is read', async () => {
    const published =
      "'(?:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    const read = await load((json) => ({
      ...(json as object),
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [split(published), json.pre_tokenizer],
      },
    }));
    expect(read).toBeInstanceOf(Tokenizer);
  });

  it('whose pieces take for ever to look for, or lack the unknown one, is refused', async () => {
    const model = (json: Record<string, never>): { vocab: [string, number][] } => json.model as never;
    await expect(
      load(
        (json) => ({
          ...json,
          model: { ...model(json), vocab: [...model(json).vocab, ['a'.repeat(5000), -1]] },
        }),
        'tokenizer',
      ),
    ).rejects.toMatchObject({ code: 'INVALID_FILE' });
    await expect(
      load((json) => ({ ...json, model: { ...model(json), unk_id: 1_000_000 } }), 'tokenizer'),
    ).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('whose normaliser makes megabytes of a character ends at the limit', async () => {
    const json = JSON.parse(await readFile(fixture('tokenizer/tokenizer.json'), 'utf8')) as {
      normalizer: { precompiled_charsmap: string };
    };
    const blob = Buffer.from(json.normalizer.precompiled_charsmap, 'base64');
    // No string ends before the last one does.
    const damaged = Buffer.concat([blob.subarray(0, 4 + blob.readUInt32LE(0)), Buffer.alloc(2_000_000, 'x')]);
    setLimits({ bytes: 2 ** 24 });
    const charsmap = new Charsmap(damaged.toString('base64'));
    expect(() => charsmap.normalize('①'.repeat(10))).toThrow(limitExceeded);
  });
});

describe('scores', () => {
  it('of texts whose comparison takes for ever end at the limit of time', () => {
    setLimits({ seconds: 0.1 });
    const long = 'a b c '.repeat(40_000);
    expect(() => rougeLF1(long, [long])).toThrow(limitExceeded);
  });
});
