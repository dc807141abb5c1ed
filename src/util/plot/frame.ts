import { shortened, shownXml } from '../shown.js';
import type { Scale } from './scale.js';

/** The texts and the size of every chart. */
export interface ChartText {
  readonly title: string;
  /** A second, smaller line, such as the settings that all series share. */
  readonly subtitle?: string;
  readonly xLabel?: string;
  readonly yLabel: string;
  /** Pixels; 720 × 440 unless given. */
  readonly width?: number;
  readonly height?: number;
}

/** How a series looks, in line, marker, bar and legend. */
export interface Look {
  readonly name: string;
  readonly color: string;
  readonly marker: number;
  /** Whether its points have their marker. */
  readonly hasMarkers: boolean;
  readonly dashed: boolean;
}

/** The rectangle that data is drawn in, pixels. */
export interface Area {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

// Okabe and Ito's palette without its yellow, which is too light for lines on white.
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#333333'];
export const FONT = 'DejaVu Sans';
const INK = '#1a1a1a';
const GRID = '#e3e3e3';
const FONT_SIZE = 12;
const SMALLEST_FONT = 8;
const LEGEND_ROW = 20;
const SWATCH = 30;
// The longest text that is drawn: names come from files, and longer ones would not fit.
const LONGEST_TEXT = 500;

/** Colours and markers of the series with these names; series of the same `like` share both and differ by dashes. */
export function looks(
  series: readonly {
    readonly name: string;
    readonly dashed?: boolean;
    readonly like?: string;
    readonly markers?: boolean;
  }[],
): Look[] {
  const known = new Map<string, number>();
  return series.map(({ name, dashed = false, like = name, markers = true }) => {
    const index = known.get(like) ?? known.size;
    known.set(like, index);
    return {
      name,
      color: COLORS[index % COLORS.length] as string,
      marker: index,
      hasMarkers: markers,
      dashed,
    };
  });
}

/**
 * Estimated width of a text in pixels. It is that of DejaVu Sans, a wide font, because too much room does less harm
 * than too little.
 */
export function textWidth(text: string, size = FONT_SIZE): number {
  return [...text].length * size * 0.61;
}

/** The size at which a line of text is no wider than a chart: at most the usual one, and never too small to read. */
function fitting(text: string, usual: number, width: number): number {
  return Math.max(SMALLEST_FONT, Math.min(usual, round((usual * (width - 16)) / textWidth(text, usual))));
}

/** A text in lines of at most `width` pixels, broken behind spaces and underscores where that is possible. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/(?<=[ _])/)) {
    const longer = `${lines.at(-1) ?? ''}${word}`;
    if (lines.length > 0 && textWidth(longer.trim()) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => line.trim());
}

export function textAt(
  x: number,
  y: number,
  text: string,
  { size = FONT_SIZE, anchor = 'middle', color = INK, bold = false, rotate = false } = {},
): string {
  const turned = rotate ? ` transform="rotate(-90 ${round(x)} ${round(y)})"` : '';
  const weight = bold ? ' font-weight="bold"' : '';
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" text-anchor="${anchor}" fill="${color}"${weight}${turned}>${shownXml(shortened(text, LONGEST_TEXT))}</text>`;
}

/** Coordinates to a hundredth of a pixel. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** A marker of the shape that belongs to a series. */
export function markerAt(x: number, y: number, { color, marker, dashed }: Look): string {
  const fill = `fill="${dashed ? '#ffffff' : color}" stroke="${color}" stroke-width="1.4"`;
  const shape = (points: number[][]): string =>
    `<polygon points="${points.map(([dx, dy]) => `${round(x + (dx as number))},${round(y + (dy as number))}`).join(' ')}" ${fill}/>`;
  switch (marker % 4) {
    case 0:
      return `<circle cx="${round(x)}" cy="${round(y)}" r="3.6" ${fill}/>`;
    case 1:
      return shape([[-3.4, -3.4], [3.4, -3.4], [3.4, 3.4], [-3.4, 3.4]]); // prettier-ignore
    case 2:
      return shape([[0, -4.4], [4.2, 3.2], [-4.2, 3.2]]); // prettier-ignore
    default:
      return shape([[0, -4.8], [4.8, 0], [0, 4.8], [-4.8, 0]]); // prettier-ignore
  }
}

/** A vertical error bar with caps. */
export function errorBar(x: number, low: number, high: number, color: string): string {
  const cap = 4;
  const [at, from, to] = [round(x), round(low), round(high)];
  return `<path d="M${at} ${from}V${to}M${at - cap} ${from}h${2 * cap}M${at - cap} ${to}h${2 * cap}" stroke="${color}" stroke-width="1.2" fill="none"/>`;
}

/** Rows of legend entries that fit `width`. */
export function legendRows(entries: readonly Look[], width: number): Look[][] {
  const widthOf = (row: readonly Look[]): number =>
    row.reduce((sum, { name }) => sum + SWATCH + textWidth(name) + 26, 0);
  const rows: Look[][] = [];
  for (const entry of entries) {
    const last = rows.at(-1);
    if (last && widthOf([...last, entry]) <= width) last.push(entry);
    else rows.push([entry]);
  }
  // Rows get equally many entries: four entries in two rows are two and two.
  const even = Math.ceil(entries.length / rows.length);
  const balanced = rows.map((_, i) => entries.slice(i * even, (i + 1) * even));
  return balanced.every((row) => row.length > 0 && widthOf(row) <= width) ? balanced : rows;
}

/** The area for the data, after title, legend, labels and ticks have their room. */
export function layout(
  text: ChartText,
  legend: readonly Look[][],
  yTickLabels: readonly string[],
): Area & { readonly width: number; readonly height: number } {
  const { width = 720, height = 440 } = text;
  const ticks = Math.max(...yTickLabels.map((label) => textWidth(label)));
  return {
    width,
    height,
    left: 38 + ticks,
    right: width - 24,
    top: 36 + (text.subtitle ? 18 : 0) + legend.length * LEGEND_ROW + 8,
    bottom: height - (text.xLabel ? 56 : 36),
  };
}

/** Title, legend, both labels, the horizontal grid with its tick labels, and the axes. */
export function frame(
  text: ChartText,
  legend: readonly Look[][],
  area: Area,
  y: Scale,
  bars = false,
): string {
  const { width = 720, height = 440 } = text;
  const { left, right, top, bottom } = area;
  const middle = (left + right) / 2;
  const parts = [textAt(width / 2, 26, text.title, { size: fitting(text.title, 15, width), bold: true })];
  if (text.subtitle)
    parts.push(
      textAt(width / 2, 45, text.subtitle, {
        size: fitting(text.subtitle, FONT_SIZE, width),
        color: '#555555',
      }),
    );
  legend.forEach((row, i) =>
    parts.push(legendRow(row, middle, 36 + (text.subtitle ? 18 : 0) + (i + 0.5) * LEGEND_ROW, bars)),
  );
  for (const tick of y.ticks) {
    const at = round(y.pixel(tick));
    parts.push(`<path d="M${round(left)} ${at}H${round(right)}" stroke="${GRID}"/>`);
    parts.push(`<path d="M${round(left - 5)} ${at}h5" stroke="${INK}"/>`);
    parts.push(textAt(left - 9, at + 4, y.label(tick), { anchor: 'end' }));
  }
  for (const tick of y.minorTicks) {
    parts.push(`<path d="M${round(left - 3)} ${round(y.pixel(tick))}h3" stroke="${INK}"/>`);
  }
  parts.push(textAt(16, (top + bottom) / 2, text.yLabel, { rotate: true, size: 13 }));
  if (text.xLabel) parts.push(textAt(middle, height - 14, text.xLabel, { size: 13 }));
  parts.push(
    `<path d="M${round(left)} ${round(top)}V${round(bottom)}H${round(right)}" fill="none" stroke="${INK}"/>`,
  );
  return svg(width, height, parts);
}

/** One row of a legend around the middle. @param bars whether entries are bars, not lines */
export function legendRow(entries: readonly Look[], middle: number, y: number, bars: boolean): string {
  const widths = entries.map(({ name }) => SWATCH + textWidth(name) + 26);
  let x = middle - (widths.reduce((sum, width) => sum + width, 0) - 26) / 2;
  return entries
    .map((look, i) => {
      const at = x;
      x += widths[i] as number;
      const swatch = bars
        ? `<rect x="${round(at + 8)}" y="${round(y - 6)}" width="14" height="12" ${barPaint(look)}/>`
        : strokeLine(`M${round(at)} ${round(y)}h${SWATCH - 6}`, look) +
          (look.hasMarkers ? markerAt(at + (SWATCH - 6) / 2, y, look) : '');
      return swatch + textAt(at + SWATCH, y + 4, look.name, { anchor: 'start' });
    })
    .join('\n');
}

/** How the bars of a series are filled: as outlines where its lines would be dashed. */
export function barPaint({ color, dashed }: Look): string {
  return dashed
    ? `fill="${color}" fill-opacity="0.15" stroke="${color}" stroke-dasharray="3 2"`
    : `fill="${color}"`;
}

/** A path drawn in a series' colour and dashes. */
export function strokeLine(path: string, { color, dashed }: Look): string {
  return `<path d="${path}" fill="none" stroke="${color}" stroke-width="1.8" stroke-linejoin="round"${dashed ? ' stroke-dasharray="6 4"' : ''}/>`;
}

/** A picture of these parts. */
export function svg(width: number, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="'${FONT}', Verdana, sans-serif">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
  ].join('\n');
}

/** Adds what `parts` draw to a finished frame. */
export function drawOn(frameSvg: string, parts: readonly string[]): string {
  return `${frameSvg.slice(0, -'</svg>'.length)}${parts.join('\n')}\n</svg>\n`;
}
