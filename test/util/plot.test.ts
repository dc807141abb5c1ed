import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { barChart, lineChart } from '../../src/util/plot/charts.js';
import { svgToPng, writeChart } from '../../src/util/plot/png.js';
import { linearScale, logScale } from '../../src/util/plot/scale.js';

const chart = {
  title: 'Time <for> 100 & more',
  xLabel: 'shots',
  yLabel: 'seconds',
  series: [
    { name: 'plain', points: [0, 1, 2].map((x) => ({ x, y: 10 + 5 * x, low: 9, high: 12 + 5 * x })) },
    { name: 'HINT', points: [0, 1, 2].map((x) => ({ x, y: 4 })), dashed: true },
  ],
};

describe('axes', () => {
  it.each([
    [[0, 77], true, [0, 20, 40, 60, 80]],
    [[3, 4], true, [0, 1, 2, 3, 4]],
    [[-3, 4], true, [-4, -2, 0, 2, 4]],
    [[0.31, 0.42], false, [0.3, 0.325, 0.35, 0.375, 0.4, 0.425]],
    [[7, 7], false, [0, 2, 4, 6, 8]],
    [[0, 0], true, [0, 1]],
    [[1, 12], true, [0, 2, 4, 6, 8, 10, 12]],
    [[1, 12.5], true, [0, 2.5, 5, 7.5, 10, 12.5]],
  ])('have round ticks around %j', (values, zero, ticks) => {
    const scale = linearScale(values, [0, 100], zero);
    expect(scale.ticks.map((tick) => Number(tick.toFixed(9)))).toEqual(ticks);
    expect(scale.pixel(scale.ticks[0] as number)).toBeCloseTo(0);
    expect(scale.pixel(scale.ticks.at(-1) as number)).toBeCloseTo(100);
  });

  it('are logarithmic when asked, with every value inside and readable labels', () => {
    const scale = logScale([0.03, 4], [0, 300]);
    expect(scale.ticks.map((tick) => scale.label(tick))).toEqual(['0.02', '0.05', '0.1', '0.2', '0.5', '1', '2', '5']); // prettier-ignore
    for (const value of [0.03, 4]) {
      expect(scale.pixel(value)).toBeGreaterThan(0);
      expect(scale.pixel(value)).toBeLessThan(300);
    }
    expect(scale.pixel(0.2) - scale.pixel(0.02)).toBeCloseTo(scale.pixel(2) - scale.pixel(0.2));
    expect(logScale([5], [0, 1]).ticks.length).toBeGreaterThan(1);
  });
});

