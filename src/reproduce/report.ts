import { join, relative } from 'node:path';
import { writeFileAtomic } from '../util/atomic-file.js';
import { checkReplaceable, picture } from '../util/existing.js';
import { markdownTable } from '../util/markdown.js';
import { barChart, lineChart, type BarSeries, type BarValue } from '../util/plot/charts.js';
import { writeChart } from '../util/plot/png.js';
import { shownMarkdown } from '../util/shown.js';
import { makeFolder } from '../util/write-error.js';
import { PAPER_SIZES, type Grid, type PaperSize } from './grid.js';
import type { Provenance } from './provenance.js';
import { scopeLine, scopeOf, type Scope } from './scope.js';
import type { ReproduceSettings, StartingModel } from './settings.js';
import type { CellOutcome, GridResult } from './runner.js';
import { claimsOf, type ClaimOutcome } from './claims.js';
import { figuresOf, type TableFigure } from './summary.js';

/** Whose printed figures stand beside models of no size that the paper has: it has most of these. */
const COMPARED_SIZE: PaperSize = '3B';

/** What of a grid's results is written, for programs. */
export interface GridReport {
  readonly table: string;
  readonly title: string;
  readonly metric: Grid['metric'];
  readonly complete: boolean;
  /** What it is of, and where it comes from. */
  readonly scope: Scope;
  readonly made: Provenance;
  readonly settings: object;
  readonly figures: readonly TableFigure[];
  readonly claims: readonly ClaimOutcome[];
  readonly cells: readonly object[];
  /** Rows without a starting model of their family. */
  readonly rowsWithout: readonly string[];
}

