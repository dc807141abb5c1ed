import { HYPERNETWORK_OPTIONS, PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** HINT whose instruction is read by a second encoder, a copy of T5’s at the start (method §2.2, method §10.3). */
export const hintUntied: System = {
  name: 'hint-untied',
  summary: 'HINT with a separate hyperencoder, which starts as a copy of T5’s encoder.',
  paper: 'paper §3.1',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hint-untied', {
    defaults: { ...PAPER_HYPERNETWORK, tieHyperencoder: false },
    options: [
      'adapterSize',
      'adapterBias',
      'prefixLength',
      'prefixActivation',
      'instructionFusion',
      ...HYPERNETWORK_OPTIONS,
    ],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
