import { closeSync, openSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { HintError } from '../../src/util/errors.js';
import { Device } from '../../src/tensor/device.js';
import { native, type NativeCall, type NativeTensor } from '../../src/tensor/native.js';
import { MappedFile } from '../../src/tensor/mapped-file.js';
import * as ops from '../../src/tensor/ops.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { enqueueOp } from './native-ops.js';

const device = new Device({ threads: 1 });
const foreign = new Device({ threads: 1 });
afterAll(() => {
  device.close();
  foreign.close();
});
// What a test reported by a read must not be what the next test finds.
afterEach(() => device.synchronize().catch(() => undefined));

const vector = (...values: number[]): Tensor => device.tensor(Float32Array.from(values), [values.length]);
const loose = (value: unknown): never => value as never;

function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(HintError);
    return `${(error as HintError).code}: ${(error as HintError).message}`;
  }
  throw new Error('It should have been refused.');
}

describe('a backward pass', () => {
  it('behind a failed forward pass fails as that did, and writes to no memory', async () => {
    const table = device.tensor(new Float32Array(8), [4, 2]);
    const gradients = new Gradients(device);
    const tape = new Tape(device, [table]);
    const ids = device.tensor(Int32Array.of(1, 1 << 24), [2]);
    const loss = tape.run(() => ops.sum(ops.embedding(ids, table)));
    tape.backward([loss], gradients);
    await expect((gradients.get(table) as Tensor).read()).rejects.toThrow(/id 16777216 at position 1/);
  });

  it('of an op that was recorded and has not run is refused', async () => {
    const table = device.tensor(new Float32Array(8), [4, 2]);
    const gradients = new Gradients(device);
    const tape = new Tape(device, [table]);
    const ids = device.tensor(Int32Array.of(1, 99), [2]);
    let rows: Tensor | undefined;
    device.record(() => (rows = tape.run(() => ops.embedding(ids, table))));
    const loss = tape.run(() => ops.sum(rows as Tensor));
    tape.backward([loss], gradients);
    await expect((gradients.get(table) as Tensor).read()).rejects.toThrow(/was never written|has not/);
  });

  it('says which root it cannot start from', () => {
    const tape = new Tape(device, []);
    const gradients = new Gradients(device);
    expect(refusal(() => tape.backward([vector(1, 2)], gradients))).toMatch(/INVALID_SHAPE.*one element/);
    expect(refusal(() => tape.backward([loose(5)], gradients))).toMatch(
      /root of backward must be a Tensor, not 5/,
    );
    expect(refusal(() => tape.backward([foreign.full([1], 1)], gradients))).toMatch(/another device/);
    expect(refusal(() => tape.backward(loose(null), gradients))).toMatch(/array of roots/);
    expect(refusal(() => new Tape(device, [loose('x')]))).toMatch(/must be a Tensor, not "x"/);
  });
});

describe('a tensor that nobody wrote', () => {
  it('is an error wherever it is read, and none where it has no elements', async () => {
    const blank = device.tensor(null, [4]);
    await expect(blank.read()).rejects.toThrow(/before anything was written/);
    await expect(blank.narrow(1, 3).read()).rejects.toThrow(/before anything was written/);
    await expect(ops.scale(blank, 2).read()).rejects.toThrow(/x was never written/);
    const copied = vector(1, 2, 3, 4);
    device.assign(copied, blank);
    await expect(copied.read()).rejects.toThrow(/never written/);
    expect(await ops.scale(device.tensor(null, [0, 4]), 2).read()).toEqual(new Float32Array(0));
  });

  it('can be looked into before it is written', async () => {
    const blank = device.tensor(null, [4]);
    const tail = blank.narrow(2, 4);
    device.write(blank, Float32Array.of(1, 2, 3, 4));
    expect([...(await tail.read())]).toEqual([3, 4]);
  });
});

