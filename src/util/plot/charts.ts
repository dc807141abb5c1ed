import { HintError } from '../errors.js';
import {
  drawOn,
  errorBar,
  frame,
  layout,
  legendRows,
  looks,
  markerAt,
  round,
  strokeLine,
  textAt,
  textWidth,
  barPaint,
  type ChartText,
  type Look,
} from './frame.js';
import { groupArea } from './groups.js';
import { linearScale, logScale, type Scale } from './scale.js';

/** A point and, where it was measured, the range of its values. */
export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface LineSeries {
  readonly name: string;
  readonly points: readonly ChartPoint[];
  /** The x that have no value, such as "never": the axis has them, and the line is broken there. */
  readonly gaps?: readonly number[];
  readonly dashed?: boolean;
  /** The name of a series whose colour and marker this one shares. */
  readonly like?: string;
  /** Default true; curves of many points are lines alone. */
  readonly markers?: boolean;
}

/** A line chart. The y axis starts at 0 unless it is logarithmic, or the chart says otherwise. */
export interface LineChart extends ChartText {
  readonly series: readonly LineSeries[];
  /** Whether the y axis includes 0; default true. */
  readonly fromZero?: boolean;
  readonly logX?: boolean;
  readonly logY?: boolean;
}

/** The value of a bar and, where it was measured, its range. */
export interface BarValue {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** Groups of bars side by side, one bar per series; undefined leaves a gap, 0 has a bar as thin as a line. The axis starts at 0. */
export interface BarChart extends ChartText {
  readonly groups: readonly string[];
  readonly series: readonly BarSeries[];
}

/** A bar of each group. */
export interface BarSeries {
  readonly name: string;
  readonly values: readonly (BarValue | undefined)[];
  /** Drawn as an outline, such as what others have measured. */
  readonly dashed?: boolean;
  /** The name of a series whose colour this one shares. */
  readonly like?: string;
}

// What is 0 is seen, and not taken for what is missing.
const THINNEST_BAR = 2;

const range = (item: { low?: number; high?: number }, value: number): number[] => [
  value,
  ...(item.low === undefined ? [] : [item.low]),
  ...(item.high === undefined ? [] : [item.high]),
];

/**
 * Lines with markers and error bars as SVG.
 *
 * @throws HintError INVALID_ARGUMENT for no points, values that are not finite, or values ≤ 0 on a logarithmic axis
 */
export function lineChart(chart: LineChart): string {
  const { series, logX = false, logY = false, fromZero = true } = chart;
  const xs = series.flatMap(({ points, gaps = [] }) => [...points.map(({ x }) => x), ...gaps]);
  const ys = series.flatMap(({ points }) => points.flatMap((point) => range(point, point.y)));
  const scaleY = (pixels: [number, number]): Scale =>
    logY ? logScale(ys, pixels) : linearScale(ys, pixels, fromZero);
  const styles = looks(series);
  const legend = legendRows(styles, (chart.width ?? 720) - 60);
  const draft = scaleY([1, 0]);
  const area = layout(
    chart,
    legend,
    draft.ticks.map((tick) => draft.label(tick)),
  );
  const { left, right, top, bottom } = area;
  const x = logX ? logScale(xs, [left, right]) : linearScale(xs, [left, right], least(xs) <= most(xs) / 3);
  const y = scaleY([bottom, top]);
  return drawOn(frame(chart, legend, area, y), [
    ...horizontalTicks(x, bottom, right - left),
    ...series.map((one, i) => lineOf(one, styles[i] as Look, x, y)),
  ]);
}

function lineOf({ points, gaps = [] }: LineSeries, look: Look, x: Scale, y: Scale): string {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const at = sorted.map((point) => [round(x.pixel(point.x)), round(y.pixel(point.y))] as const);
  const isApart = (i: number): boolean =>
    gaps.some((gap) => gap > (sorted[i - 1] as ChartPoint).x && gap < (sorted[i] as ChartPoint).x);
  const path = at.map((pair, i) => `${i === 0 || isApart(i) ? 'M' : 'L'}${pair.join(' ')}`).join('');
  const bars = sorted
    .filter(({ low, high }) => low !== undefined || high !== undefined)
    .map((point) =>
      errorBar(x.pixel(point.x), y.pixel(point.low ?? point.y), y.pixel(point.high ?? point.y), look.color),
    );
  return [
    strokeLine(path, look),
    ...bars,
    ...(look.hasMarkers ? at.map(([px, py]) => markerAt(px, py, look)) : []),
  ].join('\n');
}

/** Ticks and labels under the axis; labels are left out evenly where they would touch. */
function horizontalTicks(scale: Scale, bottom: number, width: number): string[] {
  const widest = Math.max(...scale.ticks.map((tick) => textWidth(scale.label(tick)))) + 12;
  const every = Math.max(1, Math.ceil((scale.ticks.length * widest) / width));
  return [
    ...scale.minorTicks.map(
      (tick) => `<path d="M${round(scale.pixel(tick))} ${round(bottom)}v3" stroke="#1a1a1a"/>`,
    ),
    ...scale.ticks.flatMap((tick, i) => [
      `<path d="M${round(scale.pixel(tick))} ${round(bottom)}v5" stroke="#1a1a1a"/>`,
      ...(i % every === 0 ? [textAt(scale.pixel(tick), bottom + 20, scale.label(tick))] : []),
    ]),
  ];
}

/**
 * Charts of one size beside and below each other, as one SVG.
 *
 * @param columns charts in a row
 */
export function chartGrid(charts: readonly string[], columns: number, width = 720, height = 440): string {
  const across = Math.min(columns, charts.length);
  const [wide, high] = [across * width, Math.ceil(charts.length / columns) * height];
  const placed = charts.map((chart, i) =>
    chart.replace('<svg ', `<svg x="${(i % columns) * width}" y="${Math.floor(i / columns) * height}" `),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${high}" viewBox="0 0 ${wide} ${high}">`,
    `<rect width="${wide}" height="${high}" fill="#ffffff"/>`,
    ...placed,
    '</svg>\n',
  ].join('\n');
}

/**
 * Grouped bars with error bars as SVG; group names that are too wide are broken at spaces.
 *
 * @throws HintError INVALID_ARGUMENT for no bars, values that are not finite, or a series without a value per group
 */
export function barChart(chart: BarChart): string {
  const { groups, series } = chart;
  for (const { name, values } of series) {
    if (values.length !== groups.length) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `The series ${JSON.stringify(name)} has ${values.length} values for ${groups.length} groups; give one each, or undefined.`,
      );
    }
  }
  const ys = series.flatMap(({ values }) => values.flatMap((bar) => (bar ? range(bar, bar.value) : [])));
  const styles = looks(series);
  const { legend, area, place, names, y } = groupArea(chart, styles, ys, true);
  const width = Math.min(48, (place * 0.8) / series.length);
  const zero = y.pixel(0);
  const parts = names.flatMap((lines, group) => {
    const middle = area.left + (group + 0.5) * place;
    const bars = series.flatMap(({ values }, i) => {
      const bar = values[group];
      if (!bar) return [];
      const left = middle + (i - series.length / 2) * width;
      const height = Math.max(THINNEST_BAR, Math.abs(zero - y.pixel(bar.value)));
      const rect = `<rect x="${round(left + 1)}" y="${round(bar.value < 0 ? zero : zero - height)}" width="${round(width - 2)}" height="${round(height)}" ${barPaint(styles[i] as Look)}/>`;
      if (bar.low === undefined && bar.high === undefined) return [rect];
      return [
        rect,
        errorBar(left + width / 2, y.pixel(bar.low ?? bar.value), y.pixel(bar.high ?? bar.value), '#1a1a1a'),
      ];
    });
    return [...bars, ...lines.map((line, i) => textAt(middle, area.bottom + 18 + 15 * i, line))];
  });
  return drawOn(frame(chart, legend, area, y, true), parts);
}

function least(values: readonly number[]): number {
  return values.reduce((smallest, value) => Math.min(smallest, value), Infinity);
}

function most(values: readonly number[]): number {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}
