import type { PaperSize } from './grid.js';
import type { CellOutcome, GridResult } from './runner.js';

/** A figure of a table: a cell's mean over its seeds, beside what the paper prints. */
export interface TableFigure {
  readonly row: string;
  readonly column: string;
  readonly model: string;
  /** Mean score; undefined while no seed is done. */
  readonly score?: number;
  /** Lowest and highest of the seeds. */
  readonly low?: number;
  readonly high?: number;
  readonly seeds: readonly number[];
  readonly flopsPer100?: number;
  readonly paper: Readonly<Partial<Record<PaperSize, number>>>;
}

/** The figures of a grid, in the order of its cells, models one after another. */
export function figuresOf({ cells }: Pick<GridResult, 'cells'>): TableFigure[] {
  const groups = new Map<string, CellOutcome[]>();
  for (const one of cells) {
    const key = JSON.stringify([one.model, one.cell.row, one.cell.column]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const [{ cell, model }] = group as [CellOutcome];
    const done = group.flatMap(({ seed, result }) => (result ? [{ seed, ...result }] : []));
    const scores = done.map(({ score }) => score);
    const costs = done.flatMap(({ flopsPer100 }) => (flopsPer100 === undefined ? [] : [flopsPer100]));
    return {
      row: cell.row,
      column: cell.column,
      model,
      seeds: done.map(({ seed }) => seed),
      ...(scores.length > 0
        ? { score: mean(scores), low: Math.min(...scores), high: Math.max(...scores) }
        : {}),
      ...(costs.length > 0 ? { flopsPer100: mean(costs) } : {}),
      paper: cell.paper ?? {},
    };
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
