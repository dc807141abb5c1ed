import { z } from 'zod';
import { HintError } from '../util/errors.js';
import { check, listOf } from '../util/check.js';
import { checkLevels } from '../util/read-file.js';
import { spread, type Spread } from '../util/statistics.js';
import { recordOf } from '../util/record-schema.js';

/** The samples of one measurement in seconds, or its single figure when a bench kept no samples. */
export interface BenchmarkSeries {
  readonly name: string;
  /** All times: less is better. */
  readonly samples: readonly number[];
  /** Half the width of its range as a share of the figure, where a bench kept that instead of samples. */
  readonly relativeError?: number;
  /** Whether this is a measurement of something else than the engine: a peer, or the machine's limits. */
  readonly control: boolean;
}

export type Verdict = 'faster' | 'slower' | 'no difference';

/** One measurement in both files. */
export interface ComparedRow {
  readonly name: string;
  readonly control: boolean;
  readonly before: Spread;
  readonly after: Spread;
  /** Median after ÷ median before: above 1 is slower. */
  readonly ratio: number;
  readonly verdict: Verdict;
}

export interface BenchmarkComparison {
  readonly margin: number;
  readonly rows: readonly ComparedRow[];
  /** Measurements that only one of the files has. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  /** Names of slower rows that are not controls. */
  readonly regressions: readonly string[];
}

const time = z.number().positive();
const partSchema = z.looseObject({
  samples: recordOf(listOf(time)).optional(),
  rows: listOf(
    z.looseObject({
      name: z.string().optional(),
      op: z.string().optional(),
      case: z.string().optional(),
      pass: z.string().optional(),
      seconds: time.optional(),
      microseconds: time.optional(),
      relativeError: z.number().nonnegative().optional(),
      samples: listOf(time).optional(),
    }),
  ).optional(),
  steps: listOf(
    z.looseObject({ usefulTokens: time, engineSeconds: time, hfSeconds: time.optional() }),
  ).optional(),
});
const fileSchema = z.looseObject({ parts: recordOf(partSchema) });

// Without samples, noise cannot be told from change, so a larger difference counts as noise.
const SINGLE_FIGURE_MARGIN = 3;

/**
 * Reads every timed series of a results file of `npm run bench` or `hint bench`.
 *
 * @param source named in errors
 * @throws HintError INVALID_FILE when it is no results file, or has nothing timed
 */
export function benchmarkSeries(json: unknown, source: string): BenchmarkSeries[] {
  checkLevels(json, source, 'INVALID_DATA');
  const { data, faults } = check(fileSchema, json);
  if (faults) {
    const { path, message } = faults[0];
    throw new HintError(
      'INVALID_FILE',
      `${source} is no benchmark result: ${path.join('.') || 'the file'} ${message}; give a file that "npm run bench" or "hint bench" wrote.`,
    );
  }
  const series = Object.entries(data.parts).flatMap(([part, value]) => seriesOf(part, value));
  if (series.length > 0) return series;
  throw new HintError('INVALID_FILE', `${source} has no timed measurement in its parts.`);
}

function seriesOf(
  part: string,
  { samples = {}, rows = [], steps = [] }: z.infer<typeof partSchema>,
): BenchmarkSeries[] {
  const found: BenchmarkSeries[] = [];
  const add = (name: string, values: readonly number[], relativeError?: number): void => {
    if (values.length === 0) return;
    found.push({
      name: `${part}: ${name}`,
      samples: values,
      control: /^(hf|ddp|ctranslate2|onnx|roof)\b/i.test(name),
      ...(relativeError === undefined ? {} : { relativeError }),
    });
  };
  for (const [name, values] of Object.entries(samples)) add(name, values);
  for (const row of rows) {
    const name = row.name ?? [row.op, row.case, row.pass].filter(Boolean).join(', ');
    const seconds = row.seconds ?? (row.microseconds === undefined ? undefined : row.microseconds / 1e6);
    add(name, row.samples ?? (seconds === undefined ? [] : [seconds]), row.relativeError);
  }
  add('engine, seconds per useful token', steps.map((step) => step.engineSeconds / step.usefulTokens)); // prettier-ignore
  add('hf, seconds per useful token', steps.flatMap(({ hfSeconds, usefulTokens }) => hfSeconds === undefined ? [] : [hfSeconds / usefulTokens])); // prettier-ignore
  return found;
}

/**
 * Compares two results files row by row. A row is faster or slower when its medians are further apart than `margin` and
 * the ranges from the tenth to the ninetieth percentile do not touch; where a file has a single figure instead of
 * samples, the margin is three times as wide.
 *
 * @param margin a share: 0.05 is 5 %
 * @throws HintError INVALID_ARGUMENT for a margin below 0; INVALID_FILE when the files have no measurement in common
 */
export function compareBenchmarks(
  before: readonly BenchmarkSeries[],
  after: readonly BenchmarkSeries[],
  margin: number,
): BenchmarkComparison {
  if (!(margin >= 0 && Number.isFinite(margin))) {
    throw new HintError('INVALID_ARGUMENT', `The noise margin is ${margin}; give a share of at least 0.`);
  }
  const later = new Map(after.map((series) => [series.name, series]));
  const rows = before.flatMap((earlier) => {
    const match = later.get(earlier.name);
    return match ? [compareSeries(earlier, match, margin)] : [];
  });
  if (rows.length === 0) {
    throw new HintError(
      'INVALID_FILE',
      'The two files have no measurement in common; compare runs of the same bench.',
    );
  }
  const known = new Set(before.map(({ name }) => name));
  return {
    margin,
    rows,
    onlyBefore: before.map(({ name }) => name).filter((name) => !later.has(name)),
    onlyAfter: after.map(({ name }) => name).filter((name) => !known.has(name)),
    regressions: rows.filter((row) => row.verdict === 'slower' && !row.control).map(({ name }) => name),
  };
}

function compareSeries(earlier: BenchmarkSeries, later: BenchmarkSeries, margin: number): ComparedRow {
  const before = spreadOf(earlier);
  const after = spreadOf(later);
  const ratio = after.median / before.median;
  const hasSpread = [earlier, later].every(
    ({ samples, relativeError }) => samples.length > 1 || relativeError !== undefined,
  );
  const needed = 1 + margin * (hasSpread ? 1 : SINGLE_FIGURE_MARGIN);
  const verdict =
    ratio > needed && after.p10 > before.p90
      ? 'slower'
      : ratio < 1 / needed && after.p90 < before.p10
        ? 'faster'
        : 'no difference';
  return { name: earlier.name, control: earlier.control, before, after, ratio, verdict };
}

function spreadOf({ samples, relativeError = 0 }: BenchmarkSeries): Spread {
  const plain = spread(samples);
  const around = samples.length === 1 ? relativeError : 0;
  return { ...plain, p10: plain.p10 * (1 - around), p90: plain.p90 * (1 + around) };
}