describe('sizes', () => {
  const shapes = [
    [2 ** 32, 2 ** 32],
    [2 ** 53 - 1, 4],
    [2 ** 40, 0],
    [-1],
    [0.5],
    [NaN],
    [Infinity],
    ['2'],
    5,
    null,
  ];
  it.each(shapes.map((shape) => [JSON.stringify(shape), shape]))('%s are refused as a shape', (_, shape) => {
    expect(refusal(() => device.tensor(null, loose(shape)))).toMatch(/^INVALID_SHAPE/);
    expect(refusal(() => vector(1, 2).reshape(loose(shape)))).toMatch(/^INVALID_SHAPE/);
  });

  it('and offsets that are negative, broken or beyond 64 bits reach no memory', () => {
    const x = device.full([4, 2], 1);
    for (const [begin, end] of [
      [-1, 2],
      [0.5, 2],
      [NaN, 2],
      [0, 2 ** 62],
      [3, 1],
    ] as const)
      expect(refusal(() => x.narrow(begin, end))).toMatch(/^INVALID_/);
    for (const offset of [-4, 0.5, NaN, 2 ** 64, 2 ** 53, '0'])
      expect(refusal(() => device.write(x, new Float32Array(1), loose(offset)))).toMatch(/byteOffset/);
    expect(refusal(() => device.write(x, new Float32Array(2), 28))).toMatch(/INVALID_SHAPE/);
  });

  it('and products of attributes with them are refused where the op is called', () => {
    const x = device.tensor(new Float32Array(0), [0, 4]);
    const packed = ops.packWeight(device.full([4, 4], 1)).tensor;
    const attributes = { dOut: 2 ** 53 - 1 };
    expect(
      refusal(() => device.apply('packed_linear', [x, packed, null, null, null, null], attributes)),
    ).toMatch(/^INVALID_SHAPE/);
    const q = device.tensor(new Float32Array(0), [4, 0]);
    const options = { numHeads: 2 ** 50, kOffsets: Int32Array.of(0, 4), qOffsets: Int32Array.of(0, 4) };
    expect(refusal(() => ops.attention(q, q, q, options))).toMatch(/numHeads/);
    const positions = { maxDistance: 2 ** 40, bias: device.full([8, 1], 0), numHeads: 1 };
    const k = device.full([1, 4], 1);
    const one = { kOffsets: Int32Array.of(0, 1), qOffsets: Int32Array.of(0, 1) };
    expect(refusal(() => ops.attention(k, k, k, { ...positions, ...one }))).toMatch(/maxDistance/);
  });

  it('of a shape are the tensor’s own: changing the caller’s array changes nothing', () => {
    const shape = [2, 2];
    const x = device.tensor(new Float32Array(4), shape);
    shape[0] = 99;
    expect(x.shape).toEqual([2, 2]);
  });
});

describe('an argument of the wrong kind is named', () => {
  const x = vector(1, 2);
  const cases: [string, () => unknown, RegExp][] = [
    ['no tensor', () => ops.add(x, loose(5)), /add: b must be a Tensor, not 5/],
    ['no tensor first', () => ops.scale(loose(undefined), 2), /scale: x must be a Tensor, not undefined/],
    [
      'a tensor of another device',
      () => ops.add(x, foreign.full([2], 1)),
      /add\(.*\): b belongs to another device/,
    ],
    ['no such op', () => device.apply('sclae', [x]), /no op named "sclae"/],
    ['too many inputs', () => device.apply('scale', [x, x]), /scale takes an array of 1 inputs \(x\), not 2/],
    ['no inputs', () => device.apply('scale', loose(null)), /not null/],
    ['too few inputs', () => device.apply('add', [x]), /add: the input b is missing/],
    [
      'null attributes',
      () => device.apply('scale', [x], loose(null)),
      /attributes must be an object, not null/,
    ],
    [
      'an attribute of null',
      () => device.apply('scale', [x], { factor: loose(null) }),
      /factor must be a number/,
    ],
    ['options of null', () => ops.linear(x, x, loose(null)), /options must be an object, not null/],
    [
      'data of another class',
      () => device.tensor(loose([1, 2]), [2]),
      /data must be a Float32Array.*not an array/,
    ],
    ['data of another dtype', () => device.tensor(new Float32Array(2), [2], 'i32'), /dtype cannot be "i32"/],
    ['no bytes', () => device.tensorFromBytes(loose('ab'), [1], 'bf16'), /bytes must be a Uint8Array/],
    ['no data', () => device.write(x, loose({ length: 2 })), /data must be a typed array/],
    ['an unknown dtype', () => device.tensor(null, [2], loose('f64')), /"f64" is unknown/],
    ['no function', () => device.tidy(loose(1)), /body must be a function, not 1/],
    ['many threads', () => new Device({ threads: 1e6 }), /threads must be a whole number from 0 to 256/],
    ['a broken limit', () => new Device({ memoryLimit: NaN }), /memoryLimit must be a whole number/],
    ['a device that is no word', () => new Device({ device: loose({}) }), /device another object is unknown/],
  ];
  it.each(cases)('%s', (_, body, message) => expect(refusal(body)).toMatch(message));

  it('an input that is updated in place and also read', () => {
    const total = vector(1);
    expect(refusal(() => ops.addSquareNorm(total, total))).toMatch(
      /total is updated in place and shares memory with x/,
    );
  });
});

