import { decoderOnly } from './decoder-only.js';

/** The decoder-only baseline, in the paper OPT-13B; any size of its family. */
export const opt = decoderOnly('opt', {
  summary: 'OPT, which reads instruction and input as one text and goes on with the answer.',
  paper: 'Table 1 "OPT-13B"',
});
