import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** HINT that generates no modules: instruction fusion alone (paper Table 6). */
export const hintNoPeft: System = {
  name: 'hint-no-peft',
  summary: 'The decoder reads the encoded instruction, nothing is generated and no parameter is added.',
  paper: 'Table 6',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hint-no-peft', {
    defaults: { ...PAPER_HYPERNETWORK, adapterSize: 0, prefixLength: 0 },
    options: ['instructionPaddingMask'],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
