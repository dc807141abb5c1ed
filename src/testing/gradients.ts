import { Device } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import { Gradients, Tape } from '../tensor/tape.js';
import { Tensor } from '../tensor/tensor.js';
import {
  callback,
  checked,
  instance,
  integer,
  list,
  number,
  optional,
  options as optionsOf,
} from '../util/arguments.js';
import { CounterRng } from '../util/counter-rng.js';
import { HintError } from '../util/errors.js';

/** How {@link checkGradients} compares. */
export interface GradientCheckOptions {
  /** By how much an element is moved to either side, times its size where that is above 1 (default 1e-2). */
  step?: number;
  /** Largest difference from the quotient, relative to the largest gradient of the input (default 5e-3). */
  tolerance?: number;
  /** Most elements of an input that are moved, each for two runs of the function (default 32); drawn where there are more. */
  elements?: number;
  /** Of the elements, and of the weights of the outputs (default 0). */
  seed?: number;
}

/** What {@link checkGradients} found of one input. */
export interface GradientCheck {
  /** Elements that were moved. */
  readonly elements: number;
  /** Largest difference from the quotients, relative to the largest gradient of the input. */
  readonly worst: number;
}

const DEVICE = instance(Device, 'a Device');
const BUILD = callback<(...inputs: Tensor[]) => Tensor>();
const INPUTS = list(instance(Tensor, 'an f32 Tensor'), 'a list of f32 Tensors');
const OPTIONS = optionsOf<GradientCheckOptions>({
  step: optional(number(0, 1, { above: true })),
  tolerance: optional(number(0, 1, { above: true })),
  elements: optional(integer(1)),
  seed: optional(integer(0)),
});

/**
 * Holds the gradients that a tape gives to quotients of differences: every input's elements are moved to either side, and the
 * function runs again. For an op of one's own, or a function of ops. Outputs are summed with random weights.
 *
 * @example
 * ```ts
 * const [ofX, ofWeight] = await checkGradients(device, (x, weight) => ops.linear(x, weight, { activation: 'gelu' }), [x, weight]);
 * ```
 * @param build gives one f32 output, the same for the same inputs
 * @param inputs f32, at values where the function is smooth
 * @returns per input, in their order
 * @throws HintError NUMERIC naming the input, the element and both values where they differ; INVALID_ARGUMENT, and what `build` throws
 */
export async function checkGradients(
  device: Device,
  build: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradientCheckOptions = {},
): Promise<GradientCheck[]> {
  checked(DEVICE, device, 'device');
  checked(BUILD, build, 'build');
  checked(INPUTS, inputs, 'inputs');
  const given = checked(OPTIONS, options, 'options');
  const { step = 1e-2, tolerance = 5e-3, elements = 32, seed = 0 } = given;
  const values = await Promise.all(inputs.map((input) => input.read()));
  const random = new CounterRng(seed);
  const draw = (): number => random.nextUint32() / 2 ** 32;
  let weights: Float32Array | undefined;

  const runWith = async (moved: number, changed: Float32Array): Promise<number> => {
    const output = device.tidy(() => {
      const tensors = inputs.map(({ shape }, i) =>
        device.tensor(i === moved ? changed : (values[i] as Float32Array), shape),
      );
      return device.keep(build(...tensors));
    });
    const read = await output.read();
    output.dispose();
    return read.reduce((sum, value, i) => sum + value * (weights?.[i] as number), 0);
  };

  const gradients = new Gradients(device);
  const leaves = inputs.map(({ shape }, i) => device.keep(device.tensor(values[i] as Float32Array, shape)));
  try {
    const tape = new Tape(device, leaves);
    device.tidy(() => {
      const loss = tape.run(() => {
        const output = build(...leaves);
        weights = Float32Array.from({ length: output.size }, () => draw() + 0.5);
        return ops.linear(output.reshape([1, output.size]), device.tensor(weights, [1, output.size]));
      });
      tape.backward([loss], gradients);
    });
    const results: GradientCheck[] = [];
    for (const [i, leaf] of leaves.entries()) {
      const own = values[i] as Float32Array;
      const gradient = (await gradients.get(leaf)?.read()) ?? new Float32Array(own.length);
      const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const places = placesOf(own.length, elements, draw);
      let worst = 0;
      for (const place of places) {
        const h = step * Math.max(1, Math.abs(own[place] as number));
        const at = async (by: number): Promise<number> => {
          const changed = own.slice();
          changed[place] = (changed[place] as number) + by;
          return runWith(i, changed);
        };
        const quotient = ((await at(h)) - (await at(-h))) / (2 * h);
        const analytic = gradient[place] as number;
        const gap = Math.abs(quotient - analytic) / Math.max(largest, Math.abs(quotient), 1e-6);
        if (!(gap <= tolerance))
          throw new HintError(
            'NUMERIC',
            `The gradient of input number ${i} is ${analytic} at element ${place}, and differences give ${quotient}: ${gap.toExponential(1)} apart, the tolerance is ${tolerance}; see what its backward kernel reads and adds.`,
          );
        worst = Math.max(worst, gap);
      }
      results.push({ elements: places.length, worst });
    }
    return results;
  } finally {
    for (const leaf of leaves) leaf.dispose();
    gradients.dispose();
  }
}

/** All places, or as many distinct ones as are wanted. */
function placesOf(size: number, most: number, draw: () => number): number[] {
  const places = Array.from({ length: size }, (_, place) => place);
  if (size <= most) return places;
  for (let i = 0; i < most; i++) {
    const other = i + Math.floor(draw() * (size - i));
    [places[i], places[other]] = [places[other] as number, places[i] as number];
  }
  return places.slice(0, most);
}