describe('native handles', () => {
  const module = native();
  const scale = module.ops().findIndex(({ name }) => name === 'scale');

  it('of another kind are refused by every function that takes one', () => {
    const { handle } = vector(1);
    device.record(() => undefined).dispose();
    for (const body of [
      () => module.replay(device.handle, loose(handle), 1, null),
      () => module.resumeRecording(device.handle, loose(device.handle)),
      () => module.releaseProgram(device.handle, loose(handle)),
      () => module.releaseCall(loose(handle)),
      () => module.enqueueBackward(device.handle, loose(handle)),
      () => module.readTensor(device.handle, loose(device.handle)),
    ])
      expect(() => body()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('that are no devices are refused where a device is asked for', () => {
    const file = openSync(import.meta.filename, 'r');
    const mapped = MappedFile.open(file) as MappedFile;
    closeSync(file);
    for (const given of [undefined, null, 7, {}, vector(1)])
      for (const body of [
        () => new Gradients(loose(given)),
        () => new Tape(loose(given), []),
        () => mapped.tensor(loose(given), 'f32', [1], 0),
      ])
        expect(refusal(body)).toMatch(/^INVALID_ARGUMENT: device must be a Device, not /);
  });

  it('of released tensors are refused', () => {
    const { handle } = vector(1);
    module.releaseTensor(handle);
    for (const body of [
      () => module.viewTensor(handle, 0, [1]),
      () => module.cloneTensor(handle),
      () => module.writeTensor(device.handle, handle, 0, new Float32Array(1)),
      () => module.readTensor(device.handle, handle),
      () => module.assignTensor(device.handle, handle, handle),
      () => enqueueOp(module, device.handle, scale, [handle], [1]),
    ])
      expect(() => body()).toThrow(/released/);
  });

  it('given as spares while they are in use are not overwritten', async () => {
    const live = vector(3);
    const { outputs } = enqueueOp(module, device.handle, scale, [live.handle], [2], false, [live.handle]);
    expect([...(await live.read())]).toEqual([3]);
    const [output] = outputs;
    expect(output?.handle).not.toBe(live.handle);
    expect(new Float32Array(await module.readTensor(device.handle, output?.handle as NativeTensor))[0]).toBe(
      6,
    );
  });

  it('given as a spare twice are used once', async () => {
    const top = module.ops().findIndex(({ name }) => name === 'top_k');
    const logits = device.tensor(Float32Array.of(1, 3, 2), [1, 3]);
    const dead = vector(1).handle;
    module.releaseTensor(dead);
    const { outputs } = enqueueOp(module, device.handle, top, [logits.handle], [2], false, [dead, dead]);
    const handles = outputs.map((output) => output?.handle);
    expect(handles[0]).toBe(dead);
    expect(new Set(handles).size).toBe(handles.length);
  });

  it('take numbers of outputs only where there is room for them', () => {
    const { handle } = vector(1);
    const none: unknown[] = [
      undefined,
      [],
      new Float32Array(80),
      new Float64Array(9),
      new DataView(new ArrayBuffer(80)),
    ];
    const detached = new Float64Array(80);
    structuredClone(detached, { transfer: [detached.buffer] });
    for (const numbers of [...none, detached])
      expect(() => module.enqueue(device.handle, scale, false, loose(numbers), handle, 1)).toThrow(
        /^numbers /,
      );
  });

  it('in lists that have slipped are refused', () => {
    const { handle } = vector(1);
    const numbers = new Float64Array(80);
    const many = new Array<undefined>(40).fill(undefined);
    expect(() => module.enqueue(device.handle, scale, false, numbers, handle, 1, ...many)).toThrow(
      /^scale was called with 46 values; there may be \d+ at most/,
    );
  });

  it('of saved calls are used again once their call is gone, and not before', async () => {
    const x = vector(1);
    const save = (factor: number, into: NativeCall | true): NativeCall =>
      enqueueOp(module, device.handle, scale, [x.handle], [factor], into).call as NativeCall;
    const gradient = async (call: NativeCall): Promise<number> => {
      const [from, to] = [vector(1), vector(0)];
      module.enqueueBackward(device.handle, call, from.handle, to.handle, 0);
      return (await to.read())[0] as number;
    };
    const first = save(2, true);
    const second = save(3, first);
    expect(second).not.toBe(first);
    expect([await gradient(first), await gradient(second)]).toEqual([2, 3]);
    const again = save(4, first);
    expect(again).toBe(first);
    module.releaseCall(again);
    expect(() => module.enqueueBackward(device.handle, again)).toThrow(/released/);
    expect(await gradient(save(5, again))).toBe(5);
  });

  it('of a device that a getter closes during the call are refused, and no closed stream is touched', () => {
    const closing = module.createDevice(1, 0, 'cpu', 0);
    const shape = Object.defineProperty([1], 0, {
      get: () => {
        module.closeDevice(closing);
        return 1;
      },
    });
    expect(() => module.createTensor(closing, 'f32', shape, null)).toThrow(/was closed/);
    const valueOf = (): number => {
      throw new Error('must not run');
    };
    expect(() => module.setThreads(device.handle, loose({ valueOf }))).toThrow(/threads must be a number/);
  });

  it('of a program that was replayed do not go on recording what the stream may be reading', () => {
    module.beginRecording(device.handle);
    const program = module.endRecording(device.handle);
    module.replay(device.handle, program, 1, null);
    expect(() => module.resumeRecording(device.handle, program)).toThrow(/cannot be recorded further/);
    expect(() => module.replay(foreign.handle, program, 1, null)).toThrow(/another device/);
  });
});

describe('data of arrays', () => {
  it('that are shared is taken, that are detached is none', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    expect([...(await device.tensor(shared, [2]).read())]).toEqual([1, 2]);
    const detached = new Float32Array(2);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    expect(refusal(() => device.tensor(detached, [2]))).toMatch(/the data has 0/);
  });

  it('of i8 are assigned byte for byte', async () => {
    const from = device.tensorFromBytes(Uint8Array.of(1, 2, 3), [3], 'i8');
    const to = device.tensorFromBytes(Uint8Array.of(0, 0, 0), [3], 'i8');
    device.assign(to, from);
    expect([...new Int8Array(await to.readBytes())]).toEqual([1, 2, 3]);
  });
});

describe('memory that is not there', () => {
  it('fails one op and leaves the device with what it had', async () => {
    using small = new Device({ threads: 1, memoryLimit: 1 << 20 });
    const x = small.tensor(new Float32Array(150_000), [150_000]);
    const before = small.statistics().bytesInUse;
    await expect(ops.scale(x, 2).read()).rejects.toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
    expect(small.statistics().bytesInUse).toBe(before);
    expect(await ops.sum(x).item()).toBe(0);
  });
});
