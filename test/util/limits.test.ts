import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readTextLines } from '../../src/data/line-blocks.js';
import { readOwnValues } from '../../src/data/own/values.js';
import { HintError } from '../../src/util/errors.js';
import { check, listOf } from '../../src/util/check.js';
import { checkBytes, checkLine, limits, setLimits, stopwatch, withinSeconds } from '../../src/util/limits.js';
import { checkLevels, decodeText, MOST_LEVELS, parseJson, readBytes, readJson, readText } from '../../src/util/read-file.js'; // prettier-ignore
import { recordOf } from '../../src/util/record-schema.js';

const before = limits();
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-limits-'));
});
afterEach(() => setLimits(before));
afterAll(() => rm(directory, { recursive: true }));

function errorOf(run: () => unknown): HintError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(HintError);
    return error as HintError;
  }
  throw new Error('nothing was thrown');
}

describe('the limits of a file', () => {
  it('are 256 MiB and 10 s, and every message names file, what was found, the limit and how to raise it', () => {
    expect(before).toEqual({ bytes: 2 ** 28, seconds: 10 });
    const tooLarge = errorOf(() => checkBytes('a.parquet', 'it unpacks to', 3e9));
    expect(tooLarge.code).toBe('LIMIT_EXCEEDED');
    expect(tooLarge.message).toMatch(
      /^a\.parquet .*it unpacks to 2\.79 GiB.* 256 MiB.*HINT_FILE_MEMORY=2862MiB/,
    );
    expect(errorOf(() => checkLine('a.jsonl', 2 ** 27, 7)).message).toMatch(
      /a\.jsonl.*line 7.* 64\.0 MiB fit into the limit of 256 MiB of memory.*HINT_FILE_MEMORY/,
    );
    expect(errorOf(() => checkBytes('a', 'it has', NaN)).message).toMatch(/set HINT_FILE_MEMORY to more\.$/);
    setLimits({ seconds: 0.05 });
    const tooSlow = errorOf(() => withinSeconds('a.yaml', () => /^(a+)+$/.test('a'.repeat(60) + 'b')));
    expect(tooSlow.code).toBe('LIMIT_EXCEEDED');
    expect(tooSlow.message).toMatch(/^a\.yaml .*0\.05 s.*HINT_FILE_SECONDS/);
  });

  it('can be set, and what is no limit changes nothing', () => {
    setLimits({ bytes: 1000 });
    expect(limits()).toEqual({ bytes: 1000, seconds: 10 });
    expect(process.env.HINT_FILE_MEMORY).toBe('1000');
    for (const bad of [{ bytes: 0 }, { bytes: NaN }, { seconds: -1 }, { seconds: Infinity }])
      expect(errorOf(() => setLimits(bad)).code).toBe('INVALID_ARGUMENT');
    expect(limits()).toEqual({ bytes: 1000, seconds: 10 });
  });

  it('refuse claims that are no numbers', () => {
    expect(errorOf(() => checkBytes('a', 'it claims', NaN)).code).toBe('LIMIT_EXCEEDED');
    expect(errorOf(() => checkBytes('a', 'it claims', Infinity)).code).toBe('LIMIT_EXCEEDED');
  });

  it('pass on what work throws, and end a loop that looks at the clock', () => {
    expect(() => withinSeconds('a', () => { throw new TypeError('own'); })).toThrow(TypeError); // prettier-ignore
    expect(withinSeconds('a', () => withinSeconds('b', () => 6) + 1)).toBe(7);
    expect(Object.getOwnPropertySymbols(globalThis).map(String).join()).not.toContain('hint-engine');
    setLimits({ seconds: 0.01 });
    const look = stopwatch(() => 'a loop');
    expect(errorOf(() => { for (;;) look(); }).code).toBe('LIMIT_EXCEEDED'); // prettier-ignore
  });
});

describe('what to do about what is too large', () => {
  const toldOf = async (path: string, work: (path: string) => Promise<unknown>): Promise<string> =>
    ((await work(path).catch((error: unknown) => error)) as HintError).message;

  it('suffices: a limit of four times the line reads it, although only its beginning had been seen', async () => {
    const file = join(directory, 'long.jsonl');
    const size = 3_000_000;
    await writeFile(file, `${'a'.repeat(size)}\n`);
    const lines = async (): Promise<number> => {
      let length = 0;
      for await (const { text } of readTextLines(file, 'the texts')) length = text.length;
      return length;
    };
    setLimits({ bytes: 2 ** 20 });
    expect(await toldOf(file, lines)).toMatch(/line 1 on.* set HINT_FILE_MEMORY to 4 times its size; no text can have more than \d+ characters\.$/); // prettier-ignore
    setLimits({ bytes: 4 * (size + 1) });
    expect(await lines()).toBe(size);
  });

  it('names no size that would be too small as well, where the end is not in sight', async () => {
    setLimits({ bytes: 2 ** 21 });
    expect(await toldOf('/dev/zero', (path) => readBytes(path, 'it'))).toMatch(/set HINT_FILE_MEMORY to more than \d+MiB\.$/); // prettier-ignore
    const table = join(directory, 'open-quote.csv');
    await writeFile(table, `instruction,output\n"a,b\n${'c'.repeat(600_000)}\n`);
    const read = async (): Promise<void> => {
      for await (const value of readOwnValues(table, { splitField: 'split' })) expect(value).toBeDefined();
    };
    expect(await toldOf(table, read)).toMatch(
      /from line \d on, one record has more than 512 KiB.*close the quotes/,
    );
  });
});

