import { plainT5 } from './hypernetwork-plan.js';
import { T5_GROUP, readsFieldsOnly, type System } from './system.js';

/** The lower baseline: T5 that has to guess the task from the input. */
export const noInstruct: System = {
  name: 'no-instruct',
  summary: 'Plain T5 that reads the input alone and never sees an instruction.',
  paper: 'Table 1',
  setting: (positives) => ({ format: 'no-instruct', positives }),
  p3Setting: readsFieldsOnly('no-instruct'),
  ...plainT5('no-instruct'),
  groups: [T5_GROUP],
};
