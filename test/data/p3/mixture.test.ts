import { describe, expect, it } from 'vitest';
import type { P3Template } from '../../../src/data/p3/format.js';
import { MixtureSampler, mixtureRates } from '../../../src/data/p3/mixture.js';
import { publishedTotal } from '../../../src/data/p3/published-sizes.js';

function templates(sizes: Record<string, [templates: number, rows: number]>): Map<string, P3Template> {
  const rest = { originalTask: true, hasChoices: false, instructions: [] };
  return new Map(
    Object.entries(sizes).flatMap(([dataset, [count, rows]]) =>
      Array.from({ length: count }, (_, i) => [
        `${dataset}_${i}`,
        { dataset, template: `${i}`, rows, ...rest },
      ]),
    ),
  );
}

describe('mixtureRates', () => {
  it('counts a template as its rows, or as its share of the cap in a dataset above it', () => {
    const rates = mixtureRates(templates({ small: [3, 500_000], large: [9, 500_001] }));
    expect(rates.get('small_0')).toEqual({ rate: 500_000, keep: 1 });
    expect(rates.get('large_8')).toEqual({ rate: 55_555, keep: 55_555 / 500_001 });
  });

  it('takes the published sizes when asked to, and they add up to those of the original', () => {
    const rates = mixtureRates(templates({ quarel: [2, 200], gigaword: [1, 200] }), 'published');
    expect([rates.get('quarel_1'), rates.get('gigaword_0')]).toEqual([
      { rate: 1_941, keep: 1 },
      { rate: 55_555, keep: 1 },
    ]);
    expect(publishedTotal()).toBe(17_277_798);
    expect(() => mixtureRates(templates({ mine: [1, 5] }), 'published')).toThrow(/no dataset "mine"/);
    expect(() => mixtureRates(templates({ mine: [1, 5] }), 'rows', 0)).toThrow(/cap is 0/);
  });
});

describe('MixtureSampler', () => {
  const tasks = [
    { name: 'a', size: 3, rate: 1 },
    { name: 'b', size: 50, rate: 6 },
    { name: 'c', size: 7, rate: 3 },
  ];
  const draw = (sampler: MixtureSampler, count: number) =>
    Array.from({ length: count }, () => sampler.next());

  it('draws tasks in proportion to their rates, whatever their size', () => {
    const counts = [0, 0, 0];
    for (const { task } of draw(new MixtureSampler(tasks, 1), 20_000)) counts[task]!++;
    expect(counts.map((count) => Math.round(count / 200) / 100)).toEqual([0.1, 0.6, 0.3]);
  });

  it('gives each example of a task once per pass, in another order the next time', () => {
    const drawn = draw(new MixtureSampler(tasks, 1), 400).filter(({ task }) => task === 2);
    const passes = [0, 1, 2].map((pass) => drawn.slice(7 * pass, 7 * pass + 7).map(({ example }) => example));
    for (const pass of passes) expect([...pass].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(new Set(passes.map(String)).size).toBe(3);
  });

  it('goes on from its state as if it had not stopped, and differs by seed', () => {
    const whole = draw(new MixtureSampler(tasks, 7), 300);
    const first = new MixtureSampler(tasks, 7);
    draw(first, 123);
    const second = new MixtureSampler(tasks, 7);
    second.restore(JSON.parse(JSON.stringify(first.state)) as typeof first.state);
    expect(draw(second, 177)).toEqual(whole.slice(123));
    expect(draw(new MixtureSampler(tasks, 8), 300)).not.toEqual(whole);
  });

  it.each([
    { drawn: 3, counts: [1, 2] },
    { drawn: 3, counts: [1, 1, 2] },
    { drawn: 0, counts: [-1, 1, 0] },
  ])('refuses the state %j', (state) => {
    expect(() => new MixtureSampler(tasks, 1).restore(state)).toThrow(/Cannot resume/);
  });

  it.each([
    [[], 0],
    [[{ name: 'a', size: 0, rate: 1 }], 0],
    [[{ name: 'a', size: 1, rate: 0 }], 0],
    [tasks, -1],
  ])('refuses the tasks %j with seed %j', (given, seed) => {
    expect(() => new MixtureSampler(given, seed)).toThrow(/must be above 0|at least one|seed/);
  });
});
