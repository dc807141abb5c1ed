import { buildModel } from '../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import type { ModelConfig } from '../model/config/config.js';
import { ParameterStore } from '../model/parameters/parameter-store.js';
import { initialisations } from '../model/parameters/initialisation.js';
import { parameterShapes } from '../model/parameters/parameter-shapes.js';
import { sizeOf } from '../model/modules/adaptations.js';
import { modelOfSize } from '../model/config/sizes.js';
import { PAPER_HYPERNETWORK } from '../systems/hint.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { throwIfAborted } from '../util/errors.js';
import { createYielder } from '../util/event-loop-lag.js';

/** Ordinary pieces of T5's vocabulary; what lies above are sentinels. */
const SENTENCE_PIECES = 32_000;
/** pad, end of sequence and unknown come first. */
const FIRST_PIECE = 3;
/** No id of any vocabulary: sequences never end by themselves, so that all systems do the same work. */
const NEVER_GENERATED = -1;
const TILE = 1 << 18;

/**
 * Uniform numbers in [0, 1): a 32-bit counter through a mixing function.
 *
 * @param seed the same seed gives the same numbers
 */
export function uniforms(seed: number): () => number {
  let counter = seed >>> 0;
  return () => {
    counter = (counter + 0x9e3779b9) >>> 0;
    let x = counter;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number. */
export function normal(uniform: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** `length` ordinary token ids of a vocabulary of `vocabSize`. */
export function randomTokens(uniform: () => number, length: number, vocabSize = SENTENCE_PIECES): Int32Array {
  const end = Math.min(vocabSize, SENTENCE_PIECES);
  const first = Math.min(FIRST_PIECE, end - 1);
  return Int32Array.from({ length }, () => first + Math.floor(uniform() * (end - first)));
}

/**
 * A shape to measure whose sequences never end.
 *
 * @param adapterSize with it: the paper's HINT with adapters of this width; without: plain T5
 */
export function benchConfig(size: string, adapterSize?: number): ModelConfig {
  return {
    ...endless(modelOfSize(size)),
    ...(adapterSize === undefined ? {} : { hint: { ...PAPER_HYPERNETWORK, adapterSize } }),
  };
}

/** The same shape whose sequences never end. */
export function endless(config: ModelConfig): ModelConfig {
  return { ...config, eosTokenId: NEVER_GENERATED };
}

/**
 * A model with random weights of the original's scales. Speed does not depend on the values, so one block of normal
 * numbers is repeated: drawing every number would take longer than the measurement.
 *
 * @throws HintError OUT_OF_MEMORY, ABORTED
 */
export async function randomModel(
  device: Device,
  config: ModelConfig,
  signal?: AbortSignal,
): Promise<EncoderDecoderModel> {
  const uniform = uniforms(1);
  const breathe = createYielder();
  const tile = Float32Array.from({ length: TILE }, () => normal(uniform));
  const tiles = new Map<number, Float32Array>();
  const starts = initialisations(config);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    throwIfAborted(signal);
    const { kind, scale } = starts.get(name) ?? { kind: 'constant' as const, scale: 1 };
    const tensor = device.keep(
      kind === 'constant' ? device.full(shape, scale) : device.tensor(null, shape, 'f32'),
    );
    tensors.set(name, tensor);
    if (kind === 'constant') continue;
    const scaled = tiles.get(scale) ?? tile.map((value) => value * scale);
    tiles.set(scale, scaled);
    for (let at = 0; at < sizeOf(shape); at += TILE) {
      device.write(tensor, scaled.subarray(0, Math.min(TILE, sizeOf(shape) - at)), at * 4);
      const pause = breathe();
      if (pause) await pause;
    }
  }
  await device.synchronize();
  return buildModel(device, config, new ParameterStore(tensors));
}
