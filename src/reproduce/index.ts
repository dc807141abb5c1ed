import { HintError } from '../util/errors.js';
import { placesOf } from './claim.js';
import { figure3 } from './figure3.js';
import { figure5 } from './figure5.js';
import type { Grid } from './grid.js';
import { section61 } from './section6-1.js';
import { table1 } from './table1.js';
import { table10 } from './table10.js';
import { table2 } from './table2.js';
import { table3 } from './table3.js';
import { table4 } from './table4.js';
import { table5 } from './table5.js';
import { table6 } from './table6.js';
import { table9 } from './table9.js';

export type { Claim, Place } from './claim.js';
export type { ClaimOutcome, Verdict } from './claims.js';
export type { Grid, GridCell, ModuleSizes } from './grid.js';
export type { PaperSize } from './paper-size.js';
export type { ReproduceSettings, StartingModel } from './settings.js';
export { reportOf, checkReport, writeReport } from './report.js';
export { markdownOf } from './report-markdown.js';
export type { GridReport } from './report-data.js';
export { OVERVIEW, writeOverview, type OverviewPart } from './overview.js';
export { checkPlan, planCells } from './plan.js';
export { provenance, type Provenance } from './provenance.js';
export { runGrid, type CellOutcome, type GridResult } from './runner.js';
export type { GridEvent, RunGridOptions } from './run-options.js';

/** Every table that is a grid of training runs, in the order of the paper. A new one is a file here and a row in this list. */
export const GRIDS: readonly Grid[] = [
  table1,
  figure3,
  table2,
  table3,
  table4,
  table5,
  table6,
  section61,
  table9,
  table10,
  figure5,
];

/** @throws HintError INVALID_ARGUMENT listing the tables there are */
export function findGrid(name: string): Grid {
  const grid = GRIDS.find((candidate) => candidate.name === name);
  if (grid) return grid;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no table ${JSON.stringify(name)}; choose one of ${GRIDS.map((known) => known.name).join(', ')}, figure4, or all.`,
  );
}

/**
 * A part of a grid: the cells of some rows and columns, and the claims that are about them only.
 *
 * @throws HintError INVALID_ARGUMENT listing the rows or columns there are
 */
export function selectCells(
  grid: Grid,
  { rows, columns }: { rows?: readonly string[] | undefined; columns?: readonly string[] | undefined },
): Grid {
  check('row', rows, grid.cells.map(({ row }) => row), grid.name); // prettier-ignore
  check('column', columns, grid.cells.map(({ column }) => column), grid.name); // prettier-ignore
  const takes = (row: string, column: string): boolean =>
    (rows?.includes(row) ?? true) && (columns?.includes(column) ?? true);
  return {
    ...grid,
    cells: grid.cells.filter(({ row, column }) => takes(row, column)),
    claims: grid.claims.filter((claim) =>
      claim.kind === 'atEqualCost'
        ? [claim.row, claim.over].every((row) => rows?.includes(row) ?? true)
        : placesOf(claim).every((place) => takes(...place)),
    ),
  };
}

function check(
  what: string,
  wanted: readonly string[] | undefined,
  all: readonly string[],
  grid: string,
): void {
  const unknown = wanted?.find((name) => !all.includes(name));
  if (unknown === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${grid} has no ${what} ${JSON.stringify(unknown)}; there are ${[...new Set(all)].join(', ')}.`,
  );
}
