const SIZE = 624;
const SHIFT = 397;

/**
 * Python's `random.Random(seed)`: MT19937 seeded by `init_by_array`, with Python's rejection sampling and
 * shuffle, so that the training instances chosen here are those the original code chose (method §7.1).
 */
export class PythonRandom {
  private readonly state = new Uint32Array(SIZE);
  private index = SIZE;

  /** @param seed an integer in [0, 2^32) */
  constructor(seed: number) {
    const mt = this.state;
    mt[0] = 19650218;
    for (let i = 1; i < SIZE; i++) mt[i] = Math.imul(1812433253, twist30(mt[i - 1]!)) + i;
    let i = 1;
    for (let k = 0; k < SIZE; k++) {
      mt[i] = (mt[i]! ^ Math.imul(twist30(mt[i - 1]!), 1664525)) + seed;
      if (++i === SIZE) i = wrap(mt);
    }
    for (let k = 1; k < SIZE; k++) {
      mt[i] = (mt[i]! ^ Math.imul(twist30(mt[i - 1]!), 1566083941)) - i;
      if (++i === SIZE) i = wrap(mt);
    }
    mt[0] = 0x80000000;
  }

  /** The next 32 random bits, as an unsigned integer. */
  nextUint32(): number {
    if (this.index === SIZE) this.refill();
    let y = this.state[this.index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A uniform integer in [0, n), 1 ≤ n < 2^32, drawn as Python's `_randbelow` draws it. */
  below(n: number): number {
    const drop = Math.clz32(n);
    let value = this.nextUint32() >>> drop;
    while (value >= n) value = this.nextUint32() >>> drop;
    return value;
  }

  /** Shuffles `items` in place, in the order of Python's `Random.shuffle`. */
  shuffle<T>(items: T[]): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = items[i]!;
      items[i] = items[j]!;
      items[j] = kept;
    }
  }

  private refill(): void {
    const mt = this.state;
    for (let i = 0; i < SIZE; i++) {
      const y = (mt[i]! & 0x80000000) | (mt[(i + 1) % SIZE]! & 0x7fffffff);
      mt[i] = mt[(i + SHIFT) % SIZE]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.index = 0;
  }
}

function twist30(x: number): number {
  return x ^ (x >>> 30);
}

function wrap(mt: Uint32Array): number {
  mt[0] = mt[SIZE - 1]!;
  return 1;
}