describe('charts', () => {
  it('break a line where there is no value, which the axis has all the same', () => {
    const points = [0, 1, 3, 4].map((x) => ({ x, y: 1 + x }));
    const linesOf = (gaps: number[]) => lineChart({ ...chart, series: [{ name: 'HINT', points, gaps }] });
    // The swatch of the legend has an h.
    const path = /<path d="(M[^"h]*)" [^>]*stroke="#0072b2"/i;
    const commands = (gaps: number[]) => path.exec(linesOf(gaps))?.[1]?.replace(/[^ML]/g, '');
    expect(commands([])).toBe('MLLL');
    expect(commands([2, 5])).toBe('MLML');
    expect(linesOf([2, 5])).toContain('>5</text>');
  });

  it('draw every point, error bar and legend entry, and escape texts', () => {
    const svg = lineChart(chart);
    expect(svg).toContain('Time &lt;for&gt; 100 &amp; more');
    // Three points a series and one marker each in the legend.
    expect(svg.match(/<circle/g)).toHaveLength(4);
    expect(svg.match(/<polygon/g)).toHaveLength(4);
    expect(svg.match(/stroke-dasharray/g)).toHaveLength(2);
    expect(svg.match(/stroke-width="1.2"/g)).toHaveLength(3);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('show a marker in the legend only where the line has some', () => {
    const [{ points }] = chart.series as [(typeof chart.series)[0]];
    const series = [
      { name: 'a curve', points, markers: false },
      { name: 'measured', points },
    ];
    const svg = lineChart({ ...chart, series });
    expect(svg).not.toContain('<circle');
    expect(svg.match(/<polygon/g)).toHaveLength(4);
  });

  it('draw what is 0 as a thin bar above the axis, and nothing for what is missing', () => {
    const values = [{ value: 10 }, { value: 0 }, undefined];
    const svg = barChart({ ...chart, groups: ['a', 'b', 'c'], series: [{ name: 'HINT', values }] });
    const bars = [...svg.matchAll(/<rect x="[^"]+" y="([^"]+)" width="46" height="([^"]+)"/g)].map(([, y, height]) => [Number(y), Number(height)]); // prettier-ignore
    const [[top, height], [topOfZero, heightOfZero]] = bars as [[number, number], [number, number]];
    expect(bars).toHaveLength(2);
    expect(heightOfZero).toBe(2);
    expect(topOfZero + heightOfZero).toBeCloseTo(top + height);
  });

  it('draw bars of the right height, and leave gaps where nothing was measured', () => {
    const svg = barChart({
      title: 'RougeL',
      yLabel: 'RougeL',
      groups: ['HINT', 'a name that is too wide for the place it has below its bars'],
      series: [{ name: 'Def', values: [{ value: 10 }, { value: 20, low: 18, high: 22 }] }, { name: 'Pos', values: [{ value: 5 }, undefined] }], // prettier-ignore
    });
    const heights = [...svg.matchAll(/<rect x="[^"]+" y="[^"]+" width="46" height="([^"]+)"/g)].map(([, height]) => Number(height)); // prettier-ignore
    expect(heights).toHaveLength(3);
    expect((heights[1] as number) / (heights[0] as number)).toBeCloseTo(0.5, 2);
    expect((heights[2] as number) / (heights[0] as number)).toBeCloseTo(2, 2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('refuse what cannot be drawn, in a sentence', () => {
    const one = (y: number) => [{ name: 'a', points: [{ x: 1, y }] }];
    expect(() => lineChart({ ...chart, series: [] })).toThrow(/needs at least one point/);
    expect(() => lineChart({ ...chart, series: one(NaN) })).toThrow(/the value NaN/);
    expect(() => lineChart({ ...chart, series: one(0), logY: true })).toThrow(
      /logarithmic axis cannot show 0/,
    );
    expect(() => barChart({ ...chart, groups: ['a', 'b'], series: [{ name: 'x', values: [{ value: 1 }] }] })).toThrow(/1 values for 2 groups/); // prettier-ignore
  });
});

describe('PNG files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hint-plot-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('show the texts without any font of the system', async () => {
    const png = await svgToPng(lineChart(chart), 1);
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([720, 440]);
    const words = '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20"><text x="2" y="15" font-family="DejaVu Sans">shots</text></svg>'; // prettier-ignore
    const blank = words.replace('shots', '');
    expect(inkOf(await svgToPng(words, 1))).toBeGreaterThan(inkOf(await svgToPng(blank, 1)));
    await expect(svgToPng('no svg')).rejects.toThrow(/cannot be drawn/);
  });

  it('are written as their name ends, and other endings are refused', async () => {
    const svg = lineChart(chart);
    await writeChart(join(folder, 'a.svg'), svg);
    await writeChart(join(folder, 'a.PNG'), svg);
    expect(await readFile(join(folder, 'a.svg'), 'utf8')).toBe(svg);
    expect((await readFile(join(folder, 'a.PNG'))).subarray(1, 4).toString()).toBe('PNG');
    await expect(writeChart(join(folder, 'a.jpg'), svg)).rejects.toThrow(/must end in \.svg or \.png/);
    expect((await readdir(folder)).sort()).toEqual(['a.PNG', 'a.svg']);
  });
});

/** Bytes of the picture's uncompressed rows that are not 0: the more is drawn on transparent ground, the more. */
function inkOf(png: Buffer): number {
  const data: Buffer[] = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return inflateSync(Buffer.concat(data)).reduce((count, byte) => count + (byte === 0 ? 0 : 1), 0);
}
