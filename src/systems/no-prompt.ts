import { plainT5 } from './hypernetwork-plan.js';
import { T5_GROUP, readsFieldsOnly, type System } from './system.js';

/** The lower baseline on P3: T5 that reads the fields of the instance without the prompt (method §8.3). */
export const noPrompt: System = {
  name: 'no-prompt',
  summary: 'Plain T5 that reads the fields of the instance and never sees the prompt.',
  paper: 'Table 2',
  setting: (positives) => ({ format: 'no-instruct', positives }),
  p3Setting: readsFieldsOnly('no-prompt'),
  ...plainT5('no-prompt'),
  groups: [T5_GROUP],
};
