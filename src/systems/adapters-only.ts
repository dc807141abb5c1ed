import { HYPERNETWORK_OPTIONS, PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** Generated adapters alone (paper Table 5). */
export const adaptersOnly: System = {
  name: 'adapters-only',
  summary: 'Generated adapters are all that the model has of the instruction.',
  paper: 'Table 5',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('adapters-only', {
    defaults: { ...PAPER_HYPERNETWORK, prefixLength: 0, instructionFusion: false },
    options: ['adapterSize', 'adapterBias', ...HYPERNETWORK_OPTIONS],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
