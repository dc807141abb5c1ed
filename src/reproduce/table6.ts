import { above, ordered } from './claim.js';
import { adaptersAndPrefixes, prefixes, printed, type Grid } from './grid.js';

const COLUMN = 'Def';
const HINT = 'HINT';
const OTHERS = ['+ Decoder', '− Instruction fusion', '− PEFT generation'];

/** Table 6: what of HINT's architecture is needed. */
export const table6: Grid = {
  name: 'table6',
  title: 'Table 6: ablations of the architecture',
  dataset: 'sni',
  metric: 'RougeL',
  cells: [
    {
      row: HINT,
      column: COLUMN,
      system: 'hint',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { positives: 0 },
      paper: printed(undefined, 47.2, undefined),
    },
    {
      row: '+ Decoder',
      column: COLUMN,
      system: 'hint-decoder',
      pretraining: 'hint',
      modules: prefixes,
      data: { positives: 0 },
      paper: printed(undefined, 42.6, undefined),
    },
    {
      row: '− Instruction fusion',
      column: COLUMN,
      system: 'hint-no-fusion',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { positives: 0 },
      paper: printed(undefined, 32.1, undefined),
    },
    {
      row: '− PEFT generation',
      column: COLUMN,
      system: 'hint-no-peft',
      data: { positives: 0 },
      paper: printed(undefined, 40.9, undefined),
    },
  ],
  claims: [
    ...OTHERS.map((row) => above('Table 6', [HINT, COLUMN], [row, COLUMN], `HINT above ${row}`)),
    ...ordered('Table 6', COLUMN, ['+ Decoder', '− PEFT generation', '− Instruction fusion']),
  ],
};
