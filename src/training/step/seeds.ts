import { philox4x32 } from '../../util/counter-rng.js';

/**
 * The dropout seed of a microbatch: a function of run seed, step and microbatch, so that a resumed run draws the
 * masks of the run that was interrupted. Below 2^53.
 */
export function dropoutSeed(seed: number, step: number, microbatch: number): number {
  const [high, low] = philox4x32(
    [step >>> 0, Math.floor(step / 2 ** 32), microbatch, DROPOUT_STREAM],
    words(seed),
  );
  return (high & 0x1fffff) * 2 ** 32 + low;
}

const DROPOUT_STREAM = 0x64726f70;

function words(seed: number): [number, number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}
