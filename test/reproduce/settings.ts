import { join } from 'node:path';
import { above } from '../../src/reproduce/claim.js';
import type { Grid, Provenance, ReproduceSettings } from '../../src/reproduce/index.js';
import { FIXTURES } from '../training/tiny.js';

/** Three systems on the SNI fixture, one of them pretrained. */
export const TINY_GRID: Grid = {
  name: 'tiny',
  title: 'A tiny table',
  dataset: 'sni',
  metric: 'RougeL',
  cells: [
    {
      row: 'HINT',
      column: 'Def',
      system: 'hint',
      pretraining: 'hint',
      modules: ({ adapterSize = 512, prefixLength = 30 }) => ({ adapterSize, prefixLength }),
      data: { positives: 0 },
      paper: { '3B': 47.2 },
    },
    {
      row: 'HINT',
      column: 'Def + 1 Pos',
      system: 'hint',
      pretraining: 'hint',
      modules: ({ adapterSize = 512, prefixLength = 30 }) => ({ adapterSize, prefixLength }),
      data: { positives: 1 },
    },
    { row: 'No-Instruct', column: 'Def', system: 'no-instruct', data: { positives: 0 } },
  ],
  claims: [above('Table 0', ['HINT', 'Def'], ['No-Instruct', 'Def'], 'HINT above No-Instruct')],
};

/** Two steps of everything with a model of width 16. */
export function tinySettings(output: string): ReproduceSettings {
  return {
    data: join(FIXTURES, 'sni'),
    text: [join(FIXTURES, 'text')],
    models: [
      {
        label: 'tiny',
        init: {
          config: { vocab_size: 8128, d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_heads: 2 },
        },
        tokenizer: join(FIXTURES, 'tokenizer'),
      },
    ],
    seeds: [0],
    steps: 2,
    pretrainSteps: 2,
    sizes: { adapterSize: 4, prefixLength: 2 },
    training: {
      batchSize: 4,
      tokenBudget: 400,
      data: { instancesPerTask: 8, maxInstructionTokens: 48, maxInputTokens: 48, maxTargetTokens: 8 },
    },
    pretraining: {
      batchSize: 2,
      data: { segmentTokens: 32, documentsPerGroup: 2, lastSegment: 'pad', threads: 0 },
    },
    evaluation: { instances: 2, maxTokens: 3, batchSize: 8 },
    threads: 1,
    output,
  };
}

/** Where results of a test come from. */
export const MADE: Provenance = {
  version: '0.0.0',
  commit: 'abc',
  uncommitted: false,
  date: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A processor', cores: 2, isa: [], memoryGiB: 1, node: 'v20' },
};
