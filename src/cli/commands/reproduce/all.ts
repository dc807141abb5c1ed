import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { costCurve } from '../../../accounting/cost-curve.js';
import {
  GRIDS,
  OVERVIEW,
  planCells,
  provenance,
  writeOverview,
  type Grid,
  type OverviewPart,
  type ReproduceSettings,
} from '../../../reproduce/index.js';
import { HintError } from '../../../util/errors.js';
import { checkReplaceable, picture } from '../../../util/existing.js';
import { writeChart } from '../../../util/plot/png.js';
import { EXIT, note, print, printJson, table } from '../../support/context.js';
import { drawCostCurve } from '../../support/cost-curve-chart.js';
import { checkLatencyFiles } from '../../support/latency-files.js';
import { measuredFigure4 } from './figure4.js';
import type { ReproduceOptions } from './settings.js';
import { checkTable, makeWorld, runTable } from './table.js';

const COST_CURVE = 'figure3-right';
const CHART_ENDINGS = ['svg', 'png'] as const;

/**
 * `hint reproduce all`: one table after the other, then the figures that need no training, and one report of everything. What is done is
 * not repeated; a table that fails leaves the others their turn.
 *
 * @returns the exit code
 * @throws HintError INVALID_ARGUMENT, before anything is run, for options that belong to one table, or tables that cannot be run with them
 */
export async function reproduceAll(options: ReproduceOptions, signal: AbortSignal): Promise<number> {
  refusePart(options);
  await checkFiles(options.output);
  const tables = GRIDS.map((grid) => ({ grid, own: optionsFor(grid, options) }));
  const left = tables.filter(({ own }) => own === undefined).map(({ grid }) => grid);
  const planned: { grid: Grid; own: ReproduceOptions; settings: ReproduceSettings }[] = [];
  for (const { grid, own } of tables)
    if (own) planned.push({ grid, own, settings: await checkTable(grid, own, {}) });
  for (const { grid, own, settings } of planned) {
    await makeWorld(grid, own, {});
    await planCells(grid, settings);
  }
  if (planned.length === 0)
    throw new HintError(
      'INVALID_ARGUMENT',
      'There are no data; give --data with Super-NaturalInstructions, --p3 with P3, or both, or --demo.',
    );
  const parts: OverviewPart[] = [];
  let [isWhole, isInterrupted] = [true, false];
  for (const { grid, settings } of planned) {
    if (isInterrupted) {
      parts.push({ name: grid.name, title: grid.title, state: 'not begun' });
      continue;
    }
    note(`${grid.title}`);
    const { result, report, files } = await runTable(grid, settings, options.json, { signal });
    const done = result.cells.filter(({ status }) => status === 'done').length;
    isWhole &&= report.complete;
    isInterrupted = result.interrupted;
    parts.push({
      name: grid.name,
      title: report.title,
      state: `${done} of ${result.cells.length} cells`,
      markdown: await readFile(files.find((file) => file.endsWith('.md')) as string, 'utf8'),
      ...chartOf(files),
      report,
    });
  }
  for (const { name, title } of left) parts.push({ name, title, state: 'left out for want of its data' });
  parts.push(await costPart(options.output));
  parts.push(isInterrupted ? { ...FIGURE_4, state: 'not begun' } : await figure4Part(options, signal));
  const file = await writeOverview(options.output, parts, await provenance());
  if (options.json) printJson({ parts: parts.map(({ name, state, report }) => ({ name, state, report })), file });
  else print(table(['part', 'state'], parts.map(({ name, state }) => [name, state]))); // prettier-ignore
  note(`Written: ${file}`);
  if (isInterrupted || signal.aborted) {
    note('Stopped; the same command goes on from here.');
    return EXIT.interrupted;
  }
  return isWhole ? EXIT.ok : EXIT.failed;
}

async function checkFiles(output: string): Promise<void> {
  await checkReplaceable(join(output, 'all.md'), OVERVIEW);
  for (const ending of CHART_ENDINGS)
    await checkReplaceable(join(output, `${COST_CURVE}.${ending}`), picture(`.${ending}`));
  await checkLatencyFiles(FIGURE_4.name, output);
}

function refusePart({ row, column }: ReproduceOptions): void {
  if (row === undefined && column === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${row === undefined ? '--column' : '--row'} is about one table, and all has several; name the table, or leave it out.`,
  );
}

/** The options of one table; undefined where its data are not given. */
function optionsFor(grid: Grid, { p3, data, ...rest }: ReproduceOptions): ReproduceOptions | undefined {
  const own = grid.dataset === 'p3' ? p3 : data;
  if (own === undefined && !rest.demo) return undefined;
  return own === undefined ? rest : { ...rest, data: own };
}

function chartOf(files: readonly string[]): { chart?: string } {
  const file = files.find((one) => one.endsWith('.png'));
  return file === undefined ? {} : { chart: basename(file) };
}

/** Figure 3, right: counted, for a published size. */
async function costPart(output: string): Promise<OverviewPart> {
  const [name, size] = [COST_CURVE, 'xl'];
  const svg = drawCostCurve(costCurve('instruction', size));
  for (const ending of CHART_ENDINGS) await writeChart(join(output, `${name}.${ending}`), svg);
  return {
    name,
    title: `Figure 3, right: cost of a longer instruction, T5 ${size}`,
    state: 'counted',
    chart: `${name}.png`,
  };
}

const FIGURE_4 = { name: 'figure4', title: 'Figure 4: seconds per 100 examples by shots' };

async function figure4Part(options: ReproduceOptions, signal: AbortSignal): Promise<OverviewPart> {
  const wasThere = await measuredFigure4(options, signal).catch((error: unknown) => {
    if (signal.aborted && error instanceof HintError && error.code === 'ABORTED') return undefined;
    throw error;
  });
  if (wasThere === undefined) return { ...FIGURE_4, state: 'not begun' };
  return {
    ...FIGURE_4,
    state: wasThere ? 'measured before' : 'measured',
    markdown: await readFile(join(options.output, 'figure4.md'), 'utf8'),
  };
}
