import { Device } from '../../../tensor/device.js';
import { native } from '../../../tensor/native.js';

/** What rounding alone does to a tensor of a model. */
export interface RoundingBound {
  /** Largest relative difference that is put down to rounding. */
  bound: number;
  /** Root mean square of the differences of all simulations. */
  typical: number;
}

/** Simulations of a model: enough that none of some 2,000 tensors is further off than twice the largest of them by chance. */
const SIMULATIONS = 16;

/**
 * Computes a model several times on the CPU by its f32 kernels, whose results are rounded to bf16 where they are stored, up
 * or down by chance. Such rounding errs by the square root of two as much as rounding to the nearest does. A tensor may be
 * off by twice the largest difference seen, and by no more than `most` says.
 *
 * @param compute computes the model on the device given, and notes how far each tensor is off
 */
export async function boundsOfRounding(
  most: (name: string) => number,
  compute: (device: Device, note: (name: string, difference: number) => void) => Promise<void>,
): Promise<Map<string, RoundingBound>> {
  const differences = new Map<string, number[]>();
  using device = new Device();
  for (let seed = 1; seed <= SIMULATIONS; seed++) {
    native().simulateRounding(device.handle, seed);
    await compute(device, (name, difference) => {
      const list = differences.get(name) ?? [];
      if (list.push(difference) === 1) differences.set(name, list);
    });
  }
  return new Map(
    [...differences].map(([name, list]) => [
      name,
      {
        bound: Math.min(2 * Math.max(...list), most(name)),
        typical: Math.sqrt(list.reduce((sum, difference) => sum + difference ** 2, 0) / list.length),
      },
    ]),
  );
}
