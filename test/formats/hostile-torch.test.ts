import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits, setLimits } from '../../src/util/limits.js';
import { openWeights } from '../../src/formats/checkpoint/open-weights.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-hostile-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u16 = (value: number): Buffer => u32(value).subarray(0, 2);

interface ZipEntry {
  name: string;
  data: Uint8Array;
  method?: number;
  /** What the archive says that it unpacks to. */
  size?: number;
}

/** A zip archive, as torch writes it where `method` is 0. */
function zipOf(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directoryParts: Buffer[] = [];
  let position = 0;
  for (const { name, data, method = 0, size = data.length } of entries) {
    const common = [
      u16(20),
      u16(0),
      u16(method),
      u32(0),
      u32(0),
      u32(data.length),
      u32(size),
      u16(name.length),
      u16(0),
    ];
    const local = Buffer.concat([latin('PK\x03\x04'), ...common, latin(name), data]);
    directoryParts.push(
      Buffer.concat([
        latin('PK\x01\x02'),
        u16(20),
        ...common,
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(position),
        latin(name),
      ]),
    );
    parts.push(local);
    position += local.length;
  }
  const list = Buffer.concat(directoryParts);
  const end = [
    latin('PK\x05\x06'),
    u16(0),
    u16(0),
    u16(entries.length),
    u16(entries.length),
    u32(list.length),
    u32(position),
    u16(0),
  ];
  return Buffer.concat([...parts, list, ...end]);
}

const text = (value: string): Buffer => Buffer.concat([latin('X'), u32(value.length), latin(value)]);
const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return Buffer.concat([latin('\x8a\x08'), bytes]);
};
const tuple = (...items: Buffer[]): Buffer => Buffer.concat([latin('('), ...items, latin('t')]);

interface View {
  offset?: number;
  shape?: number[];
  strides?: number[];
  count?: number;
}

/** The pickle of a dict with one tensor `a` of a storage of four floats. */
function pickle({ offset = 0, shape = [2, 2], strides = [2, 1], count = 4 }: View = {}): Buffer {
  const storage = Buffer.concat([
    tuple(text('storage'), latin('ctorch\nFloatStorage\n'), text('0'), text('cpu'), int(count)),
    latin('Q'),
  ]);
  const args = tuple(
    storage,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    latin('\x89'),
    latin('}'),
  );
  return Buffer.concat([
    latin('\x80\x02}'),
    text('a'),
    latin('ctorch._utils\n_rebuild_tensor_v2\n'),
    args,
    latin('Rs.'),
  ]);
}

const FLOATS = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);

function archive(data: Buffer, ...more: ZipEntry[]): Buffer {
  return zipOf([{ name: 'model/data.pkl', data }, { name: 'model/data/0', data: FLOATS }, ...more]);
}

async function read(bytes: Uint8Array): Promise<number[]> {
  const path = join(directory, 'pytorch_model.bin');
  await writeFile(path, bytes);
  await using file = await openWeights(path);
  const values = await file.read('a');
  return [...new Float32Array(values.buffer, values.byteOffset, values.length / 4)];
}

const dict = (...instructions: (Buffer | string)[]): Buffer =>
  Buffer.concat([
    latin('\x80\x02'),
    ...instructions.map((one) => (typeof one === 'string' ? latin(one) : one)),
    latin('.'),
  ]);

