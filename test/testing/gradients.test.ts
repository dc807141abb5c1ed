import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Device, ops, type Tensor } from '../../src/tensor/index.js';
import { assertClose, checkGradients, relativeDifference } from '../../src/testing/index.js';

let device: Device;
beforeAll(() => {
  device = new Device({ threads: 1 });
});
afterAll(async () => {
  await device.synchronize();
  device.close();
});

const wave = (shape: number[], phase: number): Tensor =>
  device.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.3 * i + phase)),
    shape,
  );

describe('checkGradients', () => {
  it('holds every input of an op to differences', async () => {
    const inputs = [wave([3, 5], 0), wave([4, 5], 1), wave([4], 2)];
    const found = await checkGradients(
      device,
      (x, weight, bias) => ops.linear(x, weight, { bias, activation: 'gelu' }),
      inputs,
    );
    expect(found.map(({ elements }) => elements)).toEqual([15, 20, 4]);
    for (const { worst } of found) expect(worst).toBeLessThan(5e-3);
  });

  it('moves no more elements than it is told to', async () => {
    const [found] = await checkGradients(device, (x) => ops.scale(x, 3), [wave([10, 10], 0)], {
      elements: 7,
    });
    expect(found?.elements).toBe(7);
  });

  it('names the input and the element whose gradient is another', async () => {
    // Its values are those of its input, and its gradient is not the tape's: a view that is recorded as twice its input.
    const wrong = (x: Tensor, y: Tensor): Tensor =>
      device.tape ? ops.add(x, ops.scale(y, 2)) : ops.add(x, ops.scale(y, 3));
    await expect(checkGradients(device, wrong, [wave([2], 0), wave([2], 1)])).rejects.toMatchObject({
      code: 'NUMERIC',
      message: expect.stringMatching(
        /^The gradient of input number 1 is .* at element 0, and differences/,
      ) as string,
    });
  });

  it('takes an input that the output does not depend on for one of gradient 0', async () => {
    const found = await checkGradients(device, (x) => ops.scale(x, 2), [wave([2], 0), wave([2], 1)]);
    expect(found[1]?.worst).toBe(0);
  });
});

describe('assertClose', () => {
  it('passes within the bound and names the worst value beyond it', () => {
    const expected = Float32Array.of(1, -4, 2);
    assertClose(Float32Array.of(1, -4.0001, 2), expected, 1e-4);
    expect(() => assertClose(Float32Array.of(1.01, -4, 2.2), expected, 1e-2, 'encoder.output')).toThrow(
      /^encoder\.output is off by 5\.00e-2 of its largest value, the bound is 0\.01; value number 2 is 2\.2/,
    );
    expect(() => assertClose(Float32Array.of(NaN, -4, 2), expected, 1)).toThrow(/value number 0 is NaN/);
    expect(() => assertClose(Float32Array.of(1), expected, 1)).toThrow(/has 1 values and is to have 3/);
  });

  it('is what hint verify prints', () => {
    expect(relativeDifference(Float32Array.of(1, 2), Float32Array.of(1, 4))).toBe(0.5);
    expect(relativeDifference(Float32Array.of(0), Float32Array.of(0))).toBe(0);
    expect(relativeDifference(Float32Array.of(1), Float32Array.of(1, 1))).toBe(Infinity);
  });
});
