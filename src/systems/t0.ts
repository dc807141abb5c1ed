import { plainT5 } from './hypernetwork-plan.js';
import { T5_GROUP, readsWholePrompt, type System } from './system.js';

/** The baseline on P3: T5 that reads the whole prompted input. */
export const t0: System = {
  name: 't0',
  summary: 'Plain T5 that reads the whole prompt with every input.',
  paper: 'Tables 2 and 3',
  setting: (positives) => ({ format: 'tk-instruct', positives }),
  p3Setting: readsWholePrompt('t0'),
  ...plainT5('t0'),
  groups: [T5_GROUP],
};
