import { describe, expect, it } from 'vitest';
import {
  cutSegment,
  drawSplits,
  type SplitSeeding,
  type TextObjective,
} from '../../../src/data/text/objective.js';
import { cutIntoExamples, cutIntoSegments, chooseChunk } from '../../../src/data/text/segments.js';
import { CounterRng } from '../../../src/util/counter-rng.js';

const DRAWS = 100_000;
const drawn = new Map<string, number[][]>();
const draws = (objective: TextObjective, seeding: SplitSeeding = 'independent'): number[][] => {
  const random = new CounterRng(11, 1);
  const make = (): number[][] =>
    Array.from({ length: DRAWS }, () => drawSplits(objective, 512, random, seeding));
  const key = `${objective} ${seeding}`;
  return drawn.get(key) ?? drawn.set(key, make()).get(key)!;
};
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const share = (points: number[][], holds: (points: number[]) => boolean): number =>
  points.filter(holds).length / points.length;
const EOS = Int32Array.of(1);
const segment = Int32Array.from({ length: 512 }, (_, i) => 1000 + i);

describe('split points of the paper’s scheme (method §4.2)', () => {
  for (const seeding of ['independent', 'faithful'] as const) {
    it(`have the stated means and bounds with ${seeding} draws`, () => {
      const points = draws('hint', seeding);
      expect(Math.abs(mean(points.map(([p1]) => p1!)) - 255)).toBeLessThan(2);
      expect(Math.abs(mean(points.map(([p1, p2]) => p2! - p1!)) - 126.5)).toBeLessThan(2);
      expect(Math.abs(mean(points.map(([, p2]) => 512 - p2!)) - 130.5)).toBeLessThan(2);
      const all = points.map(([p1, p2]) => [p1!, p2! - p1!, 512 - p2!]);
      expect(Math.min(...all.map(([a]) => a!))).toBe(1);
      expect(Math.max(...all.map(([a]) => a!))).toBe(509);
      expect(Math.min(...all.map(([, b]) => b!))).toBe(0);
      expect(Math.min(...all.map(([, , c]) => c!))).toBe(3);
    });
  }

  it('leave the input empty in 1.34 % of segments, in 1.5 % when one word is used twice', () => {
    const empty = ([p1, p2]: number[]): boolean => p1 === p2;
    expect(Math.abs(share(draws('hint', 'independent'), empty) - 0.0134)).toBeLessThan(0.001);
    expect(Math.abs(share(draws('hint', 'faithful'), empty) - 0.0153)).toBeLessThan(0.001);
  });

  it('p1 = 1 forces p2 = 1 only when one word is used twice', () => {
    const ones = (seeding: SplitSeeding): number[][] => draws('hint', seeding).filter(([p1]) => p1 === 1);
    expect(ones('faithful').length).toBeGreaterThan(100);
    expect(ones('faithful').every(([, p2]) => p2 === 1)).toBe(true);
    expect(ones('independent').some(([, p2]) => p2! > 1)).toBe(true);
  });

  it('give three consecutive parts that make up the segment', () => {
    const { hyper, input, target } = cutSegment('hint', segment, [200, 350], EOS);
    expect([...hyper, ...input, ...target].flatMap((part) => [...part])).toEqual([...segment]);
    expect(target[0]![0]).toBe(1350);
  });
});

