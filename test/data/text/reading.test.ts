import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readGroups, START, type TextPosition } from '../../../src/data/text/documents.js';
import { findTextFiles } from '../../../src/data/text/files.js';
import { readParquetRows } from '../../../src/formats/parquet/texts.js';
import { runTextJob } from '../../../src/data/text/text-job.js';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-text-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const put = async (name: string, content: string | Uint8Array): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
};

/** Documents as (text, file name, line), read from a place on. */
async function read(
  patterns: string[],
  { from = START, size = 3, documents = 'line' as 'line' | 'file', column = 'text' } = {},
): Promise<{ texts: string[]; lines: number[]; stops: TextPosition[] }> {
  const files = await findTextFiles(patterns, documents);
  const [texts, lines, stops]: [string[], number[], TextPosition[]] = [[], [], []];
  for await (const { documents: group, next } of readGroups(files, from, size, {
    column,
    parquet: readParquetRows,
  })) {
    group.places.forEach(({ json, line }, i) => {
      const text = Buffer.from(group.bytes).toString('utf8', group.ends[i - 1] ?? 0, group.ends[i]);
      texts.push(json ? (JSON.parse(text) as Record<string, string>)[column]! : text);
      lines.push(line);
    });
    stops.push(next);
  }
  return { texts, lines, stops };
}

describe('readers of text', () => {
  it('give the same documents from JSON lines, gzip and parquet', async () => {
    const plain = await read([fixture('text/sample.jsonl')]);
    expect(plain.texts).toHaveLength(12);
    expect(plain.texts[4]).toContain('naïvely, “so to speak”');
    const packed = await put('sample.json.gz', gzipSync(await readFile(fixture('text/sample.jsonl'))));
    expect((await read([packed])).texts).toEqual(plain.texts);
    const parquet = await read([fixture('text/sample.parquet')]);
    expect(parquet.texts).toEqual(plain.texts);
    expect(parquet.lines).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  });

  it('read on from any place as if they had never stopped, over the ends of files', async () => {
    const packed = await put('packed.jsonl.gz', gzipSync(await readFile(fixture('text/sample.jsonl'))));
    const patterns = [packed, fixture('text')];
    const whole = await read(patterns);
    expect(whole.texts).toHaveLength(36);
    for (const [i, from] of whole.stops.entries())
      expect((await read(patterns, { from })).texts).toEqual(whole.texts.slice(3 * (i + 1)));
  });

  it('take a document a line or a file of plain text, without byte order mark and blank lines', async () => {
    const file = await put('lines.txt', '\uFEFFone\r\n\n  \t\ntwo\nthree');
    expect(await read([file])).toMatchObject({ texts: ['one\r', 'two', 'three'], lines: [1, 4, 5] });
    const whole = await read([file], { documents: 'file' });
    expect(whole.texts).toEqual(['one\r\n\n  \t\ntwo\nthree']);
  });

  it('read a line that is longer than what is read at once', async () => {
    const long = 'word '.repeat(200_000).trim();
    const file = await put('long.txt', `a\n${long}\nb\n`);
    expect((await read([file])).texts).toEqual(['a', long, 'b']);
  });

  it('concatenate the members of a gzip file and name a damaged one', async () => {
    const two = await put('two.txt.gz', Buffer.concat([gzipSync('a\nb\n'), gzipSync('c\n')]));
    expect((await read([two])).texts).toEqual(['a', 'b', 'c']);
    const cut = await put('cut.txt.gz', gzipSync('hello '.repeat(1000)).subarray(0, 40));
    await expect(read([cut])).rejects.toThrow(/cut\.txt\.gz is no whole gzip file .* fetch it again/);
    const not = await put('not.txt.gz', 'hello');
    await expect(read([not])).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('name a damaged parquet file, a missing column, and a row without text', async () => {
    const bad = await put('bad.parquet', (await readFile(fixture('text/sample.parquet'))).subarray(0, 3000));
    await expect(read([bad])).rejects.toThrow(/bad\.parquet cannot be read as parquet/);
    const zeros = await put('zeros.parquet', Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(20), Buffer.from('PAR1')])); // prettier-ignore
    await expect(read([zeros])).rejects.toThrow(
      /zeros\.parquet cannot be read as parquet \(parts of it are missing or damaged\)/,
    );
    await expect(read([fixture('text/sample.parquet')], { column: 'content' })).rejects.toThrow(
      /no column "content" \(it has url, text\); set data\.column/,
    );
  });
});

describe('findTextFiles', () => {
  it('expands folders and patterns, each file once, in the order of their paths', async () => {
    for (const name of ['b.jsonl', 'a.json.gz', 'notes.md', 'c.txt']) await put(name, '');
    const names = async (...patterns: string[]): Promise<string[]> =>
      (await findTextFiles(patterns)).map(({ path }) => path.slice(folder.length + 1));
    expect(await names(folder, join(folder, 'b.jsonl'))).toEqual(['a.json.gz', 'b.jsonl', 'c.txt']);
    expect(await names(join(folder, '*.json*'))).toEqual(['a.json.gz', 'b.jsonl']);
    await symlink('b.jsonl', join(folder, 'a-link.jsonl'));
    expect(await names(folder)).toEqual(['a.json.gz', 'b.jsonl', 'c.txt']);
    expect(await names(join(folder, 'a-link.jsonl'))).toEqual(['a-link.jsonl']);
    await rm(join(folder, 'a-link.jsonl'));
  });

  it('says what is missing or of no known kind', async () => {
    await expect(findTextFiles([join(folder, 'none.jsonl')])).rejects.toThrow(/Nothing is at .*none\.jsonl/);
    await expect(findTextFiles(['/dev/null'])).rejects.toThrow(/\/dev\/null is a pipe or a device/);
    await expect(findTextFiles([folder])).rejects.toThrow(/holds no text file; text files end in/);
    const pdf = await put('a.pdf', 'x');
    await expect(findTextFiles([pdf])).rejects.toThrow(/a\.pdf is no text file of a known kind/);
  });
});

describe('documents that cannot be used', () => {
  const tokenize = async (line: string | Uint8Array, column = 'text'): Promise<unknown> => {
    const bytes = Buffer.from(line as string);
    const tokenizer = await Tokenizer.load(fixture('tokenizer'));
    return runTextJob(
      {
        bytes,
        ends: [bytes.length],
        places: [{ file: 'c4.jsonl', line: 7, json: true }],
        column,
        epoch: 0,
        group: 0,
        objective: 'hint',
        splits: 'independent',
        segmentTokens: 512,
        maxDocumentTokens: 65_536,
        lastSegment: 'pad',
        seed: 0,
      },
      { idsKey: '', get: () => Promise.resolve(tokenizer) },
    );
  };

  it('are named by file and line, with what is wrong', async () => {
    await expect(tokenize('{"text": "cut of')).rejects.toThrow(/^c4\.jsonl:7 is not valid JSON/);
    await expect(tokenize('[1]')).rejects.toThrow(/^c4\.jsonl:7 is no JSON object/);
    await expect(tokenize('{"content": "x", "url": "y"}')).rejects.toThrow(
      /^c4\.jsonl:7 has no field "text" \(it has content, url\); set data\.column/,
    );
    await expect(tokenize('{"text": null}')).rejects.toThrow(
      /c4\.jsonl:7 has a field "text" that is no text/,
    );
    await expect(tokenize(Uint8Array.of(0x22, 0xff, 0x22))).rejects.toThrow(/c4\.jsonl:7 is not UTF-8/);
  });
});
