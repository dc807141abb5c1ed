import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HintError } from '../../src/util/errors.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';
import type { Tensor } from '../../src/tensor/tensor.js';

let device: Device;
beforeAll(() => {
  device = new Device({ threads: 1 });
});
afterAll(async () => {
  await device.synchronize();
  device.close();
});

function vector(...values: number[]): Tensor {
  return device.tensor(Float32Array.from(values), [values.length]);
}

async function gradientOf(parameter: Tensor, loss: () => Tensor): Promise<Float32Array> {
  const tape = new Tape(device, [parameter]);
  const gradients = new Gradients(device);
  tape.backward([tape.run(loss)], gradients);
  const values = await (gradients.get(parameter) as Tensor).read();
  gradients.dispose();
  return values;
}

describe('the tape', () => {
  it('adds the gradients of a value that is used twice', async () => {
    const x = vector(1, 2, 3);
    expect([...(await gradientOf(x, () => ops.sum(ops.add(x, ops.scale(x, 3)))))]).toEqual([4, 4, 4]);
  });

  it('adds both gradients when an op takes the same tensor twice', async () => {
    const x = vector(1, 2);
    expect([...(await gradientOf(x, () => ops.sum(ops.add(x, x))))]).toEqual([2, 2]);
  });

  it('puts the gradient of a view where the view is, and zeros elsewhere', async () => {
    const x = vector(1, 2, 3, 4);
    expect([...(await gradientOf(x, () => ops.sum(ops.scale(x.narrow(1, 3), 5))))]).toEqual([0, 5, 5, 0]);
  });

  it('gives the same gradient with and without recomputation', async () => {
    const weight = device.tensor(
      Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
      [4, 3],
    );
    const x = device.tensor(
      Float32Array.from({ length: 6 }, (_, i) => Math.cos(i)),
      [2, 3],
    );
    const layer = (input: Tensor): Tensor[] => [ops.linear(input, weight, { activation: 'gelu' })];
    const plain = await gradientOf(weight, () => ops.sum(layer(x)[0] as Tensor));
    const tape = new Tape(device, [weight]);
    const gradients = new Gradients(device);
    const root = tape.run(() =>
      ops.sum(tape.recompute([x], layer as (...inputs: Tensor[]) => Tensor[])[0] as Tensor),
    );
    tape.backward([root], gradients);
    expect([...(await (gradients.get(weight) as Tensor).read())]).toEqual([...plain]);
    gradients.dispose();
  });

  it('refuses a loss of more than one element', () => {
    const x = vector(1, 2);
    const tape = new Tape(device, [x]);
    expect(() => tape.backward([tape.run(() => ops.scale(x, 2))], new Gradients(device))).toThrow(
      /one element; this one has 2/,
    );
  });
});

describe('tensors and streams', () => {
  it('throws a wrong shape where it was written, naming op and shapes', () => {
    const x = device.full([2, 3], 1);
    expect(() => ops.linear(x, device.full([4, 5], 1))).toThrow(/linear\(x \[2, 3\], weight \[4, 5\]\)/);
  });

  it('rejects the next await of a tensor whose op failed, and of nothing else', async () => {
    const table = device.full([4, 2], 1);
    const bad = ops.embedding(device.tensor(Int32Array.of(9), [1]), table);
    const dependent = ops.scale(bad, 2);
    const independent = ops.scale(table, 2);
    await expect(dependent.read()).rejects.toMatchObject({ name: 'HintError', code: 'INVALID_TOKEN' });
    expect((await independent.read())[0]).toBe(2);
    await device.synchronize().catch(() => undefined);
  });

  it('refuses an attribute that the op does not have', () => {
    expect(() => device.apply('scale', [vector(1)], { faktor: 2 })).toThrow(
      /has no attribute faktor; it has factor/,
    );
  });

  it('refuses a tensor after it was disposed', () => {
    const x = vector(1);
    x.dispose();
    expect(() => ops.scale(x, 2)).toThrow(HintError);
  });

  it('gives memory back when a scope ends, whatever was made in it', async () => {
    // A device of its own: tensors of other tests are given back whenever they are collected.
    const own = new Device({ threads: 1 });
    const kept = own.tidy(() => {
      let x = own.full([256, 256], 1);
      for (let i = 0; i < 10; i++) x = ops.scale(x, 1);
      return x;
    });
    await kept.read();
    expect(own.statistics().bytesInUse).toBe(256 * 256 * 4);
    own.close();
  });

  it('answers a promise with the event loop free', async () => {
    const a = device.full([1024, 1024], 1);
    let product = a;
    for (let i = 0; i < 20; i++) product = ops.linear(product, a, { alpha: 1e-3 });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await product.read();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });

  it('says how many bytes were asked when memory runs out, and stays usable', async () => {
    const small = new Device({ threads: 1, memoryLimit: 1 << 20 });
    const big = small.full([1 << 20], 1);
    await expect(big.read()).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/bytes asked/) as string,
    });
    expect(await small.full([2], 3).read()).toEqual(Float32Array.of(3, 3));
    small.close();
  });
});

describe('closing a device', () => {
  it('rejects what still waits instead of leaving it waiting for ever', async () => {
    const closing = new Device({ threads: 1 });
    const a = closing.full([512, 512], 1);
    let product = a;
    for (let i = 0; i < 50; i++) product = ops.linear(product, a, { alpha: 1e-3 });
    const reading = product.read();
    closing.close();
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
