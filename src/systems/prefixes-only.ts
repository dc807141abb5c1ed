import { HYPERNETWORK_OPTIONS, PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** Generated prefixes alone (paper Table 5): 30, or 512 by option. The original’s run of 512 had an untied, random hyperencoder (method §3.1). */
export const prefixesOnly: System = {
  name: 'prefixes-only',
  summary: 'Generated prefixes are all that the model has of the instruction.',
  paper: 'Table 5',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('prefixes-only', {
    defaults: { ...PAPER_HYPERNETWORK, adapterSize: 0, instructionFusion: false },
    options: ['prefixLength', 'prefixActivation', 'tieHyperencoder', ...HYPERNETWORK_OPTIONS],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
