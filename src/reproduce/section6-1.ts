import { above } from './claim.js';
import { adaptersAndPrefixes, type Grid, type GridCell } from './grid.js';

const ROWS = [
  ['Tied', 'hint'],
  ['Untied', 'hint-untied'],
] as const;

/** Shares of the pretraining's updates. */
const SHARES = [0, 0.25, 0.5, 1] as const;

const column = (share: number): string => `${share * 100} % of pretraining`;
const [NONE, ALL] = [column(0), column(1)];

/**
 * How long the hypernetwork is pretrained (paper §6.1), with T5's encoder as hyperencoder and with one of its own (paper §3.1). Each share is
 * a pretraining of its own. The paper prints no figures of it.
 */
export const section61: Grid = {
  name: 'section6.1',
  title: 'Pretraining (paper §6.1): its updates, tied and untied hyperencoder',
  dataset: 'sni',
  metric: 'RougeL',
  comparesPretraining: true,
  cells: ROWS.flatMap(([row, system]) =>
    SHARES.map((share): GridCell => ({
      row,
      column: column(share),
      system,
      ...(share === 0 ? {} : { pretraining: 'hint' as const }),
      ...(share === 0 || share === 1 ? {} : { pretrainingShare: share }),
      modules: adaptersAndPrefixes,
      data: { positives: 0 },
    })),
  ),
  claims: [
    above('paper §3.1', ['Tied', ALL], ['Untied', ALL], 'Tying the hyperencoder works best, pretrained'),
    above(
      'paper §3.1',
      ['Tied', NONE],
      ['Untied', NONE],
      'Tying the hyperencoder works best, not pretrained',
    ),
    ...ROWS.map(([row]) =>
      above('paper §6.1', [row, ALL], [row, NONE], `Pretraining helps, ${row.toLowerCase()}`),
    ),
  ],
};
