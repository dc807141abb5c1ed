import { HintError } from '../errors.js';
import { drawOn, frame, looks, markerAt, round, textAt, type ChartText, type Look } from './frame.js';
import { groupArea } from './groups.js';

/** Groups along the x axis, each with the dots of every series. The y axis does not start at 0. */
export interface DotChart extends ChartText {
  readonly groups: readonly string[];
  readonly series: readonly DotSeries[];
}

/** The values of each group. */
export interface DotSeries {
  readonly name: string;
  readonly values: readonly (readonly number[])[];
  /** A value of each group that is drawn as a dashed line, such as what others have measured. */
  readonly marks?: readonly (number | undefined)[];
}

// Multiples of it, without their whole part, lie evenly however many there are: neighbours of one height stay apart.
const GOLDEN = 0.618033988749895;

/**
 * Dots with their mean as a line, as SVG; equal values lie side by side.
 *
 * @throws HintError INVALID_ARGUMENT for no dots, values that are not finite, or a series without a list per group
 */
export function dotChart(chart: DotChart): string {
  const { groups, series } = chart;
  const odd = series.find(({ values }) => values.length !== groups.length);
  if (odd)
    throw new HintError(
      'INVALID_ARGUMENT',
      `The series ${JSON.stringify(odd.name)} has ${odd.values.length} lists for ${groups.length} groups; give one each.`,
    );
  const ys = series.flatMap(({ values, marks = [] }) => [
    ...values.flat(),
    ...marks.filter((mark) => mark !== undefined),
  ]);
  const styles = looks(series);
  const { legend, area, place, names, y } = groupArea(chart, styles, ys, false);
  const width = (place * 0.8) / series.length;
  const parts = names.flatMap((lines, at) => {
    const left = area.left + (at + 0.1) * place;
    return [
      ...series.flatMap(({ values, marks }, i) =>
        column(
          values[at] as readonly number[],
          marks?.[at],
          left + i * width,
          width,
          styles[i] as Look,
          y.pixel,
        ),
      ),
      ...lines.map((line, i) => textAt(area.left + (at + 0.5) * place, area.bottom + 18 + 15 * i, line)),
    ];
  });
  return drawOn(frame(chart, legend, area, y), parts);
}

function column(
  values: readonly number[],
  mark: number | undefined,
  left: number,
  width: number,
  look: Look,
  pixel: (value: number) => number,
): string[] {
  const across = (value: number, rest: string): string =>
    `<path d="M${round(left + 2)} ${round(pixel(value))}h${round(width - 4)}" stroke="${look.color}" ${rest}/>`;
  const sorted = [...values].sort((a, b) => a - b);
  const dots = sorted.map((value, i) => {
    const share = ((i + 1) * GOLDEN) % 1;
    return markerAt(left + width * (0.12 + 0.76 * share), pixel(value), look);
  });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [
    ...(values.length > 0 ? [across(mean, 'stroke-width="2.4"')] : []),
    ...(mark === undefined ? [] : [across(mark, 'stroke-width="1.6" stroke-dasharray="4 3"')]),
    `<g fill-opacity="0.6">${dots.join('')}</g>`,
  ];
}
