import type { Command } from 'commander';
import { addCompareCommand } from './compare.js';

/** `hint bench`: measurements and what has changed between them. */
export function addBenchCommand(program: Command): void {
  const bench = program
    .command('bench')
    .summary('compare measurements of the engine')
    .description('Works on the results files of npm run bench, which hold every sample.')
    .addHelpText('after', '\nExamples:\n  $ hint bench compare before.json after.json --fail');
  addCompareCommand(bench);
}