/** The results of a grid as data. Paths are relative, so that a report means the same on another machine. */
export function reportOf(result: GridResult, settings: ReproduceSettings, made: Provenance): GridReport {
  const { grid, cells } = result;
  const scope = scopeOf(cells, settings);
  return {
    table: grid.name,
    title: `${grid.title}, on ${scope.data}`,
    metric: grid.metric,
    complete: cells.every(({ status }) => status === 'done'),
    scope,
    made,
    settings: withRelativePaths(settings),
    figures: figuresOf(result),
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
  return { name: `a report of ${table}`, fits: (head) => head.startsWith(`# ${table}:`) };
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
  const svg = draw(grid, report, result.cells);
  if (svg === undefined) return [file('json'), file('md')];
  const charts = [file('svg'), file('png')];
  for (const path of charts) await writeChart(path, svg);
  return [file('json'), file('md'), ...charts];
}

/** The Markdown of a report: our figures beside the paper's, its orderings, and cells without a result. */
export function markdownOf(report: GridReport, cells: readonly CellOutcome[]): string {
  const { title, metric, figures, claims, scope, made } = report;
  const models = new Set(figures.map(({ model }) => model));
  const named = models.size > 1;
  const withFlops = figures.some(({ flopsPer100 }) => flopsPer100 !== undefined);
  const sizes = PAPER_SIZES.filter((size) => figures.some(({ paper }) => paper[size] !== undefined));
  const chances = cells.flatMap(({ result }) => (result?.chance === undefined ? [] : [result.chance]));
  const without = report.rowsWithout;
  const missing = cells.filter(({ status }) => status !== 'done');
  const lines = [
    `# ${title}`,
    '',
    shownMarkdown(
      `${metric} on unseen tasks of ${scope.data}: ${scopeLine(scope)}. Means over seeds, lowest to highest where there are several.`,
    ),
    '',
    shownMarkdown(
      `Made ${made.date.slice(0, 16).replace('T', ' ')} UTC by hint-engine ${made.version} (${made.commit}${made.uncommitted ? ' with uncommitted changes' : ''}) on ${made.machine.cpu}, ${made.machine.cores} cores.`,
    ),
    '',
    "The paper's figures are of its own data, models and steps; they stand beside these for their order, not as a target.",
    ...(chances[0] === undefined ? [] : [`Guessing gives ${chances[0].toFixed(1)}.`]),
    '',
    ...markdownTable(
      [
        'system',
        'setting',
        ...(named ? ['model'] : []),
        `${metric}, ours`,
        'seeds',
        ...(withFlops ? ['GFLOP per 100 examples'] : []),
        ...sizes.map((size) => `paper ${size}`),
      ],
      figures.map((figure) => [
        figure.row,
        figure.column,
        ...(named ? [figure.model] : []),
        scoreText(figure),
        String(figure.seeds.length),
        ...(withFlops ? [figure.flopsPer100 === undefined ? '' : gigaFlops(figure.flopsPer100)] : []),
        ...sizes.map((size) => figure.paper[size]?.toFixed(1) ?? ''),
      ]),
    ),
    '',
    ...(without.length > 0 ? [`Left out for want of a starting model: ${without.join(', ')}.`, ''] : []),
    '## What the paper says',
    '',
    'A claim holds, or does not, where the 95 % confidence interval of the mean over at least three seeds says so; an interval with both is within the spread.',
    '',
    ...markdownTable(
      ['claim', 'where', ...(named ? ['model'] : []), 'here', 'measured', 'to be', 'seeds for it'],
      claims.map((claim) => [
        claim.says,
        claim.where,
        ...(named ? [claim.model ?? 'all'] : []),
        claim.verdict,
        measuredText(claim),
        limitText(claim),
        `${claim.seedsFor} of ${claim.seeds}`,
      ]),
    ),
    ...(missing.length > 0
      ? [
          '',
          '## Cells without a result',
          '',
          ...missing.map((one) => `- ${shownMarkdown(describeMissing(one))}`),
        ]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

function measuredText({ value, halfWidth, unit }: ClaimOutcome): string {
  if (value === undefined) return '';
  const spread = halfWidth === undefined ? '' : ` ± ${halfWidth.toFixed(1)}`;
  return `${value.toFixed(1)}${spread} ${unit}`;
}

function limitText({ kind, limit, unit }: ClaimOutcome): string {
  return `${kind === 'near' || kind === 'cost' ? 'at most' : 'more than'} ${limit} ${unit}`;
}

function scoreText({ score, low, high, seeds }: TableFigure): string {
  if (score === undefined) return '';
  const range = seeds.length > 1 ? ` (${low?.toFixed(1)} to ${high?.toFixed(1)})` : '';
  return `${score.toFixed(1)}${range}`;
}

function gigaFlops(flops: number): string {
  return (flops / 1e9).toPrecision(3);
}

function describeMissing({ cell, model, seed, status, error }: CellOutcome): string {
  const what = `${cell.row}, ${cell.column}, ${model}, seed ${seed}`;
  return status === 'failed' ? `${what}: failed, ${error?.message ?? ''}` : `${what}: not done yet`;
}

/** The chart of a grid, with the paper's figures beside it; undefined while nothing is done. */
function draw(
  grid: Grid,
  { title, scope, figures }: GridReport,
  cells: readonly CellOutcome[],
): string | undefined {
  const done = figures.filter(({ score }) => score !== undefined);
  if (done.length === 0) return undefined;
  const models = [...new Set(figures.map(({ model }) => model))];
  const text = { title, subtitle: scopeLine(scope) };
  if (grid.overFlops) return drawOverFlops(grid, done, models, text);
  const groupOf = ({ row, model }: TableFigure): string => (models.length > 1 ? `${row} ${model}` : row);
  const groups = [...new Set(figures.map(groupOf))];
  const columns = [...new Set(figures.map(({ column }) => column))];
  const sizeOf = (model: string): PaperSize =>
    cells.find((cell) => cell.model === model)?.size ?? COMPARED_SIZE;
  const shown = (column: string, valueOf: (figure: TableFigure) => BarValue | undefined): BarSeries => ({
    name: column,
    values: groups.map((group) => {
      const figure = figures.find((one) => groupOf(one) === group && one.column === column);
      return figure && valueOf(figure);
    }),
  });
  const ours = columns.map((column) =>
    shown(column, (figure) =>
      figure.score === undefined ? undefined : { value: figure.score, ...rangeOf(figure) },
    ),
  );
  const printed = columns.map((column) => ({
    ...shown(column, ({ model, paper }) => {
      const value = paper[sizeOf(model)];
      return value === undefined ? undefined : { value };
    }),
    name: `${column}, as printed${models.length === 1 ? ` for ${sizeOf(models[0]!)}` : ''}`,
    like: column,
    dashed: true,
  }));
  const isPrinted = printed.some(({ values }) => values.some((value) => value !== undefined));
  return barChart({
    ...text,
    xLabel: '',
    yLabel: grid.metric,
    groups,
    // Each setting beside its own printed figure.
    series: isPrinted ? ours.flatMap((series, i) => [series, printed[i]!]) : ours,
  });
}

function drawOverFlops(
  grid: Grid,
  done: readonly TableFigure[],
  models: readonly string[],
  text: { title: string; subtitle: string },
): string | undefined {
  const rows = [...new Set(done.map(({ row }) => row))];
  const series = rows.flatMap((row) =>
    models.map((model) => ({
      name: models.length > 1 ? `${row}, ${model}` : row,
      points: done
        .filter((one) => one.row === row && one.model === model && one.flopsPer100 !== undefined)
        .map((one) => ({ x: (one.flopsPer100 ?? 0) / 1e9, y: one.score ?? 0, ...rangeOf(one) })),
    })),
  );
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return undefined;
  return lineChart({
    ...text,
    xLabel: 'GFLOP per 100 examples',
    yLabel: grid.metric,
    logX: true,
    series: drawn,
  });
}

function rangeOf({ seeds, low, high }: TableFigure): { low?: number; high?: number } {
  return seeds.length > 1 && low !== undefined && high !== undefined ? { low, high } : {};
}
