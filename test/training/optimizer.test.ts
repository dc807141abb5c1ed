import { afterAll, describe, expect, it } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { isFactored } from '../../src/tensor/moments.js';
import { ADAFACTOR, adafactorDecay, Optimizer } from '../../src/training/step/optimizer.js';
import type { OptimizerGroup } from '../../src/training/step/parameter-groups.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

function group(parameters: Record<string, Tensor>, options: Partial<OptimizerGroup> = {}): OptimizerGroup {
  return {
    name: 'all',
    parameters: new Map(Object.entries(parameters)),
    stepOffset: 0,
    multiplyByParameterScale: true,
    ...options,
  };
}

/** Gradients as a backward pass would have left them. */
function gradientsOf(values: [Tensor, Float32Array][]): Gradients {
  const gradients = new Gradients(device);
  for (const [parameter, data] of values) {
    device.write(gradients.target(parameter.id, parameter.shape).gradient, data);
  }
  return gradients;
}

describe('Adafactor', () => {
  it('decays exactly as in float32, also a million steps in', () => {
    expect(adafactorDecay(0, 0, 0.8)).toBe(0);
    expect(adafactorDecay(1, 0, 0.8)).toBe(0.42565083503723145);
    expect(adafactorDecay(9, 0, 0.8)).toBe(0.8415106534957886);
    expect(adafactorDecay(1_100_000, 0, 0.8)).toBe(0.9999853372573853);
    expect(adafactorDecay(1_100_000, 1_100_000, 0.8)).toBe(0);
    expect(adafactorDecay(1_100_007, 1_100_000, 0.8)).toBe(0.8105354309082031);
  });

  it('factors a matrix only when both sides reach 128', () => {
    expect(isFactored([128, 128])).toBe(true);
    expect(isFactored([32128, 127])).toBe(false);
    expect(isFactored([4096])).toBe(false);
    const tensors = { wide: device.full([130, 140], 1), table: device.full([32, 300], 1) };
    const state = new Optimizer(device, ADAFACTOR, [group(tensors)]).state();
    expect([...state].map(([name, { shape }]) => [name, shape])).toEqual([
      ['row.wide', [130]],
      ['column.wide', [140]],
      ['full.table', [32, 300]],
    ]);
  });

  // The worked example of method §11.4, computed in double precision.
  it.each([
    [
      true,
      [0.099610556, -0.199610556, 0.299610556, 0.399610556, -0.500389444, 0.600389444],
      [0.100000017, -0.199868655, 0.299424998, 0.399352457, -0.500172899, 0.600291766],
    ],
    [
      false,
      [0.099, -0.199, 0.299, 0.399, -0.501, 0.601],
      [0.1, -0.199662709, 0.298523551, 0.398337291, -0.500443987, 0.600749198],
    ],
  ])('takes the steps of the worked example (parameter scaling %s)', async (scaling, first, second) => {
    const w = device.tensor(Float32Array.from([0.1, -0.2, 0.3, 0.4, -0.5, 0.6]), [2, 3]);
    const optimizer = new Optimizer(device, ADAFACTOR, [group({ w }, { multiplyByParameterScale: scaling })]);
    for (const [update, gradient, expected] of [
      [0, [1, -2, 3, 4, 5, -6], first],
      [1, [-1, 1, 1, 2, -2, 1], second],
    ] as const) {
      const values = Float32Array.from(gradient, (value) => value * 1e-2);
      await optimizer.apply(gradientsOf([[w, values]]), { update, step: update, learningRate: 1e-3 });
      const after = await w.read();
      expected.forEach((value, i) => expect(after[i]).toBeCloseTo(value, 7));
    }
  });

  it('leaves a parameter without a gradient where it is, but lets its moments decay', async () => {
    const used = device.full([3], 1);
    const unused = device.full([3], 1);
    const optimizer = new Optimizer(device, ADAFACTOR, [group({ used, unused })]);
    const ones = Float32Array.of(1, 1, 1);
    await optimizer.apply(
      gradientsOf([
        [used, ones],
        [unused, ones],
      ]),
      { update: 0, step: 0, learningRate: 0.1 },
    );
    const before = await unused.read();
    await optimizer.apply(gradientsOf([[used, ones]]), { update: 1, step: 1, learningRate: 0.1 });
    expect(await unused.read()).toEqual(before);
    const moment = await optimizer.state().get('full.unused')!.read();
    expect(moment[0]).toBeCloseTo(0.42565083, 6);
  });
});

describe('AdamW', () => {
  it('follows its definition, with bias correction from the first update and decoupled decay', async () => {
    const settings = { name: 'adamw', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 } as const;
    const w = device.tensor(Float32Array.of(0.5, -2), [2]);
    const optimizer = new Optimizer(device, settings, [group({ w })]);
    const expected = [0.5, -2];
    const m = [0, 0];
    const v = [0, 0];
    for (let update = 0; update < 3; update++) {
      const gradient = Float32Array.of(0.3 * (update + 1), -0.01);
      // A start at step 1,100,000 must not spoil the bias correction of moments that start at 0.
      await optimizer.apply(gradientsOf([[w, gradient]]), {
        update,
        step: 1_100_000 + update,
        learningRate: 0.01,
      });
      for (const i of [0, 1]) {
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.99 * v[i]! + 0.01 * gradient[i]! ** 2;
        const step =
          m[i]! / (1 - 0.9 ** (update + 1)) / (Math.sqrt(v[i]! / (1 - 0.99 ** (update + 1))) + 1e-8);
        expected[i] = expected[i]! - 0.01 * (step + 0.1 * expected[i]!);
      }
    }
    const after = await w.read();
    expected.forEach((value, i) => expect(after[i]).toBeCloseTo(value, 6));
  });
});

describe('optimizer state', () => {
  it('put back, gives the same next step to the bit; of another optimizer, is refused', async () => {
    const values = Float32Array.from({ length: 130 * 140 }, (_, i) => Math.sin(i));
    const gradient = Float32Array.from({ length: 130 * 140 }, (_, i) => Math.cos(3 * i));
    const [a, b] = [values, values].map((data) => device.tensor(data, [130, 140])) as [Tensor, Tensor];
    const first = new Optimizer(device, ADAFACTOR, [group({ w: a })]);
    await first.apply(gradientsOf([[a, gradient]]), { update: 0, step: 0, learningRate: 0.1 });
    device.write(b, await a.read());
    const second = new Optimizer(device, ADAFACTOR, [group({ w: b })]);
    await second.restore((name) => first.state().get(name)!.read());
    for (const [optimizer, w] of [
      [first, a],
      [second, b],
    ] as const) {
      await optimizer.apply(gradientsOf([[w, gradient]]), { update: 1, step: 1, learningRate: 0.1 });
    }
    expect(await b.read()).toEqual(await a.read());
    await expect(second.restore(() => Promise.resolve(undefined))).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
    });
  });
});
