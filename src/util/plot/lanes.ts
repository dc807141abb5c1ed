import { legendRow, looks, round, svg, textAt, textWidth, type ChartText } from './frame.js';
import { linearScale } from './scale.js';

/** What happens side by side, as blocks on an axis of time. */
export interface LaneChart extends Omit<ChartText, 'yLabel' | 'height'> {
  readonly lanes: readonly {
    readonly name: string;
    readonly blocks: readonly {
      readonly from: number;
      readonly to: number;
      /** One of the chart's kinds. */
      readonly kind: string;
    }[];
  }[];
  /** In the order of the legend. */
  readonly kinds: readonly string[];
}

const LANE = 34;
const TOP = 88;
const BOTTOM = 56;

/** @returns the picture as SVG @throws HintError INVALID_ARGUMENT for times that are not finite */
export function lanesSvg({ lanes, kinds, title, subtitle, xLabel, width = 720 }: LaneChart): string {
  const left = 24 + Math.max(...lanes.map(({ name }) => textWidth(name)));
  const right = width - 24;
  const middle = (left + right) / 2;
  const bottom = TOP + LANE * lanes.length;
  const ends = lanes.flatMap(({ blocks }) => blocks.flatMap(({ from, to }) => [from, to]));
  const x = linearScale([0, ...ends], [left, right], true);
  const palette = new Map(looks(kinds.map((name) => ({ name }))).map((look) => [look.name, look]));
  const parts = [textAt(middle, 26, title, { size: 15, bold: true })];
  if (subtitle) parts.push(textAt(middle, 45, subtitle, { color: '#555555' }));
  parts.push(legendRow([...palette.values()], middle, 66, true));
  for (const tick of x.ticks) {
    const at = round(x.pixel(tick));
    parts.push(`<path d="M${at} ${TOP}V${bottom}" stroke="#e3e3e3"/>`);
    parts.push(textAt(at, bottom + 18, x.label(tick)));
  }
  for (const [row, { name, blocks }] of lanes.entries()) {
    const y = TOP + row * LANE + 6;
    parts.push(textAt(left - 9, y + LANE / 2 - 2, name, { anchor: 'end' }));
    for (const { from, to, kind } of blocks) {
      const [begin, end] = [x.pixel(from), x.pixel(to)];
      parts.push(
        `<rect x="${round(begin)}" y="${y}" width="${round(Math.max(0.3, end - begin))}" height="${LANE - 12}" fill="${palette.get(kind)?.color}"/>`,
      );
    }
  }
  if (xLabel) parts.push(textAt(middle, bottom + BOTTOM - 14, xLabel, { size: 13 }));
  return `${svg(width, bottom + BOTTOM, parts)}\n`;
}
