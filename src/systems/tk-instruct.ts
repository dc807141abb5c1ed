import { plainT5 } from './hypernetwork-plan.js';
import { T5_GROUP, readsWholePrompt, type System } from './system.js';

/** The paper's main baseline: T5 that reads the whole instruction with every input. */
export const tkInstruct: System = {
  name: 'tk-instruct',
  summary: 'Plain T5 that reads the whole instruction in front of every input.',
  paper: 'Table 1, Figures 3 and 4',
  setting: (positives) => ({ format: 'tk-instruct', positives }),
  p3Setting: readsWholePrompt('tk-instruct'),
  ...plainT5('tk-instruct'),
  groups: [T5_GROUP],
};
