import { learnedPeft } from './learned-peft.js';

/** T0 + PEFT (method §3.3): T0 with task-independent modules. */
export const t0Peft = learnedPeft({
  name: 't0-peft',
  summary: 'T0 with adapters and prefixes that are learned, not generated from the instruction.',
  paper: 'Table 2',
});
