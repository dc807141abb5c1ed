import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLineBlocks, type LineBlock } from '../../src/data/line-blocks.js';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'hint-lines-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(file: string, blockBytes?: number): Promise<LineBlock[]> {
  const blocks: LineBlock[] = [];
  for await (const block of readLineBlocks(file, 'the file', blockBytes === undefined ? {} : { blockBytes }))
    blocks.push(block);
  return blocks;
}

describe('readLineBlocks', () => {
  const lines = Array.from(
    { length: 30_000 },
    (_, i) => `{"line": ${i + 1}, "text": "${'é'.repeat(i % 40)}"}`,
  );

  it.each(['plain.jsonl', 'packed.jsonl.gz'])(
    'gives every line of %s once, whole, under its number',
    async (name) => {
      const file = join(folder, name);
      const text = Buffer.from(lines.join('\n'));
      await writeFile(file, name.endsWith('.gz') ? gzipSync(text) : text);
      const blocks = await read(file, 10_000);
      expect(blocks.length).toBeGreaterThan(5);
      expect(Buffer.concat(blocks.map(({ bytes }) => bytes)).equals(text)).toBe(true);
      for (const { bytes, firstLine } of blocks) {
        const first = Buffer.from(bytes).toString('utf8').split('\n')[0]!;
        expect(JSON.parse(first)).toMatchObject({ line: firstLine });
      }
    },
  );

  it('reads an empty file as nothing and one without a last newline as a line', async () => {
    const file = join(folder, 'short');
    await writeFile(file, '');
    expect(await read(file)).toEqual([]);
    await writeFile(file, 'x');
    expect(await read(file)).toEqual([{ bytes: Buffer.from('x'), firstLine: 1 }]);
  });

  it('says that an archive is cut off or none, instead of giving part of it', async () => {
    const file = join(folder, 'damaged.gz');
    const whole = gzipSync(lines.join('\n'));
    expect(gunzipSync(whole).length).toBeGreaterThan(0);
    for (const bytes of [whole.subarray(0, whole.length / 2), Buffer.from('{"not": "packed"}\n')]) {
      await writeFile(file, bytes);
      await expect(read(file)).rejects.toMatchObject({ name: 'HintError', code: 'INVALID_DATA' });
    }
    expect((await readFile(file)).length).toBeGreaterThan(0);
  });

  it('names a missing file, and stops on abort', async () => {
    await expect(read(join(folder, 'nowhere.gz'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(read(folder)).rejects.toMatchObject({ code: 'IO' });
    const aborted = readLineBlocks('x', 'the file', { signal: AbortSignal.abort() });
    await expect(aborted.next()).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
