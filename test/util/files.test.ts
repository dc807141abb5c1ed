import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeFileAtomic } from '../../src/util/atomic-file.js';
import { sha256Hex } from '../../src/util/hash.js';
import { parseJson, readBytes } from '../../src/util/read-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-files-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('writeFileAtomic', () => {
  it('replaces a file and leaves nothing beside it', async () => {
    const file = join(folder, 'new', 'a.txt');
    await writeFileAtomic(file, 'one');
    await writeFileAtomic(file, 'two');
    expect(await readFile(file, 'utf8')).toBe('two');
    expect(await readdir(join(folder, 'new'))).toEqual(['a.txt']);
  });

  it('keeps the old content and removes its temporary file when the name cannot be taken', async () => {
    const taken = join(folder, 'taken');
    await writeFileAtomic(join(taken, 'inside.txt'), 'kept');
    await expect(writeFileAtomic(taken, 'x')).rejects.toMatchObject({ code: 'IO' });
    expect(await readFile(join(taken, 'inside.txt'), 'utf8')).toBe('kept');
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('says which file could not be written when the folder is a file', async () => {
    const file = join(folder, 'plain');
    await writeFile(file, '');
    await expect(writeFileAtomic(join(file, 'x'), 'x')).rejects.toThrow(join(file, 'x'));
  });
});

describe('readBytes', () => {
  it('tells a missing file from one that cannot be read', async () => {
    await expect(readBytes(join(folder, 'nowhere'), 'the list')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(readBytes(folder, 'the list')).rejects.toThrow(
      `Could not read the list ${folder}: it is a folder; name a file.`,
    );
  });

  it('stops when aborted', async () => {
    await expect(readBytes(folder, 'the list', AbortSignal.abort())).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('parseJson', () => {
  it('accepts a byte order mark and names the file of broken JSON', () => {
    expect(parseJson('\uFEFF{"a":1}', 'f.json', 'the file')).toEqual({ a: 1 });
    expect(() => parseJson('{"a":', 'f.json', 'the file')).toThrow(/^f\.json is not valid JSON/);
  });
});

describe('sha256Hex', () => {
  it('does not confuse where one part ends and the next begins', () => {
    expect(sha256Hex('ab', 'c')).not.toBe(sha256Hex('a', 'bc'));
    expect(sha256Hex('abc')).toBe(sha256Hex(Buffer.from('abc')));
  });
});
