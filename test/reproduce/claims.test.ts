import { describe, expect, it } from 'vitest';
import { above, type Claim, type Place } from '../../src/reproduce/claim.js';
import { claimsOf, type ClaimOutcome } from '../../src/reproduce/claims.js';
import type { CellOutcome } from '../../src/reproduce/index.js';
import { figuresOf } from '../../src/reproduce/summary.js';
import { meanInterval } from '../../src/util/confidence.js';
import { TINY_GRID } from './settings.js';

interface Made {
  row: string;
  seed?: number;
  score?: number | undefined;
  column?: string;
  flops?: number;
  model?: string;
}

const outcome = ({ row, seed = 0, score, column = 'Def', flops, model = 'm' }: Made): CellOutcome => ({
  cell: { row, column, system: 'hint', data: {} },
  ...{ model, size: undefined, seed, steps: 1, folder: '' },
  ...(score === undefined
    ? { status: 'failed' as const }
    : {
        status: 'done' as const,
        result: { score, instances: 1, ...(flops !== undefined && { flopsPer100: flops }) },
      }),
});

const judged = (claim: Claim, cells: readonly Made[]): ClaimOutcome =>
  claimsOf({ grid: { ...TINY_GRID, claims: [claim] }, cells: cells.map(outcome) })[0]!;

/** Row A and row B, a pair a seed. */
const pairs = (...scores: readonly (readonly [number, number])[]): Made[] =>
  scores.flatMap(([a, b], seed) => [
    { row: 'A', seed, score: a },
    { row: 'B', seed, score: b },
  ]);

const A_ABOVE_B = above('Table 0', ['A', 'Def'], ['B', 'Def'], 'A above B');

it('a figure is the mean over the seeds that are done', () => {
  const cells = [10, 2, undefined].map((score, seed) => outcome({ row: 'A', seed, score }));
  expect(figuresOf({ grid: TINY_GRID, cells })[0]).toMatchObject({
    score: 6,
    low: 2,
    high: 10,
    seeds: [0, 1],
  });
});

it('the interval of a mean is that of Student', () => {
  expect(meanInterval([1, 2, 3]).mean).toBe(2);
  // 4.303 · 1 / √3
  expect(meanInterval([1, 2, 3]).halfWidth).toBeCloseTo(2.4843, 3);
  expect(meanInterval([5]).halfWidth).toBeUndefined();
  // 1.96 · √(1/4 · 100/99) / 10
  const many = Array.from({ length: 100 }, (_, i) => i % 2);
  expect(meanInterval(many).halfWidth).toBeCloseTo(0.0985, 4);
});

