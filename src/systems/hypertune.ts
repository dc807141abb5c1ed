import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, readsPromptApart, type System } from './system.js';

/** HyperTune (Phang et al., as replicated by the original; method §3.4): only the hypernetwork is trained. */
export const hypertune: System = {
  name: 'hypertune',
  summary: 'T5 is frozen; a T5 encoder-decoder generates prefixes from the instruction.',
  paper: 'Table 1',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hypertune', {
    defaults: {
      ...PAPER_HYPERNETWORK,
      generator: 'decoder',
      adapterSize: 0,
      tieHyperencoder: false,
      generatorLayerNorm: true,
      instructionFusion: false,
    },
    options: [
      'prefixLength',
      'prefixActivation',
      'tieHyperencoder',
      'generatorLayerNorm',
      'instructionPaddingMask',
    ],
  }),
  groups: [HYPERNETWORK_GROUP],
};
