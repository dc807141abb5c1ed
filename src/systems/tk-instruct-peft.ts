import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsWholePrompt, type System } from './system.js';

/**
 * Tk-Instruct + PEFT (method §3.3): task-independent modules made by the generator MLPs from their embeddings, as in the
 * original; or, with the generator `static`, plain learned tensors.
 */
export const tkInstructPeft: System = {
  name: 'tk-instruct-peft',
  summary: 'Tk-Instruct with adapters and prefixes that are learned, not generated from the instruction.',
  paper: 'Table 1',
  setting: (positives) => ({ format: 'tk-instruct', positives }),
  p3Setting: readsWholePrompt('tk-instruct-peft'),
  ...withHypernetwork('tk-instruct-peft', {
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