describe('a file of PyTorch that was made by hand', () => {
  it('is read as it says where it says what can be', async () => {
    expect(await read(archive(pickle()))).toEqual([1, 2, 3, 4]);
    expect(await read(archive(pickle({ strides: [1, 2] })))).toEqual([1, 3, 2, 4]);
    expect(await read(archive(pickle({ offset: 3, shape: [3], strides: [0] })))).toEqual([4, 4, 4]);
    expect(await read(archive(pickle({ offset: 9, shape: [0, 5], strides: [99, 99] })))).toEqual([]);
    expect(await read(archive(pickle(), { name: 'model/byteorder', data: latin('little') }))).toEqual([
      1, 2, 3, 4,
    ]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      'an offset past its storage',
      archive(pickle({ offset: 1 })),
      /reaches to the element 4 of a storage of 4 elements/,
    ],
    ['a negative offset', archive(pickle({ offset: -1 })), /begins at the element -1/],
    ['a negative stride', archive(pickle({ strides: [-2, 1] })), /strides \[-2, 1\]/],
    [
      'a stride past the storage',
      archive(pickle({ strides: [2 ** 40, 1] })),
      /reaches to the element 1099511627777/,
    ],
    [
      'a stride past all numbers',
      archive(pickle({ shape: [2 ** 40, 2], strides: [2 ** 52, 1] })),
      /reaches to the element/,
    ],
    ['a negative size', archive(pickle({ shape: [-1, 2] })), /has the shape \[-1, 2\]/],
    [
      'a shape that overflows',
      archive(pickle({ shape: [2 ** 40, 2 ** 40], strides: [0, 0] })),
      /has the shape/,
    ],
    ['fewer strides than sizes', archive(pickle({ strides: [1] })), /has the strides \[1\]/],
    ['a storage larger than its entry', archive(pickle({ count: 5 })), /20 bytes has an entry of 16 bytes/],
    ['a storage of less than nothing', archive(pickle({ count: -1 })), /has -1 elements/],
    [
      'a storage that is not there',
      zipOf([{ name: 'model/data.pkl', data: pickle() }]),
      /no entry "model\/data\/0"/,
    ],
    ['an entry twice', archive(pickle(), { name: 'model/data/0', data: FLOATS }), /"model\/data\/0" twice/],
    ['two pickles', archive(pickle(), { name: 'other/data.pkl', data: pickle() }), /several data\.pkl/],
    ['no pickle', zipOf([{ name: 'model/data/0', data: FLOATS }]), /no data\.pkl/],
    [
      'big-endian numbers',
      archive(pickle(), { name: 'model/byteorder', data: latin('big') }),
      /byte order "big".*"little"/,
    ],
    [
      'a compressed storage',
      zipOf([
        { name: 'model/data.pkl', data: pickle() },
        { name: 'model/data/0', data: deflateRawSync(FLOATS), method: 8, size: 16 },
      ]),
      /"model\/data\/0" compressed/,
    ],
    [
      'a compressed pickle of gigabytes',
      zipOf([
        { name: 'model/data.pkl', data: deflateRawSync(Buffer.alloc(1 << 20)), method: 8, size: 2 ** 31 },
      ]),
      /data\.pkl" compressed/,
    ],
    [
      'a stored entry of another size',
      zipOf([{ name: 'model/data.pkl', data: pickle(), size: 7 }]),
      /zip archive cannot be read/,
    ],
    [
      'a list of entries that is not there',
      Buffer.concat([archive(pickle()).subarray(0, -6), u32(2 ** 31), u16(0)]),
      /zip archive cannot be read/,
    ],
    [
      'a zip64 place beyond all numbers',
      Buffer.concat([
        latin('PK\x06\x07'),
        u32(0),
        Buffer.alloc(8, 0xff),
        u32(1),
        latin('PK\x05\x06'),
        Buffer.alloc(18),
      ]),
      /zip archive cannot be read/,
    ],
    ['an unknown instruction', archive(dict('}', '\xff')), /instruction 0xff/],
    ['an instruction of protocol 0', archive(dict('(dp0\n')), /instruction 0x64/],
    ['values left over', archive(dict('}', '}')), /values left over/],
    ['a value that is not there', archive(dict('}', '0', '0')), /takes a value that is not there/],
    ['a mark that is not there', archive(dict('}', 't')), /a mark that is not there/],
    ['a memo that is not there', archive(dict('h\x07')), /memo 7/],
    [
      'a call of what is no function',
      archive(dict('}', ')', 'R')),
      /calls a value of class PickleDict|which is refused/,
    ],
    [
      'a call of a storage class',
      archive(dict('ctorch\nFloatStorage\n', ')', 'R')),
      /calls torch\.FloatStorage, which is refused/,
    ],
    ['attributes of a list', archive(dict(']', '}', 'b')), /sets attributes/],
    [
      'a whole number of gigabytes',
      archive(dict('\x8b\xff\xff\xff\x7f')),
      /whole number of 2147483647 bytes/,
    ],
    ['a text of gigabytes', archive(dict('X\xff\xff\xff\x7f')), /ends after/],
    ['no end', archive(latin('\x80\x02}')), /without its last instruction/],
    ['a list that holds itself', archive(dict('}', text('a'), ']q\x01h\x01a', 's')), /no tensors by name/],
    [
      'another persistent thing',
      archive(dict(tuple(text('module'), text('x')), 'Q')),
      /refers to "module" outside of it/,
    ],
    ['a key that is a list', archive(dict('}', ']', ']', 's')), /neither a text nor a number/],
  ])('with %s is refused in a sentence', async (_, bytes, message) => {
    const reading = read(bytes);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({
      code: expect.stringMatching(/INVALID_CHECKPOINT|NOT_SUPPORTED/) as string,
    });
  });

  it('takes no more memory than a file may, whatever its pickle is full of', async () => {
    const { bytes } = limits();
    setLimits({ bytes: 2 ** 24 });
    try {
      for (const filling of ['}', ']', '(', 'N', ')q\x01h\x01']) {
        const reading = read(archive(dict(filling.repeat(900_000 / filling.length))));
        await expect(reading, filling).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
      }
    } finally {
      setLimits({ bytes });
    }
  });

  it('does not follow what is in many places more than once, or deeper than it can', async () => {
    // Each dict holds the one before it twice: as a tree, 2^200 dicts.
    const doubled = Array.from({ length: 200 }, (_, i) =>
      Buffer.concat([
        latin('}q'),
        Buffer.from([i + 1]),
        latin('('),
        ...(i > 0 ? [text('x'), latin('h'), Buffer.from([i]), text('y'), latin('h'), Buffer.from([i])] : []),
        latin('u'),
      ]),
    );
    await expect(
      read(
        archive(
          dict(...doubled.slice(0, -1).map((one) => Buffer.concat([one, latin('0')])), doubled.at(-1)!),
        ),
      ),
    ).rejects.toThrow(/no tensors by name/);
    await expect(read(archive(dict('N', '\x85'.repeat(200_000))))).rejects.toThrow(/no tensors by name/);
  });

  it('a view that repeats its storage is read within the limit of memory, and refused beyond', async () => {
    await expect(read(archive(pickle({ shape: [2 ** 20, 2 ** 10], strides: [0, 0] })))).rejects.toMatchObject(
      { code: 'LIMIT_EXCEEDED' },
    );
  });
});
