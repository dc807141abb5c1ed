import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { secondsOf } from '../turns.js';

const SIDE = 2048;
/** Larger than the caches, in values. */
const MOVED = 1 << 24;
const TRIES = 3;

/** What the device reaches at best, per second. */
export interface ProfileRoofs {
  /** FLOP/s of large products by what their matrices are held in. */
  readonly products: { readonly f32: number; readonly bf16?: number; readonly int8?: number };
  /** Bytes of a pass over more than the caches hold. */
  readonly memory: number;
}

/**
 * Large products as inference and training multiply, and a pass over memory: the best of some.
 *
 * @param dtypes beside f32, which is measured in any case; with int8 comes bf16, in which its engines hold what is not quantised
 * @param side of the products
 */
export async function profileRoofs(
  device: Device,
  dtypes: readonly ops.WeightDType[],
  side = SIDE,
): Promise<ProfileRoofs> {
  const products: Record<string, number> = {};
  const x = device.full([side, side], 0.5);
  const multiplied = dtypes.flatMap(
    (dtype) => (dtype === 'int8' ? ['bf16', dtype] : [dtype]) as ops.WeightDType[],
  );
  for (const dtype of new Set<ops.WeightDType>(['f32', ...multiplied])) {
    const packed = device.tidy(() => ops.packWeight(device.full([side, side], 0.25), dtype));
    products[dtype] = (2 * side ** 3) / (await fastest(device, () => ops.packedLinear(x, packed)));
    for (const tensor of ops.packedTensors(packed)) tensor.dispose();
  }
  x.dispose();
  const count = Math.min(MOVED, side ** 3);
  const values = device.full([count], 1);
  const memory = (8 * count) / (await fastest(device, () => ops.scale(values, 2)));
  values.dispose();
  return { products: products as unknown as ProfileRoofs['products'], memory };
}

/** @returns of every roof the higher one */
export function bestRoofs(a: ProfileRoofs, b: ProfileRoofs): ProfileRoofs {
  const products = Object.entries(a.products).map(([dtype, flops]) => [
    dtype,
    Math.max(flops, b.products[dtype as keyof ProfileRoofs['products']] ?? 0),
  ]);
  return {
    products: Object.fromEntries(products) as ProfileRoofs['products'],
    memory: Math.max(a.memory, b.memory),
  };
}

async function fastest(device: Device, work: () => Tensor): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < TRIES; i++) {
    await device.synchronize();
    const seconds = await secondsOf(() => {
      device.tidy(() => void work());
      return device.synchronize();
    });
    best = Math.min(best, seconds);
  }
  return best;
}
