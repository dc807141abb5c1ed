import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzip } from '../../src/util/gunzip.js';

const [first, second] = [gzipSync('first\n'.repeat(1000)), gzipSync('second\n')];
const text = `${'first\n'.repeat(1000)}second\n`;

/** Unpacks bytes that come in chunks of a size. */
async function unpacked(bytes: Buffer, size = bytes.length): Promise<{ text: string; padding: number[] }> {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  const padding: number[] = [];
  const parts: Buffer[] = [];
  for await (const part of gunzip(Readable.from(chunks), { onPadding: (count) => padding.push(count) }))
    parts.push(part);
  return { text: Buffer.concat(parts).toString(), padding };
}

describe('gunzip', () => {
  it.each([1, 7, 512, 100_000])('loses no member behind zeros, in chunks of %i bytes', async (size) => {
    for (const zeros of [0, 1, 511, 5000]) {
      const bytes = Buffer.concat([first, Buffer.alloc(zeros), second]);
      expect(await unpacked(bytes, size)).toEqual({ text, padding: zeros > 0 ? [zeros] : [] });
    }
  });

  it('says nothing of zeros behind the last member, which hide nothing', async () => {
    for (const size of [1, 100_000])
      expect(await unpacked(Buffer.concat([first, second, Buffer.alloc(1024)]), size)).toEqual({
        text,
        padding: [],
      });
  });

  it('refuses what is cut off, damaged, or followed by something else', async () => {
    await expect(unpacked(first.subarray(0, -9))).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
    await expect(unpacked(Buffer.concat([first, Buffer.from('garbage')]))).rejects.toMatchObject({
      code: 'Z_DATA_ERROR',
    });
    await expect(unpacked(Buffer.concat([first, Buffer.alloc(9), Buffer.from('garbage')]))).rejects.toThrow();
    await expect(
      unpacked(Buffer.concat([first, Buffer.alloc(9), second.subarray(0, 12)])),
    ).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
    const damaged = Buffer.from(first);
    damaged[15]! ^= 0xff;
    await expect(unpacked(damaged)).rejects.toThrow();
  });

  it('destroys its source when the iteration is left, and passes on its error', async () => {
    const source = Readable.from([first, second]);
    const left = gunzip(source);
    await left.next();
    await left.return();
    expect(source.destroyed).toBe(true);
    const failing = Readable.from(
      (function* () {
        yield first.subarray(0, 20);
        throw new Error('the disk is gone');
      })(),
    );
    await expect(Readable.from(gunzip(failing)).toArray()).rejects.toThrow('the disk is gone');
  });
});
