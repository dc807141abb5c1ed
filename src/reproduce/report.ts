import { join, relative } from 'node:path';
import { writeFileAtomic } from '../util/atomic-file.js';
import { checkReplaceable, picture } from '../util/existing.js';
import { replaceCharts } from '../util/plot/png.js';
import { makeFolder } from '../util/write-error.js';
import { drawReport } from './report-chart.js';
import { markdownOf } from './report-markdown.js';
import type { GridReport } from './report-data.js';
import type { Grid } from './grid.js';
import type { Provenance } from './provenance.js';
import { scopeOf } from './scope.js';
import type { ReproduceSettings, StartingModel } from './settings.js';
import type { GridResult } from './runner.js';
import { claimsOf } from './claims.js';
import { figuresOf, promptsOf } from './summary.js';

/** The results of a grid as data. Paths are relative, so that a report means the same on another machine. */
export function reportOf(result: GridResult, settings: ReproduceSettings, made: Provenance): GridReport {
  const { grid, cells } = result;
  const scope = scopeOf(cells, settings, grid.dataset);
  return {
    table: grid.name,
    title: `${grid.title}, on ${scope.data}`,
    metric: grid.metric,
    view: grid.view ?? 'settings',
    complete: cells.every(({ status }) => status === 'done'),
    scope,
    made,
    settings: withRelativePaths(settings),
    figures: figuresOf(result),
    ...(grid.view === 'prompts' ? { prompts: promptsOf(result) } : {}),
    ...(grid.printedRows ? { printed: grid.printedRows } : {}),
    claims: claimsOf(result),
    rowsWithout: [...new Set(grid.cells.map(({ row }) => row))].filter(
      (row) => !cells.some(({ cell }) => cell.row === row),
    ),
    cells: cells.map(({ cell, folder, ...rest }) => ({
      row: cell.row,
      column: cell.column,
      system: cell.system,
      pretraining: cell.pretraining ?? 'none',
      ...rest,
      folder: relative(settings.output, folder),
    })),
  };
}

function withRelativePaths({ data, text, models, decoders, output, ...rest }: ReproduceSettings): object {
  const here = (path: string): string => relative('', path);
  const described = ({ label, init, tokenizer }: StartingModel): object => ({
    label,
    init: typeof init === 'string' ? here(init) : init,
    ...(tokenizer === undefined ? {} : { tokenizer: here(tokenizer) }),
  });
  return {
    data: here(data),
    text: text.map(here),
    models: models.map(described),
    decoders: Object.fromEntries(
      Object.entries(decoders ?? {}).map(([family, model]) => [family, described(model)]),
    ),
    output: here(output),
    ...rest,
  };
}

/**
 * Checks, before a grid is run, that its report can be written without a loss.
 *
 * @throws HintError INVALID_ARGUMENT for a file that is in the way, IO
 */
export async function checkReport(grid: Grid, output: string): Promise<void> {
  const file = (ending: string): string => join(output, `${grid.name}.${ending}`);
  const results = {
    name: 'the results of a table',
    fits: (head: string) => /^\s*\{\s*"table"\s*:/.test(head),
  };
  await checkReplaceable(file('json'), results);
  await checkReplaceable(file('md'), reportsOf(grid));
  for (const path of [file('svg'), file('png')]) await checkReplaceable(path, picture(path));
}

/** Reports of a table, whatever data they are of. */
function reportsOf({ title }: Grid): { name: string; fits: (head: string) => boolean } {
  const [table = title] = title.split(':');
  // Heads of files are compared byte by byte.
  const start = Buffer.from(`# ${table}:`).toString('latin1');
  return { name: `a report of ${table}`, fits: (head) => head.startsWith(start) };
}

/**
 * Writes a grid's results into its output: NAME.json, NAME.md and, once a cell is done, NAME.svg and NAME.png.
 *
 * @returns the files written
 * @throws HintError IO
 */
export async function writeReport(
  result: GridResult,
  settings: ReproduceSettings,
  made: Provenance,
): Promise<string[]> {
  const { grid } = result;
  await makeFolder(settings.output);
  const file = (ending: string): string => join(settings.output, `${grid.name}.${ending}`);
  const report = reportOf(result, settings, made);
  await writeFileAtomic(file('json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFileAtomic(file('md'), markdownOf(report, result.cells));
  const svg = drawReport(report, result.cells);
  const charts = await replaceCharts([file('svg'), file('png')], svg);
  return [file('json'), file('md'), ...charts];
}
