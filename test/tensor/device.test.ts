import { afterAll, describe, expect, it } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

describe('assigning a tensor', () => {
  it('writes to the memory that others already look at', async () => {
    const destination = device.tensor(Float32Array.of(1, 2, 3, 4), [4]);
    const tail = destination.narrow(2, 4);
    device.assign(destination, ops.scale(destination, 10));
    expect([...(await tail.read())]).toEqual([30, 40]);
  });

  it('refuses another shape instead of writing past the end', () => {
    const destination = device.full([4], 0);
    expect(() => device.assign(destination, device.full([5], 1))).toThrow(
      /f32 \[5\] to a tensor of f32 \[4\]/,
    );
    expect(() => device.assign(destination, device.full([2, 2], 1))).toThrow(/\[2, 2\]/);
  });
});

describe('casting', () => {
  it('to bf16 and back rounds to the nearest, ties to even', async () => {
    const x = device.tensor(Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -7, -0.1), [4]);
    const rounded = ops.cast(ops.cast(x, 'bf16'), 'f32');
    expect([...(await rounded.read())]).toEqual([1, 1 + 2 ** -6, 1 + 2 ** -7, -0.10009765625]);
  });
});

describe('tensors of many values', () => {
  it('arrive whole and in order, though they are copied in pieces', async () => {
    const values = Float32Array.from({ length: (1 << 19) + 77 }, (_, i) => i);
    const tensor = await device.upload(values, [values.length]);
    expect(Buffer.from(await tensor.readBytes()).equals(Buffer.from(values.buffer))).toBe(true);
    await device.writeInPieces(
      tensor,
      values.map((value) => -value),
    );
    expect((await tensor.read()).every((value, i) => value === -i)).toBe(true);
    tensor.dispose();
  });
});
