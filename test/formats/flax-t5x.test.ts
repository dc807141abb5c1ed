import { cp, mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { encode, ExtData } from '@msgpack/msgpack';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWeights } from '../../src/formats/checkpoint/open-weights.js';
import { toFloat32 } from '../../src/formats/safetensors/file.js';
import type { WeightFile } from '../../src/formats/weights/weight-file.js';

const fixtures = resolve(import.meta.dirname, '..', 'fixtures', 'weights', 't5');

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-flax-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function contents(file: WeightFile, dtype?: 'BF16'): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const { name, dtype: held, shape } of [...file.tensors.values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const bytes = Buffer.from(await file.read(name));
    // What bf16 rounds f32 to, to nearest and ties to even, as ml_dtypes has it.
    const rounded = dtype && held === 'F32' ? round(bytes) : bytes;
    all.set(name, `${dtype ?? held} [${shape.join(', ')}] ${rounded.toString('hex')}`);
  }
  return all;
}

function round(bytes: Buffer): Buffer {
  const words = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const halves = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return Buffer.from(halves.buffer);
}

describe('a checkpoint of Flax or T5X', () => {
  it.each([
    ['flax', 'values', undefined],
    ['flax/flax_model.msgpack', 'values', undefined],
    ['flax-shards', 'values', undefined],
    ['t5x', 'hint-values', undefined],
    ['t5x/checkpoint_1000', 'hint-values', undefined],
    ['t5x/checkpoint_1000/checkpoint', 'hint-values', undefined],
    ['t5x-bf16', 'values', 'BF16'],
  ] as const)('%s has the bits of its twin under Hugging Face’s names', async (name, twin, dtype) => {
    await using file = await openWeights(join(fixtures, name));
    await using values = await openWeights(join(fixtures, `${twin}.safetensors`));
    expect(await contents(file, dtype)).toEqual(await contents(values, dtype));
  });

  it('the latest of several steps is taken', async () => {
    await cp(join(fixtures, 't5x-bf16', 'checkpoint_1000'), join(directory, 'checkpoint_999'), {
      recursive: true,
    });
    await cp(join(fixtures, 't5x', 'checkpoint_1000'), join(directory, 'checkpoint_1000'), {
      recursive: true,
    });
    await using file = await openWeights(directory);
    expect(file.path).toBe(join(directory, 'checkpoint_1000'));
  });

  it('a missing shard is told by its name', async () => {
    await cp(join(fixtures, 'flax-shards'), directory, { recursive: true });
    await unlink(join(directory, 'flax_model-00002-of-00002.msgpack'));
    await expect(openWeights(directory)).rejects.toThrow(
      /flax_model-00002-of-00002\.msgpack does not exist.*download that file too/,
    );
  });

  it('a folder or a chunk of an array that is not there is told by its path', async () => {
    await cp(join(fixtures, 't5x'), directory, { recursive: true });
    const array = join(directory, 'checkpoint_1000', 'target.token_embedder.embedding');
    await unlink(join(array, '1.0'));
    await using file = await openWeights(directory);
    await expect(file.read('shared.weight')).rejects.toThrow(/embedding\/1\.0 does not exist, a chunk/);
    await rm(array, { recursive: true });
    await expect(openWeights(directory)).rejects.toThrow(
      /embedding\/\.zarray does not exist.*whole folder again/,
    );
  });
});

const pack = (dtype: string, shape: number[], bytes: Uint8Array): ExtData =>
  new ExtData(1, encode([shape, dtype, bytes]));
