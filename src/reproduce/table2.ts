import { adaptersAndPrefixes, printed, type CellModules, type Grid } from './grid.js';

const COLUMN = 'Zero-shot';

// Bottleneck of Hypter on P3 at 3B (method §3.2).
const hypterModules: CellModules = (_sizes, size) => (size === '3B' ? { adapterSize: 4 } : {});

/** Table 2: P3, zero-shot. */
export const table2: Grid = {
  name: 'table2',
  title: 'Table 2: P3, zero-shot',
  dataset: 'p3',
  metric: 'accuracy',
  cells: [
    { row: 'T0', column: COLUMN, system: 't0', data: {}, paper: printed(undefined, 64.4, undefined) },
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
    { says: 'HINT (Joint) above T0', above: ['HINT (Joint)', COLUMN], below: ['T0', COLUMN] },
    { says: 'HINT (Split) above No Prompt', above: ['HINT (Split)', COLUMN], below: ['No Prompt', COLUMN] },
    {
      says: 'HINT (Split) above Hypter (Split)',
      above: ['HINT (Split)', COLUMN],
      below: ['Hypter (Split)', COLUMN],
    },
    {
      says: 'HINT (Joint) above HINT (Split)',
      above: ['HINT (Joint)', COLUMN],
      below: ['HINT (Split)', COLUMN],
    },
    { says: 'T0 above No Prompt', above: ['T0', COLUMN], below: ['No Prompt', COLUMN] },
  ],
};