describe('reading a file', () => {
  it('takes no memory for a file that is too large, and none for a device without an end', async () => {
    const file = join(directory, 'sparse');
    const handle = await open(file, 'w');
    await handle.truncate(2 ** 40);
    await handle.close();
    await expect(readBytes(file, 'it')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    setLimits({ bytes: 4_000_000 });
    await expect(readBytes('/dev/zero', 'it')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(await readBytes('/dev/null', 'it')).toHaveLength(0);
  });

  it('refuses text that is not UTF-8 instead of replacing what it cannot read', async () => {
    const file = join(directory, 'text');
    for (const bytes of [
      Buffer.from('\ufeff{}', 'utf16le'),
      Buffer.from([0x22, 0xff, 0x22]),
      Buffer.from([0xc3]),
    ]) {
      await writeFile(file, bytes);
      await expect(readJson(file, 'it')).rejects.toMatchObject({ code: 'INVALID_DATA' });
    }
    await writeFile(file, '\ufeff"naïve"');
    expect(await readText(file, 'it')).toBe('"naïve"');
    expect(await readJson(file, 'it')).toBe('naïve');
    expect(() => decodeText(Buffer.from('\ufeffa', 'utf16le'), 'a.txt')).toThrow(/UTF-16/);
  });
});

describe('JSON', () => {
  it.each([
    ['lists', '['.repeat(7000) + ']'.repeat(7000)],
    ['objects', '{"a":'.repeat(7000) + '1' + '}'.repeat(7000)],
    ['a million lists', '['.repeat(1_000_000) + ']'.repeat(1_000_000)],
  ])('of thousands of levels is refused: %s', (_, text) => {
    const { code, message } = errorOf(() => parseJson(text, 'deep.json', 'it'));
    expect(code).toBe('INVALID_JSON');
    expect(message).toMatch(/^deep\.json is nested deeper than 256 levels/);
  });

  it('has as many levels as are allowed', () => {
    const text = '['.repeat(MOST_LEVELS) + ']'.repeat(MOST_LEVELS);
    expect(parseJson(text, 'a', 'it')).toHaveLength(1);
    expect(() => parseJson(`[${text}]`, 'a', 'it')).toThrow(/nested/);
  });

  it('whose values take more memory than its text is refused before it is parsed', () => {
    setLimits({ bytes: 2 ** 20 });
    const values = `[${'[],'.repeat(20_000)}[]]`;
    expect(errorOf(() => parseJson(values, 'a.json', 'it')).message).toMatch(/40\d\d\d values/);
    // Commas and brackets within texts are none.
    const text = JSON.stringify({ a: ',[{'.repeat(100_000), b: '\\",\\' });
    expect(parseJson(text, 'a.json', 'it')).toMatchObject({ b: '\\",\\' });
  });

  it('values that hold themselves, or one another many times over, are looked at once', () => {
    const loop: Record<string, unknown> = {};
    Object.assign(loop, { a: loop, b: loop, c: [loop] });
    expect(() => checkLevels(loop, 'it', 'INVALID_DATA')).toThrow(/nested/);
    let shared: unknown[] = [];
    for (let i = 0; i < 100; i++) shared = [shared, shared, shared];
    checkLevels(shared, 'it', 'INVALID_DATA');
  });
});

describe('checking against a schema', () => {
  it('describes the first of a million faults', () => {
    const zeros = new Array<number>(1_000_000).fill(0);
    const named = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 'x']));
    expect(check(z.object({ a: listOf(z.string()) }), { a: zeros }).faults).toMatchObject([
      { path: ['a', 0] },
    ]);
    expect(check(recordOf(z.int()), named).faults).toMatchObject([{ path: ['k0'] }]);
    expect(check(z.array(z.string()), zeros.slice(0, 10_000)).faults?.length).toBeLessThan(200);
  });

  it('gives what the schema makes of good values', () => {
    const schema = listOf(z.string().transform((text) => text.length));
    expect(check(schema, ['a', 'bc'])).toEqual({ data: [1, 2] });
    expect(check(schema, 'a').faults).toHaveLength(1);
  });
});
