import { above } from './claim.js';
import { adaptersAndPrefixes, printed, type Grid, type GridCell } from './grid.js';

const WHERE = 'Figure 3';

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
  view: 'flops',
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
    above(WHERE, ['HINT', 'Def + 1 Pos'], ['HINT', 'Def'], 'One example helps HINT'),
    above(WHERE, ['HINT', 'Def + 2 Pos'], ['HINT', 'Def'], 'Two examples help HINT'),
    {
      kind: 'atEqualCost',
      says: 'HINT more than 10 % better than Tk-Instruct at equal FLOPs',
      where: 'Abstract, Figure 3',
      row: 'HINT',
      over: 'Tk-Instruct',
      percent: 10,
    },
    {
      kind: 'cost',
      says: 'Two examples take HINT at most 5 % more FLOPs',
      where: 'Abstract, Figure 3',
      place: ['HINT', 'Def + 2 Pos'],
      over: ['HINT', 'Def'],
      percent: 5,
    },
    {
      kind: 'gain',
      says: 'Two examples make HINT up to 25 % better (25.5 % at 250M, as printed)',
      where: 'Abstract, Figure 3',
      above: ['HINT', 'Def + 2 Pos'],
      below: ['HINT', 'Def'],
      percent: 25,
    },
    above(
      WHERE,
      ['HINT', 'Def + 2 Pos'],
      ['Tk-Instruct', 'Def'],
      'HINT with two examples above Tk-Instruct with the definition',
    ),
    {
      kind: 'cost',
      says: 'and for less than half of its FLOPs (4.6 of 12.0 at 3B, as printed)',
      where: WHERE,
      place: ['HINT', 'Def + 2 Pos'],
      over: ['Tk-Instruct', 'Def'],
      percent: -50,
    },
  ],
};
