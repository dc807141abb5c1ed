import { above } from './claim.js';
import { adaptersAndPrefixes, printed, type Grid, type GridCell } from './grid.js';

const WHERE = 'Table 4';
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
    ...[WITH, WITHOUT].flatMap((column) => [
      above(WHERE, ['Ours', column], ['None', column], `Our pretraining above none, ${column.toLowerCase()}`),
      above(
        WHERE,
        ['Ours', column],
        ['CACLM', column],
        `Our pretraining above CACLM, ${column.toLowerCase()}`,
      ),
      above(WHERE, ['CACLM', column], ['None', column], `CACLM above none, ${column.toLowerCase()}`),
    ]),
    {
      kind: 'largerGain',
      says: 'Our pretraining helps more without fusion than with it (4.7 points against 2.3, as printed)',
      where: WHERE,
      gain: [['Ours', WITHOUT], ['None', WITHOUT]], // prettier-ignore
      than: [['Ours', WITH], ['None', WITH]], // prettier-ignore
    },
    ...ROWS.map(([row]) => above(WHERE, [row, WITH], [row, WITHOUT], `Fusion helps, pretraining ${row}`)),
  ],
};
