import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/**
 * The "+ Decoder" ablation (paper Table 6, method §3.4). As programmed it generates prefixes only, one generator output
 * for all slots; with `adapterSize` set and `perLayerGenerators` false it is what the paper's line describes.
 */
export const hintDecoder: System = {
  name: 'hint-decoder',
  summary:
    'HINT whose component embeddings pass through a whole T5 decoder; prefixes and fusion, as programmed.',
  paper: 'Table 6',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hint-decoder', {
    defaults: {
      ...PAPER_HYPERNETWORK,
      generator: 'decoder',
      adapterSize: 0,
      tieHyperencoder: false,
      generatorLayerNorm: true,
      perLayerGenerators: true,
      embeddingSlots: 16,
    },
    options: [
      'adapterSize',
      'adapterBias',
      'prefixLength',
      'prefixActivation',
      'tieHyperencoder',
      'generatorLayerNorm',
      'perLayerGenerators',
      'embeddingSlots',
      'instructionPaddingMask',
    ],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
