// A rank of a run: mpirun … node vite-node.mjs rank.ts SETTINGS, which are JSON. Trains the model of the training fixture, and
// rank 0 prints the hash of every parameter and writes their values where it is told to.
import { writeFileSync } from 'node:fs';
import { Group } from '../../src/distributed/group.js';
import { launcherOf } from '../../src/distributed/launcher.js';
import { Device } from '../../src/tensor/device.js';
import { tinyTrainer, valuesOf } from '../training/tiny.js';
import { numbersOf, OPTIMIZERS, weightsOf, type RankSettings } from './rank-runs.js';

const given = JSON.parse(process.argv.at(-1) ?? '') as RankSettings;
const implementation = launcherOf(process.env);
if (!implementation) throw new Error('Start this by mpirun.');
const ranks = await Group.join(implementation);
const device = new Device({ threads: 1 });
const { model, trainer, optimizer } = tinyTrainer(device, given.settings, () => true, {
  optimizer: OPTIMIZERS[given.optimizer],
  ranks,
});
const reports = [];
for await (const report of trainer.steps()) reports.push(numbersOf(report));
const moments = [...optimizer.state().values()].reduce((sum, { bytes }) => sum + bytes, 0);
const all = await ranks.exchange(
  { reports, moments, values: [...(await valuesOf(model))] },
  'compare results',
);
if (ranks.rank === 0) {
  const weights = await weightsOf(model);
  writeFileSync(given.output, JSON.stringify({ all, weights }));
}
await ranks.close();
device.close();
