import { HYPERNETWORK_OPTIONS, PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** HINT without instruction fusion (paper §5.3): the decoder does not see the encoded instruction. */
export const hintNoFusion: System = {
  name: 'hint-no-fusion',
  summary: 'HINT whose decoder does not read the encoded instruction: adapters and prefixes alone carry it.',
  paper: 'Tables 4-6',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hint-no-fusion', {
    defaults: { ...PAPER_HYPERNETWORK, instructionFusion: false },
    options: ['adapterSize', 'adapterBias', 'prefixLength', 'prefixActivation', ...HYPERNETWORK_OPTIONS],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
