import { decoderOnly } from './decoder-only.js';

/** The decoder-only baseline, in the paper GPT-2 XL; any size of its family. */
export const gpt2 = decoderOnly('gpt2', {
  summary: 'GPT-2, which reads instruction and input as one text and goes on with the answer.',
  paper: 'Table 1 "GPT-2 XL"',
});