describe('a claim about two places', () => {
  it('holds, does not, or lies within the spread of its seeds', () => {
    expect(judged(A_ABOVE_B, pairs([10, 4], [11, 4], [12, 5]))).toMatchObject({
      verdict: 'holds',
      seedsFor: 3,
      seeds: 3,
    });
    expect(judged(A_ABOVE_B, pairs([4, 10], [4, 11], [5, 12]))).toMatchObject({
      verdict: 'does not hold',
      seedsFor: 0,
    });
    expect(judged(A_ABOVE_B, pairs([10, 4], [4, 6], [9, 5]))).toMatchObject({
      verdict: 'within the spread',
      seedsFor: 2,
    });
  });

  it('takes scores for equal that only the rounding of their sums tells apart', () => {
    const ties = [1, 2, 3].map((seed) => ({ a: seed * (0.1 + 0.2), b: seed * 0.3 }));
    const above = ties.map(({ a, b }) => [a, b] as const);
    expect(above.every(([a, b]) => a > b)).toBe(true);
    const equal = { verdict: 'does not hold', seedsFor: 0, value: 0 };
    expect(judged(A_ABOVE_B, pairs(...above))).toMatchObject(equal);
    const [{ than } = {}] = figuresOf({
      grid: { ...TINY_GRID, reference: 'B' },
      cells: pairs(...ties.map(({ a, b }) => [b, a] as const)).map(outcome),
    });
    expect(than).toEqual({ row: 'B', mean: 0, halfWidth: 0, verdict: 'within the spread' });
  });

  it('is not judged with fewer than three seeds, and says what was measured', () => {
    const { value, verdict, seeds, seedsFor } = judged(A_ABOVE_B, pairs([10, 4], [2, 4]));
    expect({ value, verdict, seeds, seedsFor }).toEqual({
      value: 2,
      verdict: 'too few seeds',
      seeds: 2,
      seedsFor: 1,
    });
  });

  it('is not run where a side is missing, and left out where none is planned', () => {
    const half = judged(A_ABOVE_B, [{ row: 'A', score: 3 }, { row: 'B' }]);
    expect(half).toMatchObject({ verdict: 'not run', seeds: 0 });
    expect(half).not.toHaveProperty('value');
    expect(judged(A_ABOVE_B, [{ row: 'C', score: 3 }])).toBeUndefined();
  });

  it('is of each starting model by itself', () => {
    const cells = pairs([10, 4]).flatMap((one) => [one, { ...one, model: 'other', score: -one.score! }]);
    const grid = { ...TINY_GRID, claims: [A_ABOVE_B] };
    const all = claimsOf({ grid, cells: cells.map(outcome) });
    expect(all.map(({ model, value }) => [model, value])).toEqual([['m', 6], ['other', -6]]); // prettier-ignore
  });

  it('may be that two are near, of equal scores too', () => {
    const near: Claim = {
      kind: 'near',
      says: '',
      where: '',
      place: ['A', 'Def'],
      to: ['B', 'Def'],
      points: 1,
    };
    expect(judged(near, pairs([10, 10], [11, 11], [12, 12]))).toMatchObject({ verdict: 'holds', value: 0 });
    expect(judged(near, pairs([10, 9], [11, 12], [12, 11]))).toMatchObject({ verdict: 'holds', value: 1 });
    expect(judged(near, pairs([10, 4], [11, 4], [12, 5]))).toMatchObject({ verdict: 'does not hold' });
  });

  it('may be of percent, of scores and of FLOPs', () => {
    const gain: Claim = {
      kind: 'gain',
      says: '',
      where: '',
      above: ['A', 'Def'],
      below: ['B', 'Def'],
      percent: 25,
    };
    expect(judged(gain, pairs([30, 20], [31, 20], [29, 20]))).toMatchObject({
      verdict: 'holds',
      limit: 25,
      unit: '%',
    });
    expect(judged(gain, pairs([30, 20], [31, 20], [29, 20])).value).toBeCloseTo(50, 10);
    const cost: Claim = {
      kind: 'cost',
      says: '',
      where: '',
      place: ['A', 'Def'],
      over: ['B', 'Def'],
      percent: 5,
    };
    const at = (flops: number): Made[] =>
      [0, 1, 2].flatMap((seed) => [
        { row: 'A', seed, score: 1, flops },
        { row: 'B', seed, score: 1, flops: 100 },
      ]);
    expect(judged(cost, at(104)).verdict).toBe('holds');
    expect(judged(cost, at(106)).verdict).toBe('does not hold');
    expect(judged(cost, pairs([1, 2])).verdict).toBe('not run');
    // Nothing is a percentage of 0.
    expect(judged(gain, pairs([30, 0], [31, 20]))).toMatchObject({ seeds: 1, seedsFor: 1 });
  });
});

describe('a claim at equal cost', () => {
  const claim: Claim = { kind: 'atEqualCost', says: '', where: '', row: 'HINT', over: 'Plain', percent: 10 };

  it('interpolates between what nothing cheaper exceeds, of all models, in the logarithm of FLOPs', () => {
    const { value, model, verdict } = judged(claim, [
      { row: 'Plain', model: 'small', score: 20, flops: 1 },
      { row: 'Plain', model: 'large', score: 40, flops: 100 },
      // Dearer than the first, and worse.
      { row: 'Plain', model: 'small', column: 'odd', score: 10, flops: 5 },
      { row: 'HINT', model: 'small', score: 33, flops: 10 },
      // Nothing plain is so cheap.
      { row: 'HINT', model: 'tiny', score: 33, flops: 0.5 },
    ]);
    // 30 at 10 FLOPs: half of the way.
    expect(value).toBeCloseTo(10, 10);
    expect([model, verdict]).toEqual([undefined, 'too few seeds']);
  });

  it('is not run where the other row has nothing on both sides', () => {
    const alone = judged(claim, [
      { row: 'Plain', score: 20, flops: 1 },
      { row: 'HINT', score: 33, flops: 10 },
    ]);
    expect(alone.verdict).toBe('not run');
  });
});

