import { above, near } from './claim.js';
import { adaptersAndPrefixes, printed, type Grid, type GridCell } from './grid.js';

/** Shots, and what T0 and HINT (Split) have with them at 3B. */
const PRINTED: readonly (readonly [shots: number, t0: number, hint: number])[] = [
  [1, 66.4, 66.4],
  [2, 67.1, 66.6],
  [4, 67.1, 67.2],
  [5, 67.9, 67.1],
];

const WHERE = 'Table 3';

const column = (shots: number): string => `${shots}-shot`;

/** Table 3: P3 with worked examples, in training as in evaluation. */
export const table3: Grid = {
  name: 'table3',
  title: 'Table 3: worked examples',
  dataset: 'p3',
  metric: 'accuracy',
  cells: PRINTED.flatMap(([shots, t0, hint]): GridCell[] => [
    {
      row: 'T0',
      column: column(shots),
      system: 't0',
      data: { shots },
      paper: printed(undefined, t0, undefined),
    },
    {
      row: 'HINT (Split)',
      column: column(shots),
      system: 'hint',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { form: 'split', shots },
      paper: printed(undefined, hint, undefined),
    },
  ]),
  claims: [
    ...['T0', 'HINT (Split)'].map((row) =>
      above(WHERE, [row, column(5)], [row, column(1)], `Five examples serve ${row} better than one`),
    ),
    ...PRINTED.map(([shots]) =>
      near(
        WHERE,
        ['HINT (Split)', column(shots)],
        ['T0', column(shots)],
        1,
        `HINT (Split) within 1 point of T0, ${column(shots)}`,
      ),
    ),
  ],
};