describe('split points of CACLM (method §4.3)', () => {
  it('stay within their ranges and reach the ends of them', () => {
    const points = draws('caclm');
    expect(points.every(([p1, p2, p3]) => p1! >= 1 && p1! <= p2! && p2! <= p3! && p3! <= 509)).toBe(true);
    expect(Math.max(...points.map(([p1]) => p1!))).toBe(507);
    expect(Math.max(...points.map(([, p2]) => p2!))).toBe(508);
    expect(Math.max(...points.map(([, , p3]) => p3!))).toBe(509);
    expect(Math.abs(mean(points.map(([p1]) => p1!)) - 254)).toBeLessThan(2);
    expect(points.some(([, p2, p3]) => p2 === p3)).toBe(true);
  });

  it('put the target between the input and what the hypernetwork reads last', () => {
    const { hyper, input, target } = cutSegment('caclm', segment, [2, 4, 509], EOS);
    expect(hyper.flatMap((part) => [...part])).toEqual([1000, 1001, 1, 1509, 1510, 1511]);
    expect([...input[0]!]).toEqual([1002, 1003]);
    expect([...target[0]!]).toEqual([...segment.subarray(4, 509)]);
  });

  it('of six parts: 1, 3 and 6 go to the hypernetwork, 2 and 4 to the input, 5 is the target', () => {
    const points = draws('caclm6');
    [505, 506, 507, 508, 509].forEach((last, i) => {
      expect(Math.max(...points.slice(0, 20_000).map((all) => all[i]!))).toBeLessThanOrEqual(last);
      expect(points.every((all) => all[i]! >= (all[i - 1] ?? 1))).toBe(true);
    });
    const { hyper, input, target } = cutSegment('caclm6', segment, [1, 2, 3, 4, 510], EOS);
    expect(hyper.flatMap((part) => [...part])).toEqual([1000, 1, 1002, 1, 1510, 1511]);
    expect(input.flatMap((part) => [...part])).toEqual([1001, 1, 1003]);
    expect(target[0]!.length).toBe(506);
  });
});

describe('the token stream (method §4.1)', () => {
  const settings = {
    objective: 'hint',
    splits: 'independent',
    segmentTokens: 20,
    maxDocumentTokens: 65_536,
    lastSegment: 'drop',
    seed: 0,
  } as const;
  const documents = [13, 30, 9].map((length, i) => new Int32Array(length).fill(100 + i));

  it('has one EOS behind each document and crosses document boundaries', () => {
    const random = new CounterRng(0);
    const segments = cutIntoSegments(documents, settings, 1, random);
    expect(segments.map(({ length }) => length)).toEqual([20, 20]);
    expect([...segments[0]!]).toEqual([...documents[0]!, 1, ...documents[1]!.subarray(0, 6)]);
    const padded = cutIntoSegments(documents, { ...settings, lastSegment: 'pad' }, 1, random);
    expect(padded.map(({ length }) => length)).toEqual([20, 20, 15]);
    expect(padded[2]!.at(-1)).toBe(1);
  });

  it('keeps one of the consecutive chunks of a document that is too long', () => {
    const long = Int32Array.from({ length: 25 }, (_, i) => i);
    const random = new CounterRng(3);
    const begins = new Set(Array.from({ length: 50 }, () => chooseChunk(long, 10, random)[0]));
    expect([...begins].sort((a, b) => a! - b!)).toEqual([0, 10, 20]);
    expect(chooseChunk(long, 25, random)).toBe(long);
  });

  it('ends every part in EOS and never feeds a pad, also from a padded last segment', () => {
    const random = new CounterRng(5);
    const short = Array.from({ length: 200 }, () => Int32Array.of(7, 8, 9));
    const { ids, offsets } = cutIntoExamples(short, { ...settings, lastSegment: 'pad' }, 1, random);
    expect(offsets.length).toBe(3 * 200 + 1);
    expect(ids.includes(0)).toBe(false);
    for (let i = 1; i < offsets.length; i++) expect(ids[offsets[i]! - 1]).toBe(1);
  });

  it('never makes a feature longer than a segment', () => {
    const segments = Array.from({ length: 3000 }, () => new Int32Array(20).fill(5));
    for (const objective of ['hint', 'caclm', 'caclm6'] as const) {
      const { offsets } = cutIntoExamples(segments, { ...settings, objective }, 1, new CounterRng(2));
      let longest = 0;
      for (let i = 1; i < offsets.length; i++) longest = Math.max(longest, offsets[i]! - offsets[i - 1]!);
      expect(longest).toBeLessThanOrEqual(20);
    }
  });
});
