import { HintError } from '../errors.js';
import type { Device } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { Sliced } from '../tensor/slices.js';
import type { Tensor } from '../tensor/tensor.js';
import { fnv1a32 } from '../util/hash.js';
import type { ModelConfig } from './config.js';
import {
  initialisations,
  parameterShapes,
  TRUNCATED_NORMAL_DEVIATION,
  type Initialisation,
} from './parameter-shapes.js';

/** The named tensors of a model, in the order of its tensor table. */
export class Parameters {
  constructor(private readonly tensors: Map<string, Tensor>) {}

  /** @throws HintError INVALID_CHECKPOINT when the model has no such tensor. */
  get(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new HintError('INVALID_CHECKPOINT', `The model has no tensor named ${name}.`);
    return tensor;
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  entries(): IterableIterator<[string, Tensor]> {
    return this.tensors.entries();
  }

  names(): string[] {
    return [...this.tensors.keys()];
  }

  all(): Tensor[] {
    return [...this.tensors.values()];
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
  }
}

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

/** Parameters drawn from the original's distributions (method §1.4, §2.3–2.5). */
export function initialiseParameters(device: Device, config: ModelConfig, seed: number): Parameters {
  return device.now(drawParameters(device, config, seed, (name) => name));
}

function* drawParameters(
  device: Device,
  config: ModelConfig,
  seed: number,
  sourceOf: (name: string) => string,
): Sliced<Parameters> {
  const starts = initialisations(config);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    const source = sourceOf(name);
    const start = starts.get(source);
    if (!start) throw new HintError('INTERNAL', `The tensor ${source} has no initialisation.`);
    tensors.set(name, initialTensor(device, start, shape, seed, source));
    yield;
  }
  return new Parameters(tensors);
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
): Promise<Parameters> {
  const shapes = parameterShapes(config);
  return device.inSlices(
    drawParameters(device, config, seed, (name) => {
      const source = copies ? copiedFrom(name) : undefined;
      return source !== undefined && shapes.has(source) ? source : name;
    }),
  );
}
