import { layout, legendRows, wrap, type ChartText, type Look } from './frame.js';
import { linearScale, type Scale } from './scale.js';

/** The area of a chart whose x axis has groups, with their names below it. */
export interface GroupArea {
  readonly legend: readonly Look[][];
  readonly area: ReturnType<typeof layout>;
  /** Width of a group. */
  readonly place: number;
  /** The names in lines, each as wide as its group. */
  readonly names: readonly string[][];
  readonly y: Scale;
}

/**
 * @param ys all values that are drawn
 * @param fromZero whether the y axis has 0
 */
export function groupArea(
  chart: ChartText & { readonly groups: readonly string[] },
  styles: readonly Look[],
  ys: readonly number[],
  fromZero: boolean,
): GroupArea {
  const legend = legendRows(styles, (chart.width ?? 720) - 60);
  const draft = linearScale(ys, [1, 0], fromZero);
  const whole = layout(
    chart,
    legend,
    draft.ticks.map((tick) => draft.label(tick)),
  );
  const place = (whole.right - whole.left) / chart.groups.length;
  const names = chart.groups.map((name) => wrap(name, place - 8));
  const bottom = whole.bottom - 15 * (Math.max(1, ...names.map(({ length }) => length)) - 1);
  const y = linearScale(ys, [bottom, whole.top], fromZero);
  return { legend, area: { ...whole, bottom }, place, names, y };
}
