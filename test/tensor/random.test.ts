import { afterAll, describe, expect, it } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';

const device = new Device({ threads: 2 });
afterAll(() => device.close());

function drawn(
  distribution: ops.RandomDistribution,
  options: { size?: number; scale?: number; seed?: number; stream?: number } = {},
): Promise<Float32Array> {
  const { size = 200_001, scale = 1, seed = 5, stream = 9 } = options;
  const tensor = device.tensor(null, [size]);
  ops.randomFill(tensor, distribution, { scale, seed, stream });
  return tensor.read();
}

function moments(values: Float32Array): {
  mean: number;
  deviation: number;
  kurtosis: number;
  largest: number;
} {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const power = (n: number): number =>
    values.reduce((sum, value) => sum + (value - mean) ** n, 0) / values.length;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { mean, deviation: Math.sqrt(power(2)), kurtosis: power(4) / power(2) ** 2, largest };
}

describe('random numbers of the device', () => {
  it('have the moments of their distribution, and a truncated normal nothing beyond two deviations', async () => {
    for (const [distribution, deviation, kurtosis] of [
      ['uniform', 1 / Math.sqrt(3), 1.8],
      ['normal', 1, 3],
      ['truncated-normal', 0.8796257, 2.3654],
    ] as const) {
      const found = moments(await drawn(distribution, { scale: 0.5 }));
      expect(Math.abs(found.mean)).toBeLessThan(0.005);
      expect(found.deviation / 0.5 / deviation).toBeCloseTo(1, 2);
      expect(found.kurtosis / kurtosis).toBeCloseTo(1, 1);
      if (distribution === 'truncated-normal') expect(found.largest).toBeLessThan(1);
      if (distribution === 'normal') expect(found.largest).toBeGreaterThan(2);
    }
  });

  it('are those of seed and stream, whatever the size of the tensor', async () => {
    const all = await drawn('normal');
    expect(await drawn('normal', { size: 1001 })).toEqual(all.slice(0, 1001));
    for (const other of [{ seed: 6 }, { stream: 10 }, { seed: 5 + 2 ** 32 }]) {
      const values = await drawn('normal', other);
      const product = values.reduce((sum, value, i) => sum + value * (all[i] as number), 0);
      expect(Math.abs(product / all.length)).toBeLessThan(0.01);
    }
  });
});
