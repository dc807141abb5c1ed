import { adaptersAndPrefixes, printed, type Claim, type Grid, type GridCell } from './grid.js';

const WITH = 'With fusion';
const WITHOUT = 'Without fusion';
const COLUMNS = [
  [WITH, 'hint'],
  [WITHOUT, 'hint-no-fusion'],
] as const;

/** Pretraining, its objective, and the figures at 3B with and without fusion. */
const ROWS = [
  ['None', undefined, 44.0, 27.4],
  ['CACLM', 'caclm', 45.8, 30.4],
  ['Ours', 'hint', 46.3, 32.1],
] as const;

/** Table 4: how the hypernetwork is pretrained. */
export const table4: Grid = {
  name: 'table4',
  title: 'Table 4: pretraining of the hypernetwork',
  dataset: 'sni',
  metric: 'RougeL',
  comparesPretraining: true,
  cells: ROWS.flatMap(([row, pretraining, ...figures]) =>
    COLUMNS.map(([column, system], i): GridCell => ({
      row,
      column,
      system,
      ...(pretraining === undefined ? {} : { pretraining }),
      modules: adaptersAndPrefixes,
      data: { positives: 0 },
      paper: printed(undefined, figures[i], undefined),
    })),
  ),
  claims: [
    ...[WITH, WITHOUT].flatMap((column): Claim[] => [
      {
        says: `Our pretraining above none, ${column.toLowerCase()}`,
        above: ['Ours', column],
        below: ['None', column],
      },
      {
        says: `Our pretraining above CACLM, ${column.toLowerCase()}`,
        above: ['Ours', column],
        below: ['CACLM', column],
      },
    ]),
    ...ROWS.map(([row]): Claim => ({
      says: `Fusion helps, pretraining ${row}`,
      above: [row, WITH],
      below: [row, WITHOUT],
    })),
  ],
};
