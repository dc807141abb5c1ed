import { readsWholePrompt, refuseHypernetwork, T5_GROUP, type System } from './system.js';

/** The paper's main baseline: T5 that reads the whole instruction with every input. */
export const tkInstruct: System = {
  name: 'tk-instruct',
  summary: 'Plain T5 that reads the whole instruction in front of every input.',
  setting: (positives) => ({ format: 'tk-instruct', positives }),
  p3Setting: readsWholePrompt('tk-instruct'),
  hint: (_base, options) => refuseHypernetwork('tk-instruct', options),
  groups: [T5_GROUP],
};
