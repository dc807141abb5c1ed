import { learnedPeft } from './learned-peft.js';

/** Tk-Instruct + PEFT (method §3.3): Tk-Instruct with task-independent modules. */
export const tkInstructPeft = learnedPeft({
  name: 'tk-instruct-peft',
  summary: 'Tk-Instruct with adapters and prefixes that are learned, not generated from the instruction.',
  paper: 'Table 1',
});
