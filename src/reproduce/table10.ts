import type { Grid, GridCell } from './grid.js';
import type { PaperSize } from './paper-size.js';
import { PRINTED_T0 } from './t0-accuracy.js';

const ROW = 'T0, trained again';
const COLUMN = 'Zero-shot';
const SIZES = ['3B', '11B'] as const satisfies readonly PaperSize[];
const { again, released } = PRINTED_T0;

/** T0 as paper §E trains it again. Table 2 has the same row, so that both share its cell. */
export const T0_AGAIN: GridCell = {
  row: ROW,
  column: COLUMN,
  system: 't0',
  recipe: 't0',
  data: {},
  paper: { '3B': again['3B'].average, '11B': again['11B'].average },
  paperDatasets: { '3B': again['3B'].datasets, '11B': again['11B'].datasets },
};

/** Table 10: T0 trained again for 20,000 steps, beside T0 as it was released. */
export const table10: Grid = {
  name: 'table10',
  title: 'Table 10: T0 trained again, by data set',
  dataset: 'p3',
  metric: 'accuracy',
  view: 'datasets',
  cells: [T0_AGAIN],
  printedRows: SIZES.map((size) => ({
    row: 'T0 as released',
    size,
    score: released[size].average,
    datasets: released[size].datasets,
  })),
  claims: [
    {
      kind: 'abovePrinted',
      says: 'T0 trained again above T0 as released (55.2 at 3B, 65.2 at 11B, as printed)',
      where: 'Table 10',
      place: [ROW, COLUMN],
      printed: { '3B': released['3B'].average, '11B': released['11B'].average },
    },
  ],
};