const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe('a msgpack file', () => {
  const flax = async (value: unknown): Promise<WeightFile> => {
    const path = join(directory, 'flax_model.msgpack');
    await writeFile(path, value instanceof Uint8Array ? value : encode(value));
    return openWeights(path);
  };

  it('gives kernels transposed, embeddings and scales under the name weight, all else as it is', async () => {
    const leaf = pack('float32', [2, 3], f32(1, 2, 3, 4, 5, 6));
    await using file = await flax({
      params: {
        a: { kernel: leaf, bias: pack('float32', [2], f32(1, 2)) },
        wte: { embedding: leaf },
        ln: { scale: pack('float32', [], f32(7)) },
      },
      step: 3,
    });
    expect([...file.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual([
      ['a.weight', [3, 2]], ['a.bias', [2]], ['wte.weight', [2, 3]], ['ln.weight', []],
    ]); // prettier-ignore
    expect([...toFloat32(await file.read('a.weight'), 'F32')]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it.each([
    [
      'two arrays of one name',
      { a: { kernel: pack('float32', [1, 1], f32(1)), embedding: pack('float32', [1], f32(1)) } },
      /two parameters are called a\.weight/,
    ],
    [
      'a kernel of three axes',
      { a: { kernel: pack('float32', [1, 1, 1], f32(1)) } },
      /only kernels of two axes/,
    ],
    ['no arrays', { a: 1 }, /holds no parameters/],
    [
      'an array of fewer bytes than its shape',
      { a: pack('float32', [4], f32(1)) },
      /shape \[4\] and type "float32" has 4 bytes/,
    ],
    ['an array whose shape overflows', { a: pack('float32', [2 ** 40, 2 ** 40], f32(1)) }, /has the shape/],
    ['an array of a negative size', { a: pack('float32', [-1], f32()) }, /has the shape \[-1\]/],
    [
      'parts that do not fit together',
      {
        a: { __msgpack_chunked_array__: true, shape: { 0: 3 }, chunks: { 0: pack('float32', [1], f32(1)) } },
      },
      /do not fit together/,
    ],
    [
      'parts that are missing',
      {
        a: {
          __msgpack_chunked_array__: true,
          shape: { 0: 3 },
          chunks: { 1: pack('float32', [3], f32(1, 2, 3)) },
        },
      },
      /do not fit together/,
    ],
    [
      'deep nesting',
      Buffer.concat([
        ...Array.from({ length: 100 }, () => Buffer.from([0x81, 0xa1, 0x61])),
        Buffer.from([0xc0]),
      ]),
      /nested deeper than 64/,
    ],
    [
      'a list of four billion',
      Buffer.from([0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff, 0]),
      /cut off or damaged/,
    ],
    [
      'a text of gigabytes',
      Buffer.from([0x81, 0xa1, 0x61, 0xdb, 0x7f, 0xff, 0xff, 0xff]),
      /text of 2147483647 bytes/,
    ],
    [
      'bytes beyond the file',
      Buffer.from([0x81, 0xa1, 0x61, 0xc6, 0x7f, 0xff, 0xff, 0xff]),
      /goes on to byte 2147483655/,
    ],
    ['a key twice', Buffer.from([0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 1]), /the key "a" twice/],
    ['a key that is no text', Buffer.from([0x81, 1, 1]), /key 1, which is no text/],
    [
      'bytes at its end',
      Buffer.concat([encode({ a: pack('float32', [1], f32(1)) }), Buffer.from([0])]),
      /1 bytes follow/,
    ],
  ] as const)('with %s is refused in a sentence', async (_, value, message) => {
    const opening = flax(value);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toMatchObject({
      code: expect.stringMatching(/INVALID_CHECKPOINT|NOT_SUPPORTED/) as string,
    });
  });
});

describe('an array of zarr', () => {
  const open = async (description: object, chunks: Record<string, Uint8Array>): Promise<WeightFile> => {
    const folder = join(directory, 'target.token_embedder.embedding');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, '.zarray'), JSON.stringify({ zarr_format: 2, shape: [2, 2], chunks: [2, 1], dtype: '<f4', compressor: null, filters: null, fill_value: null, order: 'C', ...description })); // prettier-ignore
    for (const [name, bytes] of Object.entries(chunks)) await writeFile(join(folder, name), bytes);
    const leaf = { driver: 'zarr', kvstore: { driver: 'gfile', path: 'gs://elsewhere/../../etc' } };
    await writeFile(
      join(directory, 'checkpoint'),
      encode({ version: 3, optimizer: { target: { token_embedder: { embedding: leaf } } } }),
    );
    return openWeights(directory);
  };
  const read = async (description: object, chunks: Record<string, Uint8Array>): Promise<number[]> => {
    await using file = await open(description, chunks);
    const { dtype } = file.tensors.get('shared.weight')!;
    return [...toFloat32(await file.read('shared.weight'), dtype)];
  };

  it('is put together from chunks in any order of axes, cut at the edge, absent where zero', async () => {
    expect(await read({}, { '0.0': f32(1, 3), '0.1': f32(2, 4) })).toEqual([1, 2, 3, 4]);
    expect(await read({ order: 'F', chunks: [2, 2] }, { '0.0': f32(1, 3, 2, 4) })).toEqual([1, 2, 3, 4]);
    expect(await read({ shape: [3], chunks: [2] }, { 0: f32(1, 2), 1: f32(3, 99) })).toEqual([1, 2, 3]);
    expect(
      await read(
        { compressor: { id: 'gzip', level: 1 }, chunks: [1, 2], fill_value: 0 },
        { '0.0': gzipSync(f32(1, 2)), '1.0': gzipSync(f32(3, 4)) },
      ),
    ).toEqual([1, 2, 3, 4]);
    await unlink(join(directory, 'target.token_embedder.embedding', '1.0'));
    expect(await read({ compressor: { id: 'gzip', level: 1 }, chunks: [1, 2], fill_value: 0 }, {})).toEqual([
      1, 2, 0, 0,
    ]);
  });

  it.each([
    [
      'a chunk that unpacks to gigabytes',
      { compressor: { id: 'gzip' } },
      { '0.0': gzipSync(Buffer.alloc(1 << 18)) },
      /unpacks to more than the 8 bytes/,
    ],
    ['a chunk of another size', {}, { '0.0': f32(1) }, /holds 4 bytes, not 8/],
    ['a huge chunk', {}, { '0.0': Buffer.alloc(5000) }, /5000 bytes for 8 of values/],
    ['a chunk that is not gzip', { compressor: { id: 'gzip' } }, { '0.0': f32(1, 2) }, /cannot be unpacked/],
    ['big-endian numbers', { dtype: '>f4' }, {}, /dtype ">f4".*big-endian/],
    ['another compressor', { compressor: { id: 'blosc' } }, {}, /compressor "blosc"/],
    ['filters', { filters: [{ id: 'delta' }] }, {}, /has filters/],
    ['another fill value', { fill_value: 1.5 }, {}, /fill_value 1\.5/],
    ['chunks of other axes', { chunks: [2] }, {}, /in chunks of \[2\]/],
    ['chunks of nothing', { chunks: [0, 2] }, {}, /its chunks\.0 is not what zarr 2 has/],
    ['chunks larger than memory', { chunks: [2 ** 26, 2 ** 20] }, {}, /unpack to/],
    [
      'a thousand million chunks',
      { shape: [1e6, 1e6], chunks: [10, 10] },
      {},
      /chunks, the limit is 1000000/,
    ],
    ['a shape that overflows', { shape: [2 ** 40, 2 ** 40], chunks: [2 ** 39, 2 ** 39] }, {}, /shape/],
    ['version 3', { zarr_format: 3 }, {}, /its zarr_format is not what zarr 2 has/],
  ] as const)('with %s is refused in a sentence', async (_, description, chunks, message) => {
    await expect(read(description, chunks)).rejects.toThrow(message);
  });
});

describe('the first bytes of a file', () => {
  const start: [string, Uint8Array | string, RegExp][] = [
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n',
      /Git LFS pointer.*git lfs pull/,
    ],
    ['a web page', '\n<!DOCTYPE html><html>', /web page/],
    ['a server’s error', '{"error":"Repository not found"}', /JSON and not the weights/],
    ['gzip', gzipSync('a'), /gzip.*gunzip/],
    ['zeros', Buffer.alloc(9000), /zero bytes/],
    ['nothing', '', /is empty/],
    ['text', 'hello', /does not begin like|not a valid safetensors|goes on|follow/],
    ['a checkpoint of TensorFlow', 'model_checkpoint_path: "model.ckpt-1"\n', /TensorFlow/],
  ];
  for (const name of ['model.safetensors', 'pytorch_model.bin', 'flax_model.msgpack', 'weights.pt'])
    it.each(start)(`${name} that is %s is told so`, async (_, bytes, message) => {
      await writeFile(join(directory, name), bytes);
      const opening = openWeights(join(directory, name));
      await expect(opening).rejects.toThrow(message);
      await expect(opening).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
    });

  it('of another form than the name says are told so, and any name is read that promises none', async () => {
    const torch = resolve(fixtures, '..', 'torch', 'zip.bin');
    for (const name of ['model.safetensors', 'flax_model.msgpack']) {
      await cp(torch, join(directory, name));
      await expect(openWeights(join(directory, name))).rejects.toThrow(
        /file of PyTorch.*rename it to pytorch_model\.bin/,
      );
    }
    await cp(torch, join(directory, 'weights.ckpt'));
    await using file = await openWeights(join(directory, 'weights.ckpt'));
    expect(file.form).toBe('torch');
  });

  it('say a safetensors file even where the length of its header looks like another form', async () => {
    for (const length of [0x280, 0x4b50, 0x8b1f, 0x223c]) {
      const header = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.padEnd(length);
      const prefix = Buffer.alloc(8);
      prefix.writeUInt32LE(length);
      const path = join(directory, 'weights');
      await writeFile(path, Buffer.concat([prefix, Buffer.from(header), Buffer.from([1])]));
      await using file = await openWeights(path);
      expect(file.form).toBe('safetensors');
    }
  });

  it('a folder without weights, or with shards alone, says what to fetch', async () => {
    await expect(openWeights(directory)).rejects.toThrow(
      /no weights in a form that is read \(model\.safetensors/,
    );
    await writeFile(
      join(directory, 'pytorch_model-00001-of-00002.bin'),
      await readFile(resolve(fixtures, '..', 'torch', 'zip.bin')),
    );
    await expect(openWeights(directory)).rejects.toThrow(/only shards.*index\.json/);
  });
});
