import { readsFieldsOnly, refuseHypernetwork, T5_GROUP, type System } from './system.js';

/** The lower baseline: T5 that has to guess the task from the input. */
export const noInstruct: System = {
  name: 'no-instruct',
  summary: 'Plain T5 that reads the input alone and never sees an instruction.',
  setting: (positives) => ({ format: 'no-instruct', positives }),
  p3Setting: readsFieldsOnly('no-instruct'),
  hint: (_base, options) => refuseHypernetwork('no-instruct', options),
  groups: [T5_GROUP],
};
