// A training process to be killed: node vite-node.mjs killed-run.ts OUTPUT. Says which steps are saved, and never ends
// by itself.
import { trainFromConfig } from '../../src/training/run.js';
import { tinyRun } from './run-setup.js';

const output = process.argv.at(-1) as string;
await trainFromConfig(tinyRun(output, { steps: 100_000 }), {
  onEvent: (event) => {
    if (event.kind === 'checkpoint') process.stdout.write(`saved ${event.step}\n`);
  },
});
