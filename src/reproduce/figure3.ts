import { adaptersAndPrefixes, printed, type Grid, type GridCell } from './grid.js';

const SETTINGS = [
  ['Def', 0, printed(35.3, 48.9, 53.6), printed(33.3, 47.2, 51.1)],
  ['Def + 1 Pos', 1, undefined, undefined],
  ['Def + 2 Pos', 2, printed(42.9, 56.6, 60.5), printed(41.8, 53.2, 56.4)],
] as const;

/** Figure 3: RougeL against the FLOPs of 100 examples, for longer instructions and, with several sizes, larger models. */
export const figure3: Grid = {
  name: 'figure3',
  title: 'Figure 3: RougeL against inference cost',
  dataset: 'sni',
  metric: 'RougeL',
  overFlops: true,
  cells: SETTINGS.flatMap(([column, positives, full, hint]): GridCell[] => [
    {
      row: 'Tk-Instruct',
      column,
      system: 'tk-instruct',
      data: { positives },
      ...(full ? { paper: full } : {}),
    },
    {
      row: 'HINT',
      column,
      system: 'hint',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { positives },
      ...(hint ? { paper: hint } : {}),
    },
  ]),
  claims: [
    { says: 'One example helps HINT', above: ['HINT', 'Def + 1 Pos'], below: ['HINT', 'Def'] },
    { says: 'Two examples help HINT', above: ['HINT', 'Def + 2 Pos'], below: ['HINT', 'Def'] },
  ],
};
