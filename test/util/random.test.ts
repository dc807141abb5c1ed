import { describe, expect, it } from 'vitest';
import { CounterRng, philox4x32 } from '../../src/util/counter-rng.js';
import { PythonRandom } from '../../src/util/mt19937.js';

const shuffled = (n: number): number[] => {
  const items = Array.from({ length: n }, (_, i) => i);
  new PythonRandom(42).shuffle(items);
  return items;
};

describe('PythonRandom', () => {
  it('shuffles exactly as the original code did, so the training instances are the same', () => {
    expect(shuffled(10)).toEqual([7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
    expect(shuffled(500).slice(0, 5)).toEqual([164, 383, 45, 156, 53]);
    expect(shuffled(6500).slice(0, 5)).toEqual([4252, 6128, 5081, 4760, 4663]);
  });

  it('does not fail on lists of zero or one item', () => {
    expect(shuffled(0)).toEqual([]);
    expect(shuffled(1)).toEqual([0]);
  });
});

describe('philox4x32', () => {
  it('gives the published answers of Philox4x32-10', () => {
    expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
    expect(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });
});

describe('CounterRng', () => {
  it('gives every seed, stream and substream its own numbers', () => {
    const first = (...args: [number, number?, number?]): number => new CounterRng(...args).nextUint32();
    const all = [first(1), first(2), first(1, 1), first(1, 0, 1), first(1 + 2 ** 32)];
    expect(new Set(all).size).toBe(all.length);
    expect(first(7, 3, 9)).toBe(first(7, 3, 9));
  });

  it('draws every number below the bound about equally often', () => {
    const rng = new CounterRng(5);
    const counts = new Array<number>(3).fill(0);
    for (let i = 0; i < 9000; i++) counts[rng.below(3)]!++;
    for (const count of counts) expect(Math.abs(count - 3000)).toBeLessThan(200);
  });

  it('permutes without losing or repeating an item', () => {
    const order = new CounterRng(11).permutation(1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect([...order]).not.toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  it('stays in [0, 1) as a uniform number', () => {
    const rng = new CounterRng(3);
    const drawn = Array.from({ length: 1000 }, () => rng.uniform());
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...drawn)).toBeLessThan(1);
    expect(Math.abs(drawn.reduce((a, b) => a + b) / 1000 - 0.5)).toBeLessThan(0.05);
  });
});