it('beside a decoder-only baseline, which is a model of its own, every T5 is judged once', () => {
  const cells = [
    { row: 'A', model: 't5', score: 30 },
    { row: 'B', model: 'gpt2', score: 20 },
  ];
  const outcomes = claimsOf({ grid: { ...TINY_GRID, claims: [A_ABOVE_B] }, cells: cells.map(outcome) });
  expect(outcomes).toMatchObject([{ model: 't5', value: 10, seeds: 1 }]);
});

it('a gain is compared with another gain, seed by seed', () => {
  const place = (row: string): Place => [row, 'Def'];
  const claim: Claim = {
    kind: 'largerGain',
    says: 'more',
    where: 'Table 0',
    gain: [place('A'), place('B')],
    than: [place('C'), place('D')],
  };
  const seeds = [0, 1, 2].flatMap((seed) =>
    Object.entries({ A: 30 + seed, B: 20, C: 15, D: 10 }).map(([row, score]) => ({ row, seed, score })),
  );
  expect(judged(claim, seeds)).toMatchObject({ verdict: 'holds', value: 6, unit: 'points', seeds: 3 });
  expect(judged({ ...claim, gain: claim.than, than: claim.gain }, seeds)).toMatchObject({
    verdict: 'does not hold',
    value: -6,
  });
  expect(
    judged(
      claim,
      seeds.filter(({ row }) => row !== 'D'),
    ),
  ).toMatchObject({ verdict: 'not run' });
});

it('what the paper prints of another model is compared at its own size only', () => {
  const claim: Claim = {
    kind: 'abovePrinted',
    says: 'more',
    where: 'Table 0',
    place: ['A', 'Def'],
    printed: { '3B': 55.2 },
  };
  const cells = (size: '3B' | '11B' | undefined): CellOutcome[] =>
    [0, 1, 2].map((seed) => ({ ...outcome({ row: 'A', seed, score: 60 + seed / 10 }), size }));
  const verdict = (size: '3B' | '11B' | undefined): string =>
    claimsOf({ grid: { ...TINY_GRID, claims: [claim] }, cells: cells(size) })[0]!.verdict;
  expect([verdict('3B'), verdict('11B'), verdict(undefined)]).toEqual(['holds', 'not run', 'not run']);
});

describe('differences', () => {
  const than = (...scores: readonly (readonly [number, number])[]) =>
    figuresOf({ grid: { ...TINY_GRID, reference: 'B' }, cells: pairs(...scores).map(outcome) }).find(
      ({ row }) => row === 'A',
    )?.than;

  it('are called within the spread where their interval has 0', () => {
    expect(than([10, 9], [11, 12], [12, 11])).toMatchObject({ row: 'B', verdict: 'within the spread' });
    expect(than([20, 10], [21, 10], [22, 11])).toMatchObject({
      verdict: 'higher',
      halfWidth: expect.any(Number) as number,
    });
    expect(than([10, 20], [10, 21], [11, 22])).toMatchObject({ verdict: 'lower' });
  });

  it('of fewer than three seeds say so, however large', () => {
    expect(than([90, 10], [91, 10])).toMatchObject({ mean: 80.5, verdict: 'too few seeds' });
    expect(than([90, 10])).toEqual({ row: 'B', mean: 80, verdict: 'too few seeds' });
  });

  it('are of the same seeds', () => {
    const cells = [{ row: 'A', seed: 0, score: 50 }, { row: 'A', seed: 1, score: 10 }, { row: 'B', seed: 1, score: 9 }]; // prettier-ignore
    const figures = figuresOf({ grid: { ...TINY_GRID, reference: 'B' }, cells: cells.map(outcome) });
    expect(figures[0]?.than?.mean).toBe(1);
  });
});
