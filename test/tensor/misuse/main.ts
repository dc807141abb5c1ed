// The property test of misuse by itself, for builds with sanitizers:
//   node main.js [--seed N] [--iterations N] [--seconds N]
import { parseArgs } from 'node:util';
import { native } from '../../../src/tensor/native.js';
import { misuse } from './run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    iterations: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const number = (text: string | undefined): number => (text === undefined ? Infinity : Number(text));
const seed = Number(values.seed);
console.log(`Misuse from --seed ${seed} on`);
const { episodes, total, missing } = await misuse(native(), {
  seed,
  iterations: number(values.iterations),
  seconds: number(values.seconds ?? (values.iterations === undefined ? '10' : undefined)),
});
const share = Math.round((100 * total.done) / total.calls);
console.log(`${episodes} episodes, ${total.calls} calls, ${share} % of which ran; the others were refused.`);
if (missing.length > 0) console.error(`Never ran: ${missing.join(', ')}`);
if (missing.length > 0 || total.done * 2 < total.calls) process.exitCode = 1;
