import type { Claim, PaperSize } from './grid.js';
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

/** Whether an ordering of the paper shows. */
export interface ClaimOutcome extends Claim {
  readonly model: string;
  /** Difference of the means; undefined while a side is missing. */
  readonly difference?: number;
  /** Seeds in which it shows, of those that have both sides. */
  readonly seedsFor: number;
  readonly seeds: number;
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

/** The orderings of a grid, for each starting model. */
export function claimsOf({ grid, cells }: Pick<GridResult, 'grid' | 'cells'>): ClaimOutcome[] {
  return [...new Set(cells.map(({ model }) => model))].flatMap((model) => {
    const scoresOf = ([row, column]: Claim['above']): Map<number, number> =>
      new Map(
        cells.flatMap((one) =>
          one.result && one.model === model && one.cell.row === row && one.cell.column === column
            ? [[one.seed, one.result.score]]
            : [],
        ),
      );
    const planned = (place: Claim['above']): boolean =>
      cells.some((one) => one.model === model && one.cell.row === place[0] && one.cell.column === place[1]);
    const own = grid.claims.filter(({ above, below }) => planned(above) || planned(below));
    return own.map((claim) => {
      const [above, below] = [scoresOf(claim.above), scoresOf(claim.below)];
      const differences = [...above].flatMap(([seed, score]) => {
        const other = below.get(seed);
        return other === undefined ? [] : [score - other];
      });
      return {
        ...claim,
        model,
        seeds: differences.length,
        seedsFor: differences.filter((difference) => difference > 0).length,
        ...(differences.length > 0 ? { difference: mean(differences) } : {}),
      };
    });
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
