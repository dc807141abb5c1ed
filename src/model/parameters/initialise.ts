import { HintError } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checked, integer } from '../../util/arguments.js';
import { fnv1a32 } from '../../util/hash.js';
import { MODEL_CONFIG, type ModelConfig } from '../config/config.js';
import { initialisations, TRUNCATED_NORMAL_DEVIATION, type Initialisation } from './initialisation.js';
import { DEVICE, ParameterStore } from './parameter-store.js';
import { parameterShapes } from './parameter-shapes.js';

const SEED = integer(0);

/**
 * A parameter with the values it starts with, a function of seed and name, not of the other parameters. Only enqueues:
 * the device draws them.
 */
export function initialTensor(
  device: Device,
  { kind, scale }: Initialisation,
  shape: readonly number[],
  seed: number,
  name: string,
): Tensor {
  const tensor = device.keep(device.tensor(null, shape, 'f32'));
  if (kind === 'constant') {
    ops.fill(tensor, scale);
  } else {
    const factor = kind === 'truncated-normal' ? scale / TRUNCATED_NORMAL_DEVIATION : scale;
    ops.randomFill(tensor, kind, { scale: factor, seed, stream: fnv1a32(name) });
  }
  return tensor;
}

/**
 * Parameters drawn from the original's distributions (method §1.4, method §2.3 to method §2.5).
 *
 * @param seed an integer from 0 to 2^53 - 1
 * @throws HintError INVALID_ARGUMENT
 */
export function initialiseParameters(device: Device, config: ModelConfig, seed: number): ParameterStore {
  checked(DEVICE, device, 'device');
  checked(MODEL_CONFIG, config, 'config');
  checked(SEED, seed, 'seed');
  return device.now(drawParameters(device, config, seed, (name) => name));
}

function* drawParameters(
  device: Device,
  config: ModelConfig,
  seed: number,
  sourceOf: (name: string) => string,
): Sliced<ParameterStore> {
  const starts = initialisations(config);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    const source = sourceOf(name);
    const start = starts.get(source);
    if (!start) throw new HintError('INTERNAL', `The tensor ${source} has no initialisation.`);
    tensors.set(name, initialTensor(device, start, shape, seed, source));
    yield;
  }
  return new ParameterStore(tensors);
}

/**
 * What a separate hyperencoder or decoder generator starts from (method §10.3): T5's tensor of the same place;
 * undefined for every other tensor.
 */
export function copiedFrom(name: string): string | undefined {
  const place = /^hypernetwork\.((?:encoder|decoder)\..+)$/.exec(name);
  return place?.[1];
}

/** {@link initialiseParameters} in slices; with `copies`, a separate hyperencoder or decoder generator starts as T5's. */
export function initialiseWithCopies(
  device: Device,
  config: ModelConfig,
  seed: number,
  copies: boolean,
): Promise<ParameterStore> {
  const shapes = parameterShapes(config);
  return device.inSlices(
    drawParameters(device, config, seed, (name) => {
      const source = copies ? copiedFrom(name) : undefined;
      return source !== undefined && shapes.has(source) ? source : name;
    }),
  );
}
