import { HintError } from '../../util/errors.js';
import { parseModelConfig, type ModelConfig } from './config.js';

/** The published sizes of T5 v1.1 (method §1.5), and the original's toy size. */
export type ModelSize = 'tiny' | 'small' | 'base' | 'large' | 'xl' | 'xxl';

/** dModel, dKv, heads, dFf, layers of each stack. */
const SIZES: Readonly<Record<ModelSize, readonly [number, number, number, number, number]>> = {
  tiny: [8, 3, 4, 16, 2],
  small: [512, 64, 6, 1024, 8],
  base: [768, 64, 12, 2048, 12],
  large: [1024, 64, 16, 2816, 24],
  xl: [2048, 64, 32, 5120, 24],
  xxl: [4096, 64, 64, 10240, 24],
};

export const MODEL_SIZES = Object.keys(SIZES) as readonly ModelSize[];

/** The sizes that have checkpoints; the paper calls base 250M, xl 3B and xxl 11B. */
export const PUBLISHED_SIZES = MODEL_SIZES.filter((size) => size !== 'tiny');

/** What reports call a model of a published size with new weights. */
export function sizeTitle(size: string): string {
  return `T5 v1.1 ${size}`;
}

/** The configuration of a T5 v1.1 of a published size, without a hypernetwork. */
export function sizedConfig(size: ModelSize): ModelConfig {
  const [d_model, d_kv, num_heads, d_ff, num_layers] = SIZES[size];
  return parseModelConfig({ vocab_size: 32128, d_model, d_kv, num_heads, d_ff, num_layers });
}

/**
 * {@link sizedConfig} of a name that a user gave.
 *
 * @throws HintError INVALID_ARGUMENT listing the sizes there are
 */
export function modelOfSize(size: string): ModelConfig {
  const known = MODEL_SIZES.find((name) => name === size);
  if (known) return sizedConfig(known);
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no size ${JSON.stringify(size)}; choose one of ${MODEL_SIZES.join(', ')}.`,
  );
}
