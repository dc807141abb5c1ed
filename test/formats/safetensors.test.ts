import { copyFileSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  openSafetensors,
  toBfloat16,
  toBfloat16InPieces,
  toFloat32,
  toFloat32InPieces,
  writeSafetensors,
  type SafetensorsDType,
} from '../../src/formats/safetensors/file.js';

// A system call that fails on demand, as on a full disk.
const faults = vi.hoisted(() => ({ failWriteAfter: Infinity, code: 'ENOSPC', failRename: false }));
vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  return {
    ...real,
    rename: (from: string, to: string) =>
      faults.failRename
        ? Promise.reject(Object.assign(new Error('rename'), { code: 'EACCES' }))
        : real.rename(from, to),
    open: async (...args: Parameters<typeof real.open>) => {
      const file = await real.open(...args);
      const write = file.write.bind(file) as (...rest: unknown[]) => Promise<{ bytesWritten: number }>;
      let written = 0;
      file.write = (async (...rest: unknown[]) => {
        if (written >= faults.failWriteAfter) {
          throw Object.assign(new Error(faults.code), { code: faults.code });
        }
        const result = await write(...rest);
        written += result.bytesWritten;
        return result;
      }) as typeof file.write;
      return file;
    },
  };
});

const fixture = fileURLToPath(new URL('../fixtures/safetensors/every-dtype.safetensors', import.meta.url));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-safetensors-'));
});
afterEach(async () => {
  Object.assign(faults, { failWriteAfter: Infinity, code: 'ENOSPC', failRename: false });
  await rm(directory, { recursive: true });
});

