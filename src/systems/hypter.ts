import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/**
 * Hypter (Ye and Ren, as replicated by the original; method §3.2). Its hyperencoder starts as a copy of T5's; the original's
 * scripts left it random, `model.hyperencoderInit: "random"`. Adapters of 8; 4 for P3 at XL and 1 for SNI at XXL.
 */
export const hypter: System = {
  name: 'hypter',
  summary: 'One vector, the mean of the encoded instruction, generates the adapters of all layers at once.',
  paper: 'Tables 1 and 2',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hypter', {
    defaults: {
      ...PAPER_HYPERNETWORK,
      generator: 'hypter',
      adapterSize: 8,
      prefixLength: 0,
      instructionFusion: false,
      tieHyperencoder: false,
      perLayerGenerators: true,
    },
    options: [
      'adapterSize',
      'adapterBias',
      'tieHyperencoder',
      'generatorLayerNorm',
      'instructionPaddingMask',
    ],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
