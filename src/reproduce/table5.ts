import { above } from './claim.js';
import {
  adapters,
  adaptersAndPrefixes,
  longPrefixes,
  lora,
  prefixes,
  printed,
  wideLora,
  type CellModules,
  type Grid,
} from './grid.js';

const COLUMN = 'Def';

const ROWS: readonly (readonly [row: string, system: string, modules: CellModules, xl: number])[] = [
  ['Adapters + prefixes', 'hint-no-fusion', adaptersAndPrefixes, 32.1],
  ['Adapters', 'adapters-only', adapters, 30.1],
  ['Prefixes', 'prefixes-only', prefixes, 12.1],
  ['Long prefixes', 'prefixes-only', longPrefixes, 15.1],
  ['LoRA', 'lora', lora, 12.1],
  ['LoRA, wide', 'lora', wideLora, 12.6],
];

/** Table 5: what is generated, without fusion. The paper's long prefixes and wide LoRA have 512, its LoRA has 128. */
export const table5: Grid = {
  name: 'table5',
  title: 'Table 5: kinds of generated modules, without fusion',
  dataset: 'sni',
  metric: 'RougeL',
  cells: ROWS.map(([row, system, modules, xl]) => ({
    row,
    column: COLUMN,
    system,
    pretraining: 'hint',
    modules,
    data: { positives: 0 },
    paper: printed(undefined, xl, undefined),
  })),
  claims: [
    ['Adapters + prefixes', 'Adapters'],
    ['Adapters', 'Prefixes'],
    ['Adapters', 'Long prefixes'],
    ['Adapters', 'LoRA'],
    ['Adapters', 'LoRA, wide'],
    ['Long prefixes', 'Prefixes'],
    ['Long prefixes', 'LoRA, wide'],
    ['LoRA, wide', 'LoRA'],
  ].map(([one = '', other = '']) =>
    above('Table 5', [one, COLUMN], [other, COLUMN], `${one} above ${other}`),
  ),
};
