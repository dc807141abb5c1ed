import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsWholePrompt, type System } from './system.js';

/**
 * A baseline that reads its instruction with every input, with modules that belong to no task beside it (method §3.3):
 * made by the generator MLPs from their embeddings, as in the original; or, with the generator `static`, plain learned
 * tensors.
 */
export function learnedPeft(about: Pick<System, 'name' | 'summary' | 'paper'>): System {
  return {
    ...about,
    setting: (positives) => ({ format: 'tk-instruct', positives }),
    p3Setting: readsWholePrompt(about.name),
    ...withHypernetwork(about.name, {
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
}
