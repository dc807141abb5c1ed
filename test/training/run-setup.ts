import { dirname, join } from 'node:path';
import {
  parseTrainingConfig,
  type TrainingConfig,
  type TrainingConfigInput,
} from '../../src/training/config/config.js';
import type { SniDataInput } from '../../src/training/config/data-config.js';
import { FIXTURES } from './tiny.js';

/** The data of {@link tinyRun}. */
export function tinyData(output: string): SniDataInput {
  return {
    kind: 'sni',
    directory: join(FIXTURES, 'sni'),
    instancesPerTask: 8,
    maxTargetTokens: 16,
    cache: join(dirname(output), 'tokens'),
  };
}

/** A run of six steps on the real-text fixture with a model of width 16. */
export function tinyRun(output: string, changes: Partial<TrainingConfigInput> = {}): TrainingConfig {
  return parseTrainingConfig({
    model: {
      init: {
        config: {
          vocab_size: 8128,
          d_model: 16,
          d_kv: 8,
          d_ff: 32,
          num_layers: 1,
          num_heads: 2,
        },
      },
      tokenizer: join(FIXTURES, 'tokenizer'),
      hint: { adapterSize: 4, prefixLength: 2 },
    },
    data: tinyData(output),
    output,
    steps: 6,
    batchSize: 4,
    tokenBudget: 80,
    saveEvery: 2,
    learningRate: 1e-2,
    threads: 1,
    seed: 5,
    ...changes,
  });
}
