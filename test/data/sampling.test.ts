import { describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../../src/data/batch.js';
import { MixedTaskSampler, splitByTokens } from '../../src/data/sampling.js';
import { example } from './examples.js';

describe('MixedTaskSampler', () => {
  it('shows every example once a pass, in another order each time', () => {
    const sampler = new MixedTaskSampler(50, 1);
    const passes = [sampler.next(50), sampler.next(50)];
    for (const pass of passes)
      expect([...pass].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(passes[0]).not.toEqual(passes[1]);
  });

  it('draws the same examples whatever the batch size', () => {
    const [one, many] = [new MixedTaskSampler(7, 3), new MixedTaskSampler(7, 3)];
    const drawn = Array.from({ length: 30 }, () => one.next(1)[0]);
    expect([...many.next(20), ...many.next(10)]).toEqual(drawn);
  });

  it('goes on bit-exactly from a saved state, in the middle and at the end of a pass', () => {
    for (const before of [0, 3, 7, 10, 14]) {
      const sampler = new MixedTaskSampler(7, 3);
      sampler.next(before);
      const state = JSON.parse(JSON.stringify(sampler.state)) as typeof sampler.state;
      const resumed = new MixedTaskSampler(7, 3);
      resumed.restore(state);
      expect(resumed.next(25)).toEqual(sampler.next(25));
    }
  });

  it('depends on the seed', () => {
    expect(new MixedTaskSampler(50, 1).next(50)).not.toEqual(new MixedTaskSampler(50, 2).next(50));
  });

  it('fills a batch larger than the pool', () => {
    expect(new MixedTaskSampler(1, 0).next(4)).toEqual(Int32Array.of(0, 0, 0, 0));
  });

  it('refuses an empty pool and a state of another dataset', () => {
    expect(() => new MixedTaskSampler(0, 1)).toThrow(/at least one example/);
    expect(() => new MixedTaskSampler(5, -1)).toThrow(/seed is -1/);
    for (const state of [
      { epoch: 0, position: 5 },
      { epoch: -1, position: 0 },
      { epoch: 0, position: NaN },
    ])
      expect(() => new MixedTaskSampler(5, 1).restore(state)).toThrow(/the pool has 5 examples/);
  });
});

describe('splitByTokens', () => {
  const cost = (bin: TokenizedExample[]): number => {
    const instructions = new Map(bin.map((e) => [String(e.instruction), e.instruction.length]));
    const rest = bin.reduce((sum, e) => sum + e.input.length + e.target.length, 0);
    return rest + [...instructions.values()].reduce((a, b) => a + b, 0);
  };
  const mixed = Array.from({ length: 40 }, (_, i) =>
    example(`e${i}`, [i % 5, 9, 9, 1], new Array<number>(3 + ((i * 7) % 11)).fill(2)),
  );

  it('loses and repeats no example and keeps every microbatch within the budget', () => {
    const bins = splitByTokens(mixed, 64);
    expect(
      bins
        .flat()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(mixed.map(({ id }) => id).sort());
    for (const bin of bins) expect(cost(bin)).toBeLessThanOrEqual(64);
    expect(bins.length).toBeGreaterThan(1);
  });

  it('keeps the examples of a task together where they fit', () => {
    const bins = splitByTokens(mixed, 110);
    for (const task of new Set(mixed.map((e) => e.task)))
      expect(bins.filter((bin) => bin.some((e) => e.task === task))).toHaveLength(1);
  });

  it('cuts a task that is larger than a microbatch, and gives an example larger than that its own', () => {
    const one = Array.from({ length: 10 }, (_, i) => example(`${i}`, [8, 1], [2, 2, 1]));
    expect(splitByTokens(one, 10).map((bin) => bin.length)).toEqual([2, 2, 2, 2, 2]);
    const long = example('long', [8, 1], new Array<number>(100).fill(2));
    const bins = splitByTokens([...one.slice(0, 2), long], 10);
    expect(bins.find((bin) => bin.includes(long))).toEqual([long]);
    expect(bins.flat()).toHaveLength(3);
  });

  it('makes one microbatch of a batch that fits', () => {
    expect(splitByTokens(mixed, 1e6)).toHaveLength(1);
  });

  it('splits the same batch the same way, also without instructions', () => {
    const bare = mixed.map((e) => ({ ...e, instruction: new Int32Array(0) }));
    expect(splitByTokens(bare, 40)).toEqual(splitByTokens(bare, 40));
    for (const bin of splitByTokens(bare, 40)) expect(cost(bin)).toBeLessThanOrEqual(40);
  });

  it('refuses a budget of nothing', () => {
    expect(() => splitByTokens(mixed, 0)).toThrow(/budget of a microbatch is 0/);
    expect(() => splitByTokens(mixed, NaN)).toThrow(/budget/);
  });
});
