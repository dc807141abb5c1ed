import type { Command } from 'commander';
import { addCompareCommand } from './compare.js';
import { addLatencyCommand } from './latency.js';
import { addScalingCommand } from './scaling.js';
import { addServeBenchCommand } from './serve.js';
import { addSoakCommand } from './soak.js';
import { addTasksCommand } from './tasks.js';
import { addTrainingCommand } from './training.js';

/** `hint bench`: measurements and what has changed between them. */
export function addBenchCommand(program: Command): void {
  const bench = program
    .command('bench')
    .summary('measure the engine beside other runtimes, and compare measurements')
    .description(
      'Measures on this machine; compares results files, which hold every sample, also those of npm run bench.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint bench latency --shots 0..5\n  $ hint bench compare before.json after.json --fail',
    );
  addLatencyCommand(bench);
  addCompareCommand(bench);
  addTasksCommand(bench);
  addTrainingCommand(bench);
  addScalingCommand(bench);
  addServeBenchCommand(bench);
  addSoakCommand(bench);
}
