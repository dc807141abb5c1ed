/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
// Seeded random numbers, token sequences and models.
import { HintModel, initialiseParameters, parameterShapes, parseModelConfig } from '../dist/index.js';
import { initialisations, sizeOf } from '../dist/model/parameter-shapes.js';

const VOCABULARY = 32_128;
const SENTENCE_PIECES = 32_000;
// One id of the vocabulary ends sequences here. Its row of the output matrix is 0, so some other id always wins.
const NEVER_GENERATED = VOCABULARY - 1;
const TILE = 1 << 20;

const SHAPES = {
  small: { d_model: 512, d_kv: 64, num_heads: 6, d_ff: 1024, num_layers: 8 },
  base: { d_model: 768, d_kv: 64, num_heads: 12, d_ff: 2048, num_layers: 12 },
};

/**
 * @param {number} seed
 * @returns {() => number} uniform numbers in [0, 1): a 32-bit counter through a mixing function
 */
export function uniforms(seed) {
  let counter = seed >>> 0;
  return () => {
    counter = (counter + 0x9e3779b9) >>> 0;
    let x = counter;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** @returns {number} a standard normal number */
export function normal(uniform) {
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** @returns {Int32Array} `length` ordinary token ids */
export function randomTokens(uniform, length) {
  return Int32Array.from({ length }, () => 3 + Math.floor(uniform() * (SENTENCE_PIECES - 3)));
}

/**
 * @param {'small' | 'base'} size T5 v1.1's shape
 * @param {number} [adapterSize] with it: HINT with this bottleneck, prefixes of 30 and instruction fusion
 */
export function benchConfig(size, adapterSize) {
  return parseModelConfig({
    vocab_size: VOCABULARY,
    eos_token_id: NEVER_GENERATED,
    ...SHAPES[size],
    ...(adapterSize && { hint: { adapter_size: adapterSize, prefix_length: 30 } }),
  });
}

/**
 * A model with random weights of the original's scales. Speed does not depend on the values, so one block of normals
 * is laid out again and again: drawing every number would take longer than the measurement.
 *
 * @param {import('../dist/index.js').Device} device
 * @param {import('../dist/index.js').ModelConfig} config
 */
export function randomModel(device, config) {
  const uniform = uniforms(1);
  const tile = Float32Array.from({ length: TILE }, () => normal(uniform));
  const starts = initialisations(config);
  const shapes = new Map(parameterShapes(config));
  const parameters = initialiseParameters(device, config, 1, (name) => {
    const { kind, scale } = starts.get(name);
    const values = new Float32Array(sizeOf(shapes.get(name)));
    if (kind === 'constant') return values.fill(scale);
    const scaled = tile.map((value) => value * scale);
    for (let at = 0; at < values.length; at += TILE) {
      values.set(scaled.subarray(0, Math.min(TILE, values.length - at)), at);
    }
    if (name === 'lm_head.weight') values.fill(0, NEVER_GENERATED * config.dModel);
    return values;
  });
  return new HintModel(device, config, parameters);
}

/** The T5 inside a HINT model as a model of its own; it shares the tensors. */
export function plainModel(hintModel) {
  const config = { ...hintModel.config };
  delete config.hint;
  return new HintModel(hintModel.device, config, hintModel.parameters);
}