/** A file with this header text and this many data bytes 0, 1, 2, … */
async function raw(header: string | Uint8Array, dataBytes: number, declared?: bigint): Promise<string> {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(declared ?? BigInt(json.byteLength));
  const path = join(directory, 'raw.safetensors');
  await writeFile(path, Buffer.concat([length, json, Buffer.from([...Array(dataBytes).keys()])]));
  return path;
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe('reading', () => {
  it('gives every dtype exactly as the format’s own library wrote it', async () => {
    const expected = JSON.parse(readFileSync(fixture.replace('.safetensors', '.json'), 'utf8')) as Record<
      string,
      (number | string)[]
    >;
    await using file = await openSafetensors(fixture);
    expect(file.metadata).toEqual(new Map([['format', 'pt']]));
    for (const [name, values] of Object.entries(expected)) {
      const actual = toFloat32(await file.read(name), name.toUpperCase() as SafetensorsDType);
      expect([...actual]).toEqual(values.map(Number));
    }
    expect(file.tensors.get('f32')).toMatchObject({ dtype: 'F32', shape: [3, 4], byteLength: 48 });
    expect(file.tensors.get('scalar')!.shape).toEqual([]);
    expect(file.tensors.get('empty')).toMatchObject({ shape: [0, 4], byteLength: 0 });
    expect(await file.read('empty')).toHaveLength(0);
    expect([...new BigInt64Array((await file.read('i64')).buffer)]).toEqual([-1n, 2n ** 40n]);
    expect([...new Int32Array((await file.read('i32')).buffer)]).toEqual([7, -8]);
    expect([...new Int8Array((await file.read('i8')).buffer)]).toEqual([-128, 127, 5]);
    expect([...(await file.read('u8'))]).toEqual([0, 255, 3]);
  });

  it('reaches values beyond 2 GiB and 4 GiB without loading the file', async () => {
    const far = 5 * 2 ** 30;
    const header = `{"big":{"dtype":"U8","shape":[${far}],"data_offsets":[0,${far}]},"far":{"dtype":"F32","shape":[2],"data_offsets":[${far},${far + 8}]}}`;
    const path = await raw(header, 0);
    const start = 8 + header.length + far;
    await truncate(path, start + 8);
    const handle = await fs.open(path, 'r+');
    await handle.write(floats(1.5, -2), 0, 8, start);
    await handle.close();
    await using file = await openSafetensors(path);
    expect([...toFloat32(await file.read('far'), 'F32')]).toEqual([1.5, -2]);
  });

  it('names a tensor that is not there, and stops when aborted', async () => {
    await using file = await openSafetensors(fixture);
    await expect(file.read('f33')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(file.read('f32', AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('gives in pieces what it gives in one, also to who stops early', async () => {
    const path = join(directory, 'pieces.safetensors');
    const data = Uint8Array.from({ length: 5 * 1024 * 1024 + 3 }, (_, i) => (i * 31) ^ (i >> 8));
    await writeSafetensors(path, [
      { name: 'a', dtype: 'U8', shape: [2], data: Uint8Array.of(1, 2) },
      { name: 'b', dtype: 'U8', shape: [data.length], data },
      { name: 'empty', dtype: 'U8', shape: [0], data: new Uint8Array() },
    ]);
    await using file = await openSafetensors(path);
    const together = async (name: string): Promise<Buffer> => {
      const pieces: Buffer[] = [];
      for await (const piece of file.pieces(name)) pieces.push(Buffer.from(piece));
      return Buffer.concat(pieces);
    };
    expect(Buffer.compare(await together('b'), data)).toBe(0);
    expect([...(await together('a')), ...(await together('empty'))]).toEqual([1, 2]);
    for await (const piece of file.pieces('b')) {
      expect(piece.length).toBeLessThan(data.length);
      break;
    }
    expect(() => file.pieces('c')).toThrow(/no tensor "c"/);
    await truncate(path, 3 * 1024 * 1024);
    await expect(together('b')).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
  });

  it('notices a file that shrinks after it was opened', async () => {
    const path = join(directory, 'shrinks.safetensors');
    copyFileSync(fixture, path);
    await using file = await openSafetensors(path);
    await truncate(path, 700);
    await expect(file.read('u8')).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
  });

  it('refuses every truncation of a file, whatever its length', async () => {
    const whole = await readFile(fixture);
    const path = join(directory, 'cut.safetensors');
    for (let length = 0; length < whole.byteLength; length += 7) {
      await writeFile(path, whole.subarray(0, length));
      await expect(openSafetensors(path), `${length} bytes`).rejects.toMatchObject({
        code: 'INVALID_CHECKPOINT',
      });
    }
  });

  const a = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';
  it.each([
    ['no header', '', 0, /not JSON/],
    ['text that is not JSON', '{"a":', 0, /not JSON/],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 0, /not UTF-8/],
    ['a list', '[]', 0, /not an object/],
    ['null', 'null', 0, /not an object/],
    ['a JSON bomb', '{"a":' + '['.repeat(1_000_000), 0, /nested deeper/],
    ['an endless string', '{"' + '\\"'.repeat(100_000), 0, /not JSON/],
    ['a tensor twice', `{${a},${a}}`, 8, /"a" twice/],
    ['a tensor twice, once in escapes', `{${a},${a.replace('"a"', '"\\u0061"')}}`, 8, /"a" twice/],
    ['two dtypes', '{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4, /"dtype" twice/],
    ['a tensor that is a number', '{"a":3}', 0, /"a" is not an object/],
    ['a dtype that is no name', '{"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}', 1, /dtype 8/],
    [
      'a float8 of the wrong size',
      '{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,1]}}',
      1,
      /F8_E4M3 takes 2 bytes/,
    ],
    [
      'an unknown dtype of less than nothing',
      '{"a":{"dtype":"F4","shape":[2],"data_offsets":[1,0]}}',
      1,
      /span -1/,
    ],
    ['a negative size', '{"a":{"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]}}', 1, /shape \[-1, -1\]/],
    ['a fractional size', '{"a":{"dtype":"U8","shape":[0.5],"data_offsets":[0,1]}}', 1, /shape \[0\.5\]/],
    [
      'a shape that overflows',
      '{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}}',
      1,
      /shape/,
    ],
    [
      'a shape of the wrong size',
      '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}',
      8,
      /takes 12 bytes.*span 8/,
    ],
    [
      'a dtype of the wrong size',
      '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}',
      8,
      /takes 4 bytes.*span 8/,
    ],
    ['backward offsets', '{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', 8, /span -8/],
    ['one offset', '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}', 8, /data_offsets \[0\]/],
    ['offsets as text', '{"a":{"dtype":"F32","shape":[2],"data_offsets":["0","8"]}}', 8, /data_offsets/],
    ['offsets past the end', `{${a}}`, 7, /ends at byte 8 of 7.*truncated/],
    ['bytes of no tensor at the end', `{${a}}`, 9, /1 bytes after its last tensor/],
    ['a gap', `{${a},"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`, 10, /"b" starts at byte 9.*gap/],
    [
      'an overlap',
      `{${a},"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9]}}`,
      9,
      /"b" starts at byte 7.*overlaps/,
    ],
    ['metadata that is a list', `{"__metadata__":[],${a}}`, 8, /__metadata__/],
    ['metadata that is not text', `{"__metadata__":{"x":1},${a}}`, 8, /__metadata__ "x"/],
  ])('refuses a header with %s', async (_, header, dataBytes, message) => {
    const path = await raw(header, dataBytes);
    await expect(openSafetensors(path)).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each(['BOOL', 'U16', 'F8_E4M3', 'F4', 'toString'])(
    'lists a tensor of dtype %s, which no model may ask for',
    async (dtype) => {
      const width = dtype === 'U16' ? 2 : 1;
      const header = `{"odd":{"dtype":"${dtype}","shape":[1],"data_offsets":[0,${width}]},"a":{"dtype":"F32","shape":[1],"data_offsets":[${width},${width + 4}]}}`;
      await using file = await openSafetensors(await raw(header, width + 4));
      expect(file.tensors.get('odd')).toMatchObject({ dtype, byteLength: width });
      expect(await file.read('a')).toHaveLength(4);
      expect(() => toFloat32(new Uint8Array(width), dtype)).toThrow(
        `dtype ${dtype}, holds no floating-point`,
      );
    },
  );

  it('refuses a header length beyond the file or the limit before allocating it', async () => {
    await expect(openSafetensors(await raw('{}', 0, 3n))).rejects.toThrow(/header of 3 bytes but has only 2/);
    await expect(openSafetensors(await raw('{}', 0, 2n ** 64n - 1n))).rejects.toThrow(/limit is 10000000/);
  });

  it('accepts names that trip careless parsers', async () => {
    const entry = (begin: number) => `{"dtype":"U8","shape":[1],"data_offsets":[${begin},${begin + 1}]}`;
    const path = await raw(`{"__proto__":${entry(0)},"{\\"[":${entry(1)},"é\\\\":${entry(2)}}  `, 3);
    await using file = await openSafetensors(path);
    expect([...file.tensors.keys()]).toEqual(['__proto__', '{"[', 'é\\']);
    expect([...(await file.read('é\\'))]).toEqual([2]);
  });

  it('says what is missing where nothing is', async () => {
    await expect(openSafetensors(join(directory, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(openSafetensors(directory)).rejects.toThrow(/neither model\.safetensors nor/);
  });
});

describe('a sharded checkpoint', () => {
  const index = (weightMap: unknown) =>
    writeFile(join(directory, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));

  beforeEach(async () => {
    for (const [shard, name, value] of [
      ['model-00001-of-00002.safetensors', 'x', 1],
      ['model-00002-of-00002.safetensors', 'y', 2],
    ] as const) {
      const tensor = { name, dtype: 'F32', shape: [1], data: floats(value) } as const;
      await writeSafetensors(join(directory, shard), [tensor]);
    }
  });

  it('reads like one file', async () => {
    await index({ x: 'model-00001-of-00002.safetensors', y: 'model-00002-of-00002.safetensors' });
    await using file = await openSafetensors(directory);
    expect([...file.tensors.keys()]).toEqual(['x', 'y']);
    expect([...toFloat32(await file.read('y'), 'F32')]).toEqual([2]);
    await expect(file.read('z')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    '../outside.safetensors',
    '/etc/outside.safetensors',
    'a/b.safetensors',
    'a\\b.safetensors',
    'x.bin',
    '',
  ])('cannot point outside its directory: %j', async (shard) => {
    await index({ x: shard });
    await expect(openSafetensors(directory)).rejects.toThrow(
      /must be a \.safetensors file in the same directory/,
    );
  });

  it('is refused when its index is malformed or does not match its shards', async () => {
    await index({ x: 'model-00002-of-00002.safetensors' });
    await expect(openSafetensors(directory)).rejects.toThrow(/"x" in model-00002.*does not hold it/);
    await index({ x: 'model-00003-of-00002.safetensors' });
    await expect(openSafetensors(directory)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await index(['x']);
    await expect(openSafetensors(directory)).rejects.toThrow(/weight_map/);
    await writeFile(join(directory, 'model.safetensors.index.json'), '{');
    await expect(openSafetensors(directory)).rejects.toMatchObject({ code: 'INVALID_JSON' });
  });
});

describe('writing', () => {
  it('gives the bytes of the format’s own library, in whatever order the tensors come', async () => {
    await using file = await openSafetensors(fixture);
    const tensors = [...file.tensors.values()].map((t) => ({ ...t, data: () => file.read(t.name) }));
    const path = join(directory, 'copy.safetensors');
    for (const order of [tensors, tensors.toReversed()]) {
      await writeSafetensors(path, order, Object.fromEntries(file.metadata));
      expect((await readFile(path)).equals(await readFile(fixture))).toBe(true);
    }
  });

  const one = (data: Uint8Array | (() => Promise<Uint8Array>)) => [
    { name: 'a', dtype: 'F32', shape: [2], data } as const,
  ];

  /** Asserts that `write` fails with `code` and changes nothing in the directory. */
  async function expectUntouched(write: (path: string) => Promise<void>, code: string, message: RegExp) {
    const path = join(directory, 'kept.safetensors');
    await writeFile(path, 'old content');
    await expect(write(path)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    expect(await readFile(path, 'utf8')).toBe('old content');
    expect(await readdir(directory)).toEqual(['kept.safetensors']);
  }

  it('leaves the old file and no temporary one when the disk fills up', async () => {
    for (const bytes of [0, 1]) {
      faults.failWriteAfter = bytes;
      await expectUntouched((path) => writeSafetensors(path, one(floats(1, 2))), 'IO', /disk is full/);
    }
  });

  it('leaves the old file when the new one cannot take its place', async () => {
    faults.failRename = true;
    await expectUntouched((path) => writeSafetensors(path, one(floats(1, 2))), 'IO', /no permission/);
  });

  it('leaves the old file when a tensor’s bytes fail to come, do not fit or are aborted', async () => {
    const broken = () => Promise.reject(new Error('device lost'));
    await expect(writeSafetensors(join(directory, 'x'), one(broken))).rejects.toThrow('device lost');
    await expectUntouched(
      (path) => writeSafetensors(path, one(floats(1))),
      'INVALID_SHAPE',
      /takes 8 bytes, 4 were/,
    );
    await expectUntouched(
      (path) => writeSafetensors(path, one(floats(1, 2)), {}, AbortSignal.abort()),
      'ABORTED',
      /aborted/,
    );
  });

  it('names a directory that is missing, is a file, or is the target itself', async () => {
    const write = (path: string) => writeSafetensors(path, one(floats(1, 2)));
    await writeFile(join(directory, 'file'), '');
    await mkdir(join(directory, 'folder'));
    await expect(write(join(directory, 'none', 'm'))).rejects.toMatchObject({ code: 'IO' });
    await expect(write(join(directory, 'file', 'm'))).rejects.toMatchObject({ code: 'IO' });
    await expect(write(join(directory, 'folder'))).rejects.toMatchObject({ code: 'IO' });
    expect((await readdir(directory)).sort()).toEqual(['file', 'folder']);
  });

  it('refuses repeated and reserved names and impossible shapes', async () => {
    const path = join(directory, 'm');
    const tensor = one(floats(1, 2))[0]!;
    await expect(writeSafetensors(path, [tensor, tensor])).rejects.toThrow(/"a" is reserved or used twice/);
    await expect(writeSafetensors(path, [{ ...tensor, name: '__metadata__' }])).rejects.toThrow(/reserved/);
    await expect(writeSafetensors(path, [{ ...tensor, shape: [-2] }])).rejects.toMatchObject({
      code: 'INVALID_SHAPE',
    });
  });

  it('can write nothing, and read it back', async () => {
    const path = join(directory, 'nothing.safetensors');
    await writeSafetensors(path, []);
    await using file = await openSafetensors(path);
    expect(file.tensors.size).toBe(0);
  });
});

describe('conversions in pieces', () => {
  // More than a piece, and no multiple of one.
  const values = Float32Array.from({ length: (1 << 18) + 1003 }, (_, i) => Math.sin(i) * 3 ** (i % 40));

  it('give the bytes of the conversion in one', async () => {
    const halves = toBfloat16(values);
    expect(Buffer.from(await toBfloat16InPieces(values)).equals(halves)).toBe(true);
    const whole = toFloat32(halves, 'BF16');
    expect(
      Buffer.from((await toFloat32InPieces(halves, 'BF16')).buffer).equals(Buffer.from(whole.buffer)),
    ).toBe(true);
  });

  it('refuse what the conversion in one refuses', async () => {
    const bytes = new Uint8Array((1 << 19) + 3);
    await expect(toFloat32InPieces(bytes, 'BF16')).rejects.toThrow(/no whole number of BF16/);
    await expect(toFloat32InPieces(bytes.subarray(3), 'U8')).rejects.toThrow(/no floating-point/);
  });
});

describe('toFloat32', () => {
  it('converts bytes at an odd address', () => {
    const shifted = new Uint8Array(9);
    shifted.set(floats(1.5, -3), 1);
    expect([...toFloat32(shifted.subarray(1), 'F32')]).toEqual([1.5, -3]);
    shifted.set([0x00, 0x3c, 0x00, 0xc2], 1);
    expect([...toFloat32(shifted.subarray(1, 5), 'F16')]).toEqual([1, -3]);
    shifted.set([0x80, 0x3f, 0x40, 0xc0], 1);
    expect([...toFloat32(shifted.subarray(1, 5), 'BF16')]).toEqual([1, -3]);
  });

  it('refuses integers and bytes that are no whole number of elements', () => {
    expect(() => toFloat32(new Uint8Array(4), 'I32')).toThrow(/no floating-point/);
    expect(() => toFloat32(new Uint8Array(3), 'BF16')).toThrow(/3 bytes/);
  });
});
