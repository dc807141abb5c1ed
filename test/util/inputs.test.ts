import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readTextLines } from '../../src/data/line-blocks.js';
import { openWeights } from '../../src/formats/checkpoint/open-weights.js';
import { readTar } from '../../src/formats/tar/entries.js';
import { readTfRecords } from '../../src/formats/tfrecord/records.js';
import { hashFile } from '../../src/util/hash-file.js';
import { limits, setLimits } from '../../src/util/limits.js';
import { openInput } from '../../src/util/open-input.js';
import { readBytes } from '../../src/util/read-file.js';

const before = limits();
let folder: string, pipe: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-inputs-'));
  pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
});
afterEach(async () => {
  setLimits(before);
  await rm(folder, { recursive: true, force: true });
});

async function all(from: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of from) items.push(item);
  return items;
}

const READERS: readonly [string, (path: string, signal?: AbortSignal) => Promise<unknown>][] = [
  ['a whole file', (path, signal) => readBytes(path, 'it', signal)],
  ['lines', (path, signal) => all(readTextLines(path, 'the texts', { signal }))],
  ['an archive', (path, signal) => all(readTar(path, () => true, signal))],
  ['records', (path, signal) => all(readTfRecords(path, signal))],
];

describe('a pipe in the place of a file', () => {
  it.each(READERS)('that nobody writes to ends the reading of %s with a sentence', async (_what, read) => {
    setLimits({ seconds: 0.05 });
    await expect(read(pipe)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringMatching(/pipe is a pipe that nobody has opened to write for 0\.05 s.*name a file/) as string, // prettier-ignore
    });
  });

  it.each(READERS)('that says nothing does not outlast an abort of reading %s', async (_what, read) => {
    await using writer = await open(pipe, constants.O_RDWR);
    expect(writer.fd).toBeGreaterThan(0);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    await expect(read(pipe, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('is read to its end, however late and slowly it is written', async () => {
    const reading = readBytes(pipe, 'it');
    await sleep(30);
    const writer = await open(pipe, 'w');
    for (const part of ['a'.repeat(100_000), 'b'.repeat(3)]) {
      await writer.writeFile(part);
      await sleep(30);
    }
    await writer.close();
    expect((await reading).toString()).toBe(`${'a'.repeat(100_000)}bbb`);
  });

  it('of a shell that gives nothing is empty at once', () => {
    const script = "import('./dist/util/read-file.js').then(async ({ readBytes }) => console.log((await readBytes('/dev/stdin', 'it')).length))"; // prettier-ignore
    const command = `printf '' | HINT_FILE_SECONDS=1000 node -e "${script}"`;
    expect(execFileSync('sh', ['-c', command], { encoding: 'utf8' })).toBe('0\n');
  });

  it('is refused where bytes are read in any order', async () => {
    const refusal = {
      code: 'INVALID_FILE',
      message: expect.stringContaining('is no regular file') as string,
    };
    await expect(openWeights(pipe)).rejects.toMatchObject(refusal);
    await expect(hashFile(pipe)).rejects.toMatchObject(refusal);
  });
});

describe('a regular file', () => {
  it('is read from the byte that is asked for, in pieces of the size that is', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'abcdefg');
    const pieces = await all(openInput(file, { start: 1, chunkBytes: 4 }));
    expect(pieces.map(String)).toEqual(['bcde', 'fg']);
  });

  it('is not left open by who stops early', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'a\nb\n'.repeat(100_000));
    const stream = openInput(file, { chunkBytes: 4 });
    for await (const piece of stream as AsyncIterable<Buffer>) {
      expect(String(piece)).toBe('a\nb\n');
      break;
    }
    await vi.waitFor(() => expect(stream.closed).toBe(true));
  });
});
