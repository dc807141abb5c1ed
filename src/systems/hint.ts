import type { HintConfig } from '../model/config/config.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsPromptApart, type System } from './system.js';

/** The paper's hypernetwork (method §2.3): adapters of 512, prefixes of 30, fusion, tied hyperencoder. */
export const PAPER_HYPERNETWORK: HintConfig = {
  generator: 'cross_attention',
  adapterSize: 512,
  adapterBias: true,
  prefixLength: 30,
  loraRanks: { q: 0, k: 0, v: 0, o: 0 },
  instructionFusion: true,
  tieHyperencoder: true,
  instructionPaddingMask: true,
  generatorLayerNorm: false,
  perLayerGenerators: false,
  embeddingSlots: 0,
  prefixActivation: 'gelu',
};

/** Fields of a cross-attention hypernetwork, besides sizes, that a run may set. */
export const HYPERNETWORK_OPTIONS = ['instructionPaddingMask', 'generatorLayerNorm'] as const;

/** HINT (paper §3): the instruction goes to the hypernetwork only, everything is trained. */
export const hint: System = {
  name: 'hint',
  summary:
    'The hypernetwork reads the instruction and generates adapters and prefixes; the model sees the bare input.',
  paper: 'Tables 1-4 and 6, Figures 3 and 4',
  setting: (positives) => ({ format: 'hint', positives }),
  p3Setting: readsPromptApart,
  ...withHypernetwork('hint', {
    defaults: PAPER_HYPERNETWORK,
    options: [
      'adapterSize',
      'adapterBias',
      'prefixLength',
      'prefixActivation',
      'loraRanks',
      ...HYPERNETWORK_OPTIONS,
    ],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
