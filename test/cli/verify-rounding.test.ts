import { join } from 'node:path';
import { expect, it } from 'vitest';
import { verifyDirectory } from '../../src/cli/commands/verify/cases.js';
import { shareOfRounding } from '../../src/cli/commands/verify/difference.js';
import { Device } from '../../src/tensor/device.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { packageRoot } from '../../src/util/package-root.js';

const FIXTURE = join(packageRoot(), 'test/fixtures/original/t5-plain');
/** Columns that are added up before the sum is rounded. */
const BLOCK = 4;

/** Has products in bf16 round their sums after every few columns, as tensor cores with accumulators in bf16 would. */
function roundSums(device: Device): void {
  const apply = device.apply.bind(device);
  device.apply = (name, inputs, attributes = {}) => {
    const [x, weight, ...others] = inputs;
    if (name !== 'linear' || x?.dtype !== 'bf16' || others.some((other) => other))
      return apply(name, inputs, attributes);
    const width = x.shape[1] as number;
    let sum: Tensor | undefined;
    for (let first = 0; first < width; first += BLOCK) {
      const mask = new Float32Array(width * width);
      for (let i = first; i < Math.min(first + BLOCK, width); i++) mask[i * width + i] = 1;
      const [columns] = apply('cast', [device.tensor(mask, [width, width])], { to: 'bf16' });
      const [part] = apply('linear', [x, columns], {});
      const [product] = apply('linear', [part, weight], { ...attributes, outputDType: 'bf16' });
      [sum] = (sum ? apply('add', [sum, product], {}) : [product]) as [Tensor];
    }
    return attributes['outputDType'] === 'f32' ? apply('cast', [sum], { to: 'f32' }) : [sum as Tensor, null];
  };
}

it('bounds in bf16 hold for rounding where values are stored, and not for sums that are rounded on the way', async () => {
  using device = new Device({ threads: 2 });
  const [sound] = await verifyDirectory(device, FIXTURE, 'bf16', undefined);
  expect(sound?.passed).toBe(true);
  expect(sound?.comparisons.every(({ bound }) => bound <= 1.6e-1)).toBe(true);
  roundSums(device);
  const [planted] = await verifyDirectory(device, FIXTURE, 'bf16', undefined);
  expect(planted?.passed).toBe(false);
  expect(shareOfRounding(planted?.comparisons ?? [])).toBeGreaterThan(1);
});
