import { PAPER_HYPERNETWORK } from './hint.js';
import { withHypernetwork } from './hypernetwork-plan.js';
import { HYPERNETWORK_GROUP, T5_GROUP, readsWholePrompt, type System } from './system.js';

/**
 * A baseline that reads its instruction with every input and has modules that are the same for every task (method §3.3):
 * generator MLPs make them from component embeddings, as in the original; with the generator `static` they are learned
 * tensors themselves.
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
