import { meanInterval } from '../util/confidence.js';
import type { CellScore } from './evaluate-cell.js';
import { withoutRounding } from '../util/rounding.js';
import type { GridCell } from './grid.js';
import type { PaperSize } from './paper-size.js';
import type { CellOutcome, GridResult } from './runner.js';
import { datasetName, T0_DATASETS } from './t0-accuracy.js';

/** A figure of a table: a cell's mean over its seeds, beside what the paper prints. */
export interface TableFigure {
  readonly row: string;
  /** A setting, or a data set, or `average`, the mean of the data sets. */
  readonly column: string;
  readonly model: string;
  /** Mean score; undefined while no seed is done. */
  readonly score?: number;
  /** Lowest and highest of the seeds. */
  readonly low?: number;
  readonly high?: number;
  readonly seeds: readonly number[];
  /** Of each of these seeds. */
  readonly scores: readonly number[];
  readonly flopsPer100?: number;
  readonly paper: Readonly<Partial<Record<PaperSize, number>>>;
  /** How far it is from the row that others are compared with. */
  readonly than?: Difference;
}

/** Two figures of one column, seed by seed. */
export interface Difference {
  /** The row of the other. */
  readonly row: string;
  /** Of the seeds that both have, in points. */
  readonly mean: number;
  /** Half the width of its 95 % confidence interval, from two seeds on. */
  readonly halfWidth?: number;
  /** `within the spread`: that interval of at least three seeds has 0. */
  readonly verdict: 'higher' | 'lower' | 'within the spread' | 'too few seeds';
}

/** The column of the mean over data sets. */
export const AVERAGE = 'average';

const FEWEST_SEEDS = 3;

/** The figures of a grid, in the order of its cells, models one after another. */
export function figuresOf({ grid, cells }: Pick<GridResult, 'grid' | 'cells'>): TableFigure[] {
  const groups = new Map<string, CellOutcome[]>();
  for (const one of cells) {
    const key = JSON.stringify([one.model, one.cell.row, one.cell.column]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const names = grid.view === 'datasets' || grid.view === 'prompts' ? datasetsOf(cells) : undefined;
  const figures = [...groups.values()].flatMap((group) => {
    const [{ cell }] = group as [CellOutcome];
    if (names === undefined) return [figureOf(group, cell.column, ({ score }) => score, cell.paper)];
    return [
      ...names.map((name) => figureOf(group, name, (result) => scoreOn(name, result), printedOf(cell, name))),
      figureOf(group, AVERAGE, ({ score }) => score, cell.paper),
    ];
  });
  const reference = grid.reference ?? grid.cells[0]?.row;
  return figures.map((figure) => {
    const than = figure.row === reference ? undefined : differenceOf(figure, figures, reference);
    return than ? { ...figure, than } : figure;
  });
}

/** The data sets that scores are of, in the order of the paper, then others. */
function datasetsOf(cells: readonly CellOutcome[]): string[] {
  const found = new Set(cells.flatMap(({ result }) => Object.keys(result?.datasets ?? {}).map(datasetName)));
  const known = T0_DATASETS.map(([name]) => name);
  return [...known.filter((name) => found.has(name)), ...[...found].filter((name) => !known.includes(name))];
}

function scoreOn(name: string, { datasets = {} }: CellScore): number | undefined {
  return Object.entries(datasets).find(([folder]) => datasetName(folder) === name)?.[1];
}

function printedOf({ paperDatasets = {} }: GridCell, name: string): Partial<Record<PaperSize, number>> {
  return Object.fromEntries(
    Object.entries(paperDatasets).flatMap(([size, printed]) =>
      name in printed ? [[size, printed[name]]] : [],
    ),
  );
}

function figureOf(
  group: readonly CellOutcome[],
  column: string,
  scoreOf: (result: CellScore) => number | undefined,
  paper: GridCell['paper'],
): TableFigure {
  const [{ cell, model }] = group as readonly [CellOutcome];
  const done = group.flatMap(({ seed, result }) => {
    const score = result && scoreOf(result);
    return score === undefined ? [] : [{ seed, score, flops: result?.flopsPer100 }];
  });
  const scores = done.map(({ score }) => score);
  const costs = done.flatMap(({ flops }) => flops ?? []);
  return {
    row: cell.row,
    column,
    model,
    seeds: done.map(({ seed }) => seed),
    scores,
    ...(scores.length > 0
      ? { score: mean(scores), low: Math.min(...scores), high: Math.max(...scores) }
      : {}),
    ...(costs.length > 0 ? { flopsPer100: mean(costs) } : {}),
    paper: paper ?? {},
  };
}

/** From a row's figure for the same model, or for the first where the row has none of that, as beside a decoder-only baseline. */
function differenceOf(
  figure: TableFigure,
  all: readonly TableFigure[],
  row: string | undefined,
): Difference | undefined {
  const others = all.filter((one) => one.row === row && one.column === figure.column);
  const other = others.find(({ model }) => model === figure.model) ?? others[0];
  if (row === undefined || !other) return undefined;
  const differences = figure.seeds.flatMap((seed, i) => {
    const at = other.seeds.indexOf(seed);
    return at < 0 ? [] : [withoutRounding((figure.scores[i] as number) - (other.scores[at] as number))];
  });
  if (differences.length === 0) return undefined;
  const interval = meanInterval(differences);
  const { halfWidth } = interval;
  return {
    row,
    mean: interval.mean,
    ...(halfWidth === undefined ? {} : { halfWidth }),
    verdict: verdictOf(interval.mean, differences.length < FEWEST_SEEDS ? undefined : halfWidth),
  };
}

function verdictOf(difference: number, halfWidth: number | undefined): Difference['verdict'] {
  if (halfWidth === undefined) return 'too few seeds';
  if (Math.abs(difference) <= halfWidth) return 'within the spread';
  return difference > 0 ? 'higher' : 'lower';
}

/** The accuracy with a prompt: the mean over seeds. */
export interface PromptFigure {
  readonly row: string;
  readonly model: string;
  readonly dataset: string;
  readonly template: string;
  readonly accuracy: number;
  readonly seeds: number;
}

/** The accuracies by prompt of what is done, data sets in the order of {@link figuresOf}. */
export function promptsOf({ cells }: Pick<GridResult, 'cells'>): PromptFigure[] {
  const groups = new Map<string, Omit<PromptFigure, 'seeds'>[]>();
  for (const { cell, model, result } of cells)
    for (const { dataset, template, accuracy } of result?.prompts ?? []) {
      const one = { row: cell.row, model, dataset: datasetName(dataset), template, accuracy };
      const key = JSON.stringify([model, cell.row, dataset, template]);
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
  const order = datasetsOf(cells);
  return [...groups.values()]
    .map((group) => ({
      ...(group[0] as PromptFigure),
      accuracy: mean(group.map(({ accuracy }) => accuracy)),
      seeds: group.length,
    }))
    .sort((a, b) => order.indexOf(a.dataset) - order.indexOf(b.dataset));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
