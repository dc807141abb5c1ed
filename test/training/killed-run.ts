// A training process to be killed: node vite-node.mjs killed-run.ts OUTPUT CHANGES, the latter as JSON. Says which steps
// are saved, and never ends by itself.
import type { TrainingConfigInput } from '../../src/training/config/config.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { tinyRun } from './run-setup.js';

const [output, changes] = process.argv.slice(-2) as [string, string];
const settings = JSON.parse(changes) as Partial<TrainingConfigInput>;
await trainFromConfig(tinyRun(output, { ...settings, steps: 100_000 }), {
  onEvent: (event) => {
    if (event.kind === 'checkpoint') process.stdout.write(`saved ${event.step}\n`);
  },
});
