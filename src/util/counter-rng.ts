const ROUNDS = 10;
const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/**
 * Philox4x32-10: four random words from a 128-bit counter and a 64-bit key. A pure function, so that a resumed run
 * draws the same numbers without a saved generator's state.
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = multiplyHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/**
 * A stream of random numbers named by (seed, stream): the same pair always gives the same numbers, and different
 * pairs give independent ones.
 */
export class CounterRng {
  private readonly key: readonly [number, number];
  private readonly stream: readonly [number, number];
  private block = 0;
  private words: number[] = [];

  /**
   * @param seed a non-negative safe integer, the run's seed
   * @param stream the use of the numbers within the run, such as the epoch
   * @param substream a further 32-bit name, e.g. a purpose or a hash of an example's id
   */
  constructor(seed: number, stream = 0, substream = 0) {
    this.key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
    this.stream = [stream >>> 0, substream >>> 0];
  }

  /** The next 32 random bits, as an unsigned integer. */
  nextUint32(): number {
    if (this.words.length === 0) {
      const [a, b, c, d] = philox4x32([this.block++, 0, ...this.stream], this.key);
      this.words = [d, c, b, a];
    }
    return this.words.pop()!;
  }

  /** A uniform integer in [0, n), 1 ≤ n < 2^32, without modulo bias. */
  below(n: number): number {
    const drop = Math.clz32(n);
    let value = this.nextUint32() >>> drop;
    while (value >= n) value = this.nextUint32() >>> drop;
    return value;
  }

  /** A uniform number in [0, 1) with 24 random bits. */
  uniform(): number {
    return (this.nextUint32() >>> 8) / 2 ** 24;
  }

  /** A uniformly random order of 0 … n−1. */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    return order;
  }
}

/** The high 32 bits of the unsigned 64-bit product; JavaScript has only the low ones (Math.imul). */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carried / 0x10000)) | 0;
}
