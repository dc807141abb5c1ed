import { rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { HintError } from '../errors.js';
import { writeFileAtomic } from '../atomic-file.js';
import { packageRoot } from '../package-root.js';
import { ioError } from '../write-error.js';
import { FONT } from './frame.js';

/**
 * A chart's SVG as PNG, drawn off the event loop with a font that comes with the package: the picture is the same on a
 * machine without any fonts.
 *
 * @param scale pixels of the picture per pixel of the SVG
 * @throws HintError INVALID_ARGUMENT when it is no SVG
 */
export async function svgToPng(svg: string, scale = 2): Promise<Buffer> {
  const { renderAsync } = await import('@resvg/resvg-js');
  const fonts = join(packageRoot(), 'dist', 'bundle', 'fonts');
  try {
    const image = await renderAsync(svg, {
      fitTo: { mode: 'zoom', value: scale },
      font: {
        loadSystemFonts: false,
        fontFiles: ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((name) => join(fonts, name)),
        defaultFontFamily: FONT,
      },
    });
    return image.asPng();
  } catch (cause) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `The picture cannot be drawn (${cause instanceof Error ? cause.message : String(cause)}); give a whole SVG, or write the chart as .svg.`,
      { cause },
    );
  }
}

/**
 * Writes a chart as the kind of file its name ends in, .svg or .png, all or nothing.
 *
 * @throws HintError INVALID_ARGUMENT for another ending, IO
 */
export async function writeChart(path: string, svg: string): Promise<void> {
  checkChartPath(path);
  await writeFileAtomic(path, extname(path).toLowerCase() === '.png' ? await svgToPng(svg) : svg);
}

/**
 * Writes a chart to each of these paths. Without a chart, those of an earlier call are removed, which would be taken for ones of this.
 *
 * @returns what was written
 * @throws HintError as {@link writeChart}
 */
export async function replaceCharts(
  paths: readonly string[],
  svg: string | undefined,
): Promise<readonly string[]> {
  for (const path of paths)
    if (svg !== undefined) await writeChart(path, svg);
    else
      await rm(path, { force: true }).catch((cause: unknown) => {
        throw ioError('delete', path, cause);
      });
  return svg === undefined ? [] : paths;
}

/**
 * Refuses a file name before the work whose chart it should hold.
 *
 * @throws HintError INVALID_ARGUMENT unless it ends in .svg or .png
 */
export function checkChartPath(path: string): void {
  if (['.svg', '.png'].includes(extname(path).toLowerCase())) return;
  throw new HintError('INVALID_ARGUMENT', `The chart ${JSON.stringify(path)} must end in .svg or .png.`);
}
