import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { benchmarkSeries, compareBenchmarks } from '../../src/benchmark/compare.js';

const run = (samples: Record<string, number[]>, rest: object = {}) =>
  benchmarkSeries({ machine: {}, parts: { inference: { samples, ...rest } } }, 'a.json');
const verdicts = (before: Record<string, number[]>, after: Record<string, number[]>, margin = 0.05) =>
  compareBenchmarks(run(before), run(after), margin).rows.map(({ verdict }) => verdict);

describe('comparing benchmark results', () => {
  it('tells change from noise: the margin and the spread must both be left behind', () => {
    const steady = [1.0, 1.01, 0.99, 1.0, 1.02];
    const times = (factor: number) => ({ a: steady.map((value) => value * factor) });
    expect(verdicts(times(1), times(1.2))).toEqual(['slower']);
    expect(verdicts(times(1), times(0.8))).toEqual(['faster']);
    expect(verdicts(times(1), times(1.04))).toEqual(['no difference']);
    expect(verdicts(times(1), times(1.2), 0.25)).toEqual(['no difference']);
    // 20 % slower in the median, but samples scatter further than that.
    expect(verdicts({ a: [1, 0.8, 1.5, 0.9, 1.3] }, { a: [1.2, 0.9, 1.6, 1.1, 1.4] })).toEqual([
      'no difference',
    ]);
  });

  it('asks three times the margin of figures without samples, unless they know their error', () => {
    const rows = (seconds: number, more: object = {}) =>
      benchmarkSeries({ parts: { small: { rows: [{ name: 'x', seconds, ...more }] } } }, 'a.json');
    const verdict = (...[a, b]: [ReturnType<typeof rows>, ReturnType<typeof rows>]) =>
      compareBenchmarks(a, b, 0.05).rows[0]?.verdict;
    expect(verdict(rows(1), rows(1.14))).toBe('no difference');
    expect(verdict(rows(1), rows(1.16))).toBe('slower');
    const error = { relativeError: 0.02 };
    expect(verdict(rows(1, error), rows(1.14, error))).toBe('slower');
    expect(verdict(rows(1, { relativeError: 0.15 }), rows(1.14, error))).toBe('no difference');
  });

  it('takes peers and roofs as controls that are no regressions', () => {
    const before = run({
      'hf t5 44': [1, 1, 1],
      'engine t5 44': [1, 1, 1],
      'roof beside encoder': [1, 1, 1],
    });
    const after = run({ 'hf t5 44': [2, 2, 2], 'engine t5 44': [2, 2, 2], 'roof beside encoder': [2, 2, 2] });
    const { rows, regressions } = compareBenchmarks(before, after, 0.05);
    expect(rows.map(({ verdict }) => verdict)).toEqual(['slower', 'slower', 'slower']);
    expect(regressions).toEqual(['inference: engine t5 44']);
  });

  it('lists what only one file has, and refuses files with nothing in common', () => {
    const { onlyBefore, onlyAfter } = compareBenchmarks(run({ a: [1], b: [1] }), run({ a: [1], c: [1] }), 0);
    expect([onlyBefore, onlyAfter]).toEqual([['inference: b'], ['inference: c']]);
    expect(() => compareBenchmarks(run({ a: [1] }), run({ b: [1] }), 0)).toThrow(/no measurement in common/);
    expect(() => compareBenchmarks(run({ a: [1] }), run({ a: [1] }), -1)).toThrow(/margin is -1/);
  });

  it.each([
    [[], /the file must be an object/],
    [{ parts: { x: { samples: { a: ['1'] } } } }, /parts\.x\.samples\.a\.0/],
    [{ parts: { x: { samples: { a: [-1] } } } }, /parts\.x\.samples\.a\.0/],
    [{ parts: { x: {} } }, /no timed measurement/],
  ])('refuses what is no result: %j', (json, message) => {
    expect(() => benchmarkSeries(json, 'b.json')).toThrow(message);
  });

  it('reads every results file of the repository, and finds no difference to itself', () => {
    const folder = join(import.meta.dirname, '../../bench/results');
    // Tables of scores and estimates lie beside the measurements.
    const files = readdirSync(folder).filter(
      (name) => /\.json$/.test(name) && !/reproduce|estimate/.test(name),
    );
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const series = benchmarkSeries(JSON.parse(readFileSync(join(folder, file), 'utf8')), file);
      expect(new Set(series.map(({ name }) => name)).size).toBe(series.length);
      const { rows } = compareBenchmarks(series, series, 0);
      expect(rows.every(({ verdict, ratio }) => verdict === 'no difference' && ratio === 1)).toBe(true);
    }
  });
});
