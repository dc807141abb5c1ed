import { HYPERNETWORK_OPTIONS, PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** Generated LoRA alone (paper Table 5, method §2.8): rank 128 on queries and values, or 512 by option. */
export const lora: System = {
  name: 'lora',
  summary: 'Generated LoRA of the query and value projections is all that the model has of the instruction.',
  paper: 'Table 5',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('lora', {
    defaults: {
      ...PAPER_HYPERNETWORK,
      adapterSize: 0,
      prefixLength: 0,
      loraRanks: { q: 128, k: 0, v: 128, o: 0 },
      instructionFusion: false,
    },
    options: ['loraRanks', ...HYPERNETWORK_OPTIONS],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
