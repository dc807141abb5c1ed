import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readTar } from '../../../src/formats/tar/entries.js';
import { limits, setLimits } from '../../../src/util/limits.js';
import { archive, plainArchive } from '../../data/prepare/archives.js';

const before = limits();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-tar-'));
});
afterEach(() => setLimits(before));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(bytes: Uint8Array, wanted = /./, signal?: AbortSignal): Promise<Record<string, string>> {
  const file = join(folder, 'a.tar.gz');
  await writeFile(file, bytes);
  const found: Record<string, string> = {};
  for await (const { path, bytes: content } of readTar(file, ({ path: at }) => wanted.test(at), signal))
    found[path] = content.toString();
  return found;
}

describe('an archive', () => {
  const long = `repo/${'deep/'.repeat(18)}file.json`;
  // Texts shrink to some part of their size, these to a half.
  const content = Array.from({ length: 12_000 }, (_, i) => ((i * 2_654_435_761) % 2 ** 32).toString(16)).join(
    '',
  );
  const entries = [
    { path: 'repo/a.json', content: 'A' },
    { path: 'repo/empty.json' },
    { path: long, content },
    { path: 'repo/c.txt', content: 'C' },
  ];

  it.each([
    ['compressed', archive(...entries)],
    ['plain', plainArchive(...entries)],
  ])('that is %s gives the files that are wanted', async (_, bytes) => {
    expect(await read(bytes, /json$/)).toEqual({
      'repo/a.json': 'A',
      'repo/empty.json': '',
      [long]: content,
    });
  });

  it.each(['../etc/passwd', 'repo/../../x.json', '/etc/passwd', 'C:\\x.json', 'repo\\..\\x.json'])(
    'with an entry at %s is refused, also where that entry is not wanted',
    async (path) => {
      await expect(
        read(archive({ path: 'repo/a.json' }, { path, content: 'x' }), /a\.json/),
      ).rejects.toMatchObject({
        code: 'INVALID_FILE',
        message: expect.stringContaining('leads out of the archive'),
      });
    },
  );

  it.each(['SymbolicLink', 'Link'] as const)(
    'with a %s in place of a wanted file is refused',
    async (type) => {
      const link = { path: 'repo/a.json', type, linkpath: '/etc/passwd' };
      await expect(read(archive(link))).rejects.toMatchObject({
        code: 'INVALID_FILE',
        message: expect.stringMatching(new RegExp(`kind ${type}, which is not followed`)),
      });
      expect(await read(archive(link, { path: 'repo/b.txt', content: 'b' }), /txt/)).toEqual({
        'repo/b.txt': 'b',
      });
    },
  );

  it('that unpacks to a thousand times its size is refused, and zeros behind its end are not unpacked', async () => {
    const zeros = Buffer.alloc(40_000_000);
    const limit = {
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining('more than 200 times its size'),
    };
    await expect(read(archive({ path: 'a.bin', content: zeros }), /json/)).rejects.toMatchObject(limit);
    const behind = Buffer.concat([plainArchive({ path: 'a.json', content: 'A' }), zeros]);
    // What follows the end is not looked at.
    expect(await read(gzipSync(behind))).toEqual({ 'a.json': 'A' });
  });

  it('with a file larger than one may be is refused before it is read', async () => {
    setLimits({ bytes: 50_000 });
    await expect(read(archive(...entries))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining('file.json'),
    });
  });

  const packed = archive(...entries);
  const plain = plainArchive(...entries);
  const broken = Buffer.from(plain);
  broken[0]! ^= 1;
  it.each([
    ['is cut off within a file', packed.subarray(0, packed.length / 2)],
    ['is cut off within a file, and plain', plain.subarray(0, 2000)],
    ['ends without the two blocks of zeros', plain.subarray(0, -1024)],
    ['has a head with a wrong checksum', broken],
    ['is a text', Buffer.from('Hello. '.repeat(500))],
    ['is empty', Buffer.alloc(0)],
    ['is gzip of nothing', gzipSync('')],
  ])('that %s is no whole archive', async (_, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/a\.tar\.gz is no whole tar archive \(.+\); fetch it again\.$/),
    });
  });

  it('is not read on when nobody wants it any more', async () => {
    await expect(read(packed, /./, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
