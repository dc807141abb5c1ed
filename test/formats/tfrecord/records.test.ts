import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseExample } from '../../../src/formats/tfrecord/example.js';
import { readTfRecords } from '../../../src/formats/tfrecord/records.js';
import { limits, setLimits } from '../../../src/util/limits.js';
import { checksum, example, tfRecords } from '../../data/prepare/records.js';

const before = limits();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-tfrecord-'));
});
afterEach(() => setLimits(before));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(bytes: Uint8Array, signal?: AbortSignal): Promise<string[]> {
  const file = join(folder, 'a.tfrecord');
  await writeFile(file, bytes);
  const found: string[] = [];
  for await (const record of readTfRecords(file, signal)) found.push(Buffer.from(record.bytes).toString());
  return found;
}

describe('a TFRecord file', () => {
  const large = 'x'.repeat(700_000);
  const file = tfRecords(Buffer.from('first'), Buffer.alloc(0), Buffer.from(large), Buffer.from('last'));

  it('gives its records, also empty ones and those of several chunks', async () => {
    expect(await read(file)).toEqual(['first', '', large, 'last']);
    expect(await read(Buffer.alloc(0))).toEqual([]);
  });

  it.each([
    ['in the length of its first record', 5, 1],
    ['in its first content', 18, 1],
    ['in the head of its last', file.length - 18, 4],
    ['at its last byte', file.length - 1, 4],
  ])('that ends %s is named with its place', async (_, length, number) => {
    await expect(read(file.subarray(0, length))).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(
        new RegExp(`a\\.tfrecord, record ${number} is cut off.*fetch the file again`),
      ),
    });
  });

  it.each([
    ['content', 13],
    ['length', 3],
  ])('with another %s than its checksum says is refused', async (what, at) => {
    const damaged = Buffer.from(file);
    damaged[at]! ^= 1;
    await expect(read(damaged)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(`record 1 is damaged, .*the checksum of its ${what} is`),
    });
  });

  it('that claims terabytes is refused before memory is taken, though its checksum is right', async () => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(2n ** 42n);
    await expect(read(Buffer.concat([length, checksum(length), Buffer.alloc(99)]))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
  });

  it('is not read on when nobody wants it any more', async () => {
    await expect(read(file, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(readTfRecords(join(folder, 'none')).next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('a tf.train.Example', () => {
  const parse = (bytes: Buffer): ReturnType<typeof parseExample> => parseExample({ bytes, where: 'here' });

  it('has the texts and numbers of its features', () => {
    const found = parse(example({ inputs: [5, 300, 32_127], text: 'né', choices: ['a', ''], none: [] }));
    expect(found.get('inputs')?.integers).toEqual([5, 300, 32_127]);
    expect(found.get('text')?.bytes.map((bytes) => Buffer.from(bytes).toString())).toEqual(['né']);
    expect(found.get('choices')?.bytes).toHaveLength(2);
    expect(found.get('none')).toEqual({ bytes: [], integers: [] });
  });

  it('is read as TensorFlow serializes it', () => {
    // What the guide "TFRecord and tf.train.Example" of tensorflow.org prints for False, 4, b'goat' and 0.9876.
    const bytes = Buffer.from(
      '\nR\n\x14\n\x08feature3\x12\x08\x12\x06\n\x04[\xd3|?\n\x11\n\x08feature1\x12\x05\x1a\x03\n\x01\x04\n\x14\n\x08feature2\x12\x08\n\x06\n\x04goat\n\x11\n\x08feature0\x12\x05\x1a\x03\n\x01\x00',
      'latin1',
    );
    const found = parse(bytes);
    expect(found.get('feature0')?.integers).toEqual([0]);
    expect(found.get('feature1')?.integers).toEqual([4]);
    expect(Buffer.from(found.get('feature2')?.bytes[0] ?? []).toString()).toBe('goat');
    expect(found.get('feature3')).toEqual({ bytes: [], integers: [] });
  });

  it.each([
    ['no message', Buffer.from('Hello, world')],
    ['no features', Buffer.alloc(0)],
    ['a message that is cut off', example({ text: 'long enough' }).subarray(0, 12)],
  ])('that is %s is refused', (_, bytes) => {
    expect(() => parse(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_FILE' }) as Error);
  });
});
