import { above, near, ordered } from './claim.js';
import { adaptersAndPrefixes, printed, type CellModules, type Grid } from './grid.js';

const COLUMN = 'Zero-shot';
const WHERE = 'Table 2';

// Bottleneck of Hypter on P3 at 3B (method §3.2).
const hypterModules: CellModules = (_sizes, size) => (size === '3B' ? { adapterSize: 4 } : {});

/** Table 2: systems without examples. */
export const table2: Grid = {
  name: 'table2',
  title: 'Table 2: systems without examples',
  dataset: 'p3',
  metric: 'accuracy',
  cells: [
    // Tables 2 and 10 print the same figure of it, which was trained twice as long as the others (method §8.2).
    {
      row: 'T0',
      column: COLUMN,
      system: 't0',
      recipe: 't0',
      data: {},
      paper: printed(undefined, 64.4, undefined),
    },
    {
      row: 'T0 + PEFT',
      column: COLUMN,
      system: 't0-peft',
      modules: adaptersAndPrefixes,
      data: {},
      paper: printed(undefined, 65.5, undefined),
    },
    {
      row: 'No Prompt',
      column: COLUMN,
      system: 'no-prompt',
      data: {},
      paper: printed(undefined, 57.5, undefined),
    },
    {
      row: 'Hypter (Joint)',
      column: COLUMN,
      system: 'hypter',
      modules: hypterModules,
      data: { form: 'joint' },
      paper: printed(undefined, 64.6, undefined),
    },
    {
      row: 'HINT (Joint)',
      column: COLUMN,
      system: 'hint',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { form: 'joint' },
      paper: printed(undefined, 65.4, undefined),
    },
    {
      row: 'Hypter (Split)',
      column: COLUMN,
      system: 'hypter',
      modules: hypterModules,
      data: { form: 'split' },
      paper: printed(undefined, 56.2, undefined),
    },
    {
      row: 'HINT (Split)',
      column: COLUMN,
      system: 'hint',
      pretraining: 'hint',
      modules: adaptersAndPrefixes,
      data: { form: 'split' },
      paper: printed(undefined, 60.3, undefined),
    },
  ],
  claims: [
    ...ordered(WHERE, COLUMN, ['T0 + PEFT', 'HINT (Joint)', 'Hypter (Joint)', 'T0', 'HINT (Split)']),
    above(WHERE, ['HINT (Joint)', COLUMN], ['T0', COLUMN], 'HINT (Joint) above T0'),
    above(WHERE, ['HINT (Split)', COLUMN], ['No Prompt', COLUMN], 'HINT (Split) above No Prompt'),
    above(WHERE, ['HINT (Split)', COLUMN], ['Hypter (Split)', COLUMN], 'HINT (Split) above Hypter (Split)'),
    above(WHERE, ['HINT (Joint)', COLUMN], ['HINT (Split)', COLUMN], 'HINT (Joint) above HINT (Split)'),
    above(WHERE, ['T0', COLUMN], ['No Prompt', COLUMN], 'T0 above No Prompt'),
    above(WHERE, ['No Prompt', COLUMN], ['Hypter (Split)', COLUMN], 'No Prompt above Hypter (Split)'),
    above(
      WHERE,
      ['Hypter (Joint)', COLUMN],
      ['Hypter (Split)', COLUMN],
      'Hypter (Joint) above Hypter (Split)',
    ),
    near(
      WHERE,
      ['HINT (Joint)', COLUMN],
      ['T0 + PEFT', COLUMN],
      1,
      'HINT (Joint) like T0 + PEFT, within 1 point',
    ),
    near(
      WHERE,
      ['HINT (Split)', COLUMN],
      ['HINT (Joint)', COLUMN],
      5.1,
      'HINT (Split) close to HINT (Joint) (5.1 points, as printed)',
    ),
  ],
};
