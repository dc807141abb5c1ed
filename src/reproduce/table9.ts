import { table2 } from './table2.js';
import type { Grid } from './grid.js';
import { PRINTED_T0 } from './t0-accuracy.js';

/** Table 9: the systems of Table 2, and so its cells, by data set. */
export const table9: Grid = {
  ...table2,
  name: 'table9',
  title: 'Table 9: systems without examples, by data set',
  view: 'datasets',
  cells: table2.cells.map((cell) =>
    cell.row === 'T0' ? { ...cell, paperDatasets: { '3B': PRINTED_T0.again['3B'].datasets } } : cell,
  ),
  claims: table2.claims.map((claim) => ({ ...claim, where: 'Table 9' })),
  printedRows: [
    {
      row: 'T0 as released',
      size: '3B',
      score: PRINTED_T0.released['3B'].average,
      datasets: PRINTED_T0.released['3B'].datasets,
    },
  ],
};
