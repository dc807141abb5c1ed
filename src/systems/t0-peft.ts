import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsWholePrompt, type System } from './system.js';

/**
 * T0 + PEFT (method §3.3): task-independent modules made by the generator MLPs from their embeddings, as in the
 * original; or, with the generator `static`, plain learned tensors.
 */
export const t0Peft: System = {
  name: 't0-peft',
  summary: 'T0 with adapters and prefixes that are learned, not generated from the instruction.',
  paper: 'Table 2',
  setting: (positives) => ({ format: 'tk-instruct', positives }),
  p3Setting: readsWholePrompt('t0-peft'),
  ...withHypernetwork('t0-peft', {
    defaults: { ...PAPER_HYPERNETWORK, generator: 'embedding', instructionFusion: false },
    options: [
      'generator',
      'adapterSize',
      'adapterBias',
      'prefixLength',
      'prefixActivation',
      'generatorLayerNorm',
    ],
    generators: ['embedding', 'static'],
  }),
  groups: [HYPERNETWORK_GROUP, T5_GROUP],
};
