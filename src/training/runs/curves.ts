import { HintError } from '../../util/errors.js';
import { chartGrid, lineChart, type ChartPoint, type LineSeries } from '../../util/plot/charts.js';
import type { ValidationMetric } from '../config/validation-config.js';
import type { MetricsLine } from '../run/run-directory.js';
import { namesOfRuns, type RunRecord } from './read-run.js';

/** The curves of a run. */
export const CURVES = ['loss', 'validation', 'learning-rate', 'gradient-norm', 'speed', 'memory'] as const;
export type Curve = (typeof CURVES)[number];

/** How curves are drawn. */
export interface CurveOptions {
  /** Which; default all for which there are numbers. */
  readonly curves?: readonly Curve[] | undefined;
  /** Logged steps whose mean is a point; 1: every step. Default: as many as make 300 points of the longest run. */
  readonly smooth?: number | undefined;
}

const POINTS = 300;

/**
 * Curves of one or several runs, a chart each, as one SVG.
 *
 * @throws HintError INVALID_DATA when the runs have no number that is asked for
 */
export function drawCurves(runs: readonly RunRecord[], { curves, smooth }: CurveOptions = {}): string {
  const names = namesOfRuns(runs.map(({ path }) => path));
  const longest = runs.reduce((most, { steps }) => Math.max(most, steps.length), 0);
  const window = smooth ?? Math.max(1, Math.ceil(longest / POINTS));
  const metrics = new Set(runs.flatMap(({ validations }) => validations.map((one) => one.validation.metric)));
  // Percentages and nats have no axis in common.
  const drawn = (curves ?? CURVES).flatMap((curve): { curve: Curve; metric: ValidationMetric | undefined }[] =>
    curve === 'validation' ? [...metrics].map((metric) => ({ curve, metric })) : [{ curve, metric: undefined }],
  );
  const charts = drawn.flatMap(({ curve, metric }) => {
    const series = runs
      .flatMap((run, i) => seriesOf(curve, run, names[i] as string, { window, metric }))
      .filter(({ points }) => points.length > 0);
    if (series.length === 0) return [];
    const title = metric === undefined ? TITLES[curve] : `${TITLES[curve]}: ${metric}`;
    const subtitle = curve === 'validation' || window === 1 ? {} : { subtitle: `means of ${window} logged steps` };
    return [lineChart({ ...CHARTS[curve], title, ...subtitle, xLabel: 'Step', series })];
  });
  if (charts.length > 0) return chartGrid(charts, Math.min(2, charts.length));
  throw new HintError(
    'INVALID_DATA',
    `${names.join(', ')} logged nothing to draw${curves ? ` of ${curves.join(', ')}` : ''}; train some steps, or choose other curves.`,
  );
}

const CHARTS: Readonly<Record<Curve, { yLabel: string; fromZero: boolean }>> = {
  loss: { yLabel: 'Loss per target token', fromZero: false },
  validation: { yLabel: 'Score', fromZero: false },
  'learning-rate': { yLabel: 'Learning rate', fromZero: true },
  'gradient-norm': { yLabel: 'Norm of the gradient', fromZero: true },
  speed: { yLabel: 'Thousand tokens per second', fromZero: true },
  memory: { yLabel: 'GiB at most', fromZero: true },
};

const TITLES: Readonly<Record<Curve, string>> = {
  loss: 'Loss',
  validation: 'Validation',
  'learning-rate': 'Learning rate',
  'gradient-norm': 'Gradient norm',
  speed: 'Speed',
  memory: 'Memory',
};

const NUMBERS: Readonly<Record<Exclude<Curve, 'validation'>, (line: MetricsLine) => number>> = {
  loss: ({ loss }) => loss,
  'learning-rate': ({ learningRate }) => learningRate,
  'gradient-norm': ({ gradientNorm }) => gradientNorm,
  speed: ({ tokensPerSecond }) => tokensPerSecond / 1000,
  memory: ({ peakBytes }) => peakBytes / 2 ** 30,
};

function seriesOf(
  curve: Curve,
  run: RunRecord,
  name: string,
  { window, metric }: { window: number; metric: ValidationMetric | undefined },
): LineSeries[] {
  if (curve === 'validation') {
    const own = run.validations.filter(({ validation }) => validation.metric === metric);
    return [{ name, points: validated(own, ({ score }) => score) }];
  }
  const drawn: LineSeries = { name, points: smoothed(run.steps, NUMBERS[curve], window), markers: false };
  if (curve !== 'loss') return [drawn];
  const points = validated(run.validations, ({ loss }) => loss);
  return [drawn, { name: `${name}, validation`, like: name, dashed: true, points }];
}

function validated(
  validations: RunRecord['validations'],
  of: (validation: RunRecord['validations'][number]['validation']) => number,
): ChartPoint[] {
  return validations.map(({ step, validation }) => ({ x: step, y: of(validation) })).filter(isFinitePoint);
}

/** Means of so many neighbours each, at the last one's step. */
function smoothed(lines: readonly MetricsLine[], of: (line: MetricsLine) => number, window: number): ChartPoint[] {
  const points = lines.map((line) => ({ x: line.step, y: of(line) })).filter(isFinitePoint);
  const means: ChartPoint[] = [];
  for (let begin = 0; begin < points.length; begin += window) {
    const part = points.slice(begin, begin + window);
    const { x } = part.at(-1) as ChartPoint;
    means.push({ x, y: part.reduce((sum, { y }) => sum + y, 0) / part.length });
  }
  return means;
}

/** Lines come from a file. */
function isFinitePoint({ x, y }: ChartPoint): boolean {
  return Number.isFinite(x) && Number.isFinite(y);
}
