import { HintError } from '../errors.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { CounterRng } from '../util/counter-rng.js';
import { fnv1a32 } from '../util/hash.js';
import type { ModelConfig } from './config.js';
import {
  initialisations,
  parameterShapes,
  sizeOf,
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

/** Draws the values a parameter starts with; a function of seed and name, not of the other parameters. */
export function initialValues(
  initialisation: Initialisation,
  size: number,
  seed: number,
  name: string,
): Float32Array {
  const values = new Float32Array(size);
  if (initialisation.kind === 'constant') return values.fill(initialisation.scale);
  const random = new CounterRng(seed, fnv1a32(name));
  const { scale } = initialisation;
  if (initialisation.kind === 'uniform') {
    for (let i = 0; i < size; i++) values[i] = (2 * random.uniform() - 1) * scale;
    return values;
  }
  const truncated = initialisation.kind === 'truncated-normal';
  const sigma = truncated ? scale / TRUNCATED_NORMAL_DEVIATION : scale;
  for (let i = 0; i < size;) {
    // Box–Muller gives two normals from two uniforms; 1 - u keeps the logarithm finite.
    const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const angle = 2 * Math.PI * random.uniform();
    for (const normal of [radius * Math.cos(angle), radius * Math.sin(angle)]) {
      if (i < size && !(truncated && Math.abs(normal) > 2)) values[i++] = normal * sigma;
    }
  }
  return values;
}

/** Parameters drawn from the original's distributions (method §1.4, §2.3–2.5), or only those `wanted`. */
export function initialiseParameters(
  device: Device,
  config: ModelConfig,
  seed: number,
  given: (name: string) => Float32Array | undefined = () => undefined,
): Parameters {
  const starts = initialisations(config);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    const start = starts.get(name);
    if (!start) throw new HintError('INTERNAL', `The tensor ${name} has no initialisation.`);
    const values = given(name) ?? initialValues(start, sizeOf(shape), seed, name);
    tensors.set(name, device.keep(device.tensor(values, shape, 'f32')));
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

/** {@link initialiseParameters}; with `copies`, a separate hyperencoder or decoder generator starts as T5's. */
export function initialiseWithCopies(
  device: Device,
  config: ModelConfig,
  seed: number,
  copies: boolean,
): Parameters {
  const starts = initialisations(config);
  const shapes = parameterShapes(config);
  return initialiseParameters(device, config, seed, (name) => {
    const source = copies ? copiedFrom(name) : undefined;
    const start = source === undefined ? undefined : starts.get(source);
    if (source === undefined || start === undefined) return undefined;
    return initialValues(start, sizeOf(shapes.get(source) ?? []), seed, source);
  });
}
