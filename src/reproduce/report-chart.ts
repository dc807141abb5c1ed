import { barChart, lineChart, type BarSeries, type BarValue } from '../util/plot/charts.js';
import { dotChart } from '../util/plot/dots.js';
import type { PaperSize } from './paper-size.js';
import type { GridReport } from './report-data.js';
import type { CellOutcome } from './runner.js';
import { scopeLine } from './scope.js';
import { AVERAGE, type TableFigure } from './summary.js';

/** Whose printed figures stand beside models of no size that the paper has: it has most of these. */
const COMPARED_SIZE: PaperSize = '3B';

/** The chart of a grid, with the paper's figures beside it; undefined while nothing is done. */
export function drawReport(report: GridReport, cells: readonly CellOutcome[]): string | undefined {
  const { title, scope, figures, metric, view } = report;
  const done = figures.filter(({ score }) => score !== undefined);
  if (done.length === 0) return undefined;
  const models = [...new Set(figures.map(({ model }) => model))];
  const text = { title, subtitle: scopeLine(scope) };
  if (view === 'flops') return drawOverFlops(metric, done, models, text);
  if (view === 'prompts') return drawPrompts(report, cells, text);
  if (view === 'datasets') return drawDatasets(report, cells, text);
  const groupOf = ({ row, model }: TableFigure): string => (models.length > 1 ? `${row} ${model}` : row);
  const groups = [...new Set(figures.map(groupOf))];
  const columns = [...new Set(figures.map(({ column }) => column))];
  const sizeOf = (model: string): PaperSize => sizeIn(cells, model);
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
  return barChart({
    ...text,
    xLabel: '',
    yLabel: `${metric} on unseen tasks`,
    groups,
    // Each setting beside its own printed figure.
    series: ours.flatMap((series, i) => {
      const paper = printed[i]!;
      return paper.values.some((value) => value !== undefined) ? [series, paper] : [series];
    }),
  });
}

function sizeIn(cells: readonly CellOutcome[], model: string): PaperSize {
  return cells.find((cell) => cell.model === model)?.size ?? COMPARED_SIZE;
}

/** Systems side by side for each data set, each beside what the paper prints of its data sets: averages alone are Table 2's. */
function drawDatasets(
  { metric, figures, printed = [] }: GridReport,
  cells: readonly CellOutcome[],
  text: { title: string; subtitle: string },
): string {
  const groups = [...new Set(figures.map(({ column }) => column))];
  const several = new Set(figures.map(({ model }) => model)).size > 1;
  const systems = [...new Map(figures.map((one) => [JSON.stringify([one.row, one.model]), one])).values()];
  const series = systems.flatMap(({ row, model }): BarSeries[] => {
    const size = sizeIn(cells, model);
    const name = several ? `${row}, ${model}` : row;
    const own = groups.map((column) =>
      figures.find((one) => one.row === row && one.model === model && one.column === column),
    );
    const paper = own.map((one) => barOf(one?.paper[size]));
    return [
      {
        name,
        values: own.map((one) =>
          one?.score === undefined ? undefined : { value: one.score, ...rangeOf(one) },
        ),
      },
      ...(own.some((one) => one?.column !== AVERAGE && one?.paper[size] !== undefined)
        ? [{ name: `${name}, as printed for ${size}`, like: name, dashed: true, values: paper }]
        : []),
    ];
  });
  const shared = printed.filter(({ datasets }) => groups.some((group) => group in datasets));
  const others = shared.map(({ row, size, score, datasets }): BarSeries => ({
    name: `${row}, as printed for ${size}`,
    dashed: true,
    values: groups.map((column) => barOf(column === AVERAGE ? score : datasets[column])),
  }));
  const shown = [...series, ...others];
  return barChart({
    ...text,
    width: Math.max(720, 80 + groups.length * (20 + 14 * shown.length)),
    xLabel: 'data set',
    yLabel: `${metric}, %`,
    groups,
    series: shown,
  });
}

function barOf(value: number | undefined): BarValue | undefined {
  return value === undefined ? undefined : { value };
}

/** A dot for each prompt of each data set. */
function drawPrompts(
  { metric, prompts = [], figures }: GridReport,
  cells: readonly CellOutcome[],
  text: { title: string; subtitle: string },
): string | undefined {
  const groups = [...new Set(prompts.map(({ dataset }) => dataset))];
  if (groups.length === 0) return undefined;
  const models = [...new Set(prompts.map(({ model }) => model))];
  const printedOn = (model: string, group: string): number | undefined =>
    figures.find((one) => one.model === model && one.column === group)?.paper[sizeIn(cells, model)];
  const isPrinted = models.some((model) => groups.some((group) => printedOn(model, group) !== undefined));
  return dotChart({
    ...text,
    width: Math.max(720, 80 + groups.length * 70 * models.length),
    xLabel: `data set; a dot is a prompt, a line their mean${isPrinted ? ', a dashed line the mean as printed' : ''}`,
    yLabel: `${metric}, %`,
    groups,
    series: models.map((model) => ({
      name: model,
      values: groups.map((group) =>
        prompts.filter((one) => one.model === model && one.dataset === group).map(({ accuracy }) => accuracy),
      ),
      marks: groups.map((group) => printedOn(model, group)),
    })),
  });
}

function drawOverFlops(
  metric: GridReport['metric'],
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
    xLabel: 'GFLOP per 100 examples, tasks compiled once included',
    yLabel: `${metric} on unseen tasks`,
    logX: true,
    series: drawn,
  });
}

function rangeOf({ seeds, low, high }: TableFigure): { low?: number; high?: number } {
  return seeds.length > 1 && low !== undefined && high !== undefined ? { low, high } : {};
}
