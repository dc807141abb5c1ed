import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareC4 } from '../../../src/data/prepare/c4.js';
import { findTextFiles } from '../../../src/data/text/files.js';

const line = (text: string): string =>
  `${JSON.stringify({ text, timestamp: '2019-04-25T12:57:54Z', url: 'https://example.org/' })}\n`;
let root: string;
let source: string;
let target: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hint-prepare-c4-'));
  [source, target] = [join(root, 'en'), join(root, 'made')];
  await mkdir(source);
  await writeFile(
    join(source, 'c4-train.00000-of-01024.json.gz'),
    gzipSync(line('One.\nTwo.') + line('Three.')),
  );
  await writeFile(join(source, 'c4-train.00001-of-01024.json'), line('Four.'));
  await writeFile(join(source, 'c4-validation.00000-of-00008.json.gz'), gzipSync(line('Held back.')));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('hint prepare c4', () => {
  it('gives the texts alone, of the training files, which hint pretrain finds', async () => {
    const report = await prepareC4({ source, folder: target });
    expect(report).toMatchObject({
      made: 2,
      counts: [{ what: 'c4-train: files', found: 2, published: 1024 }],
      notes: ['3 documents.', '1 files of the validation part are left out.'],
    });
    const files = await findTextFiles([target]);
    expect(files.map(({ path }) => path)).toEqual([
      join(target, 'c4-train.00000-of-01024.json.gz'),
      join(target, 'c4-train.00001-of-01024.json.gz'),
    ]);
    const texts = gunzipSync(await readFile(files[0]?.path ?? '')).toString();
    expect(texts).toBe('{"text":"One.\\nTwo."}\n{"text":"Three."}\n');
    expect(await prepareC4({ source, folder: target })).toMatchObject({
      made: 0,
      kept: 2,
      notes: report.notes,
    });
  });

  it.each([
    [
      'cut off',
      gzipSync(line('Five.').repeat(999)).subarray(0, 60),
      'INVALID_DATA',
      /not a whole gzip archive/,
    ],
    [
      'without a text',
      gzipSync(line('Five.') + '{"url": "x"}\n'),
      'INVALID_DATA',
      /line 2 is no document of C4: field text/,
    ],
    ['no JSON', gzipSync('Five.\n'), 'INVALID_JSON', /line 1 is not valid JSON/],
  ])('names a file that is %s, and leaves nothing of it', async (_, bytes, code, message) => {
    const folder = await mkdtemp(join(root, 'bad-'));
    await writeFile(join(folder, 'c4-train.00002-of-01024.json.gz'), bytes);
    const made = join(folder, 'made');
    await expect(
      prepareC4({ source: join(folder, 'c4-train.00002-of-01024.json.gz'), folder: made }),
    ).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect((await readdir(made)).filter((name) => !name.startsWith('.prepared'))).toEqual([]);
  });

  it('does not write into its own source, which a second call would read', async () => {
    for (const folder of [source, join(source, 'made')])
      await expect(prepareC4({ source, folder })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('give a folder outside of it'),
      });
  });

  it('counts a file as done when it is', async () => {
    const long = join(root, 'long.json');
    await writeFile(long, line('Six.').repeat(10_000));
    const told: string[] = [];
    await prepareC4({
      source: long,
      folder: join(root, 'long'),
      onProgress: ({ done, total, file }) => told.push(`${done}/${total} ${file}`),
    });
    expect(told).toEqual(['0/1 long.json', '0/1 long.json, 10000 documents']);
  });

  it('refuses two files that would become one, instead of keeping the last', async () => {
    const folder = await mkdtemp(join(root, 'same-'));
    const name = 'c4-train.00000-of-01024.json';
    for (const part of ['en', 'realnewslike']) {
      await mkdir(join(folder, part));
      await writeFile(join(folder, part, `${name}.gz`), gzipSync(line(part)));
    }
    const made = join(root, 'same');
    await expect(prepareC4({ source: join(folder, '*', '*.gz'), folder: made })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/en\/.* and .*realnewslike\/.* would both be written to c4-train/),
    });
    expect(await prepareC4({ source: folder, folder: made })).toMatchObject({ made: 2 });
    await writeFile(join(folder, 'en', name), line('unpacked'));
    await expect(prepareC4({ source: folder, folder: made })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('reads a file once that links give several names', async () => {
    const folder = await mkdtemp(join(root, 'links-'));
    const name = 'c4-train.00000-of-00002.json';
    await mkdir(join(folder, 'en'));
    await writeFile(join(folder, 'en', name), line('once'));
    await symlink('..', join(folder, 'en', 'around'));
    await symlink('en', join(folder, 'again'));
    await symlink(join('en', name), join(folder, 'other.json'));
    await link(join(folder, 'en', name), join(folder, 'en', 'z.json'));
    const report = await prepareC4({ source: folder, folder: join(root, 'linked') });
    expect(report).toMatchObject({ made: 1, counts: [{ found: 1, published: 2 }] });
    expect(await readdir(join(root, 'linked', 'en'))).toEqual([`${name}.gz`]);
  });

  it('has nothing to do with a folder of something else', async () => {
    await expect(prepareC4({ source: join(root, 'nowhere'), folder: target })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const only = join(source, 'c4-validation.00000-of-00008.json.gz');
    await expect(prepareC4({ source: only, folder: target })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('no training file of C4'),
    });
  });
});
