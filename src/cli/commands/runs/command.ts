import type { Command } from 'commander';
import { addRunsCompareCommand } from './compare.js';
import { addRunsListCommand } from './list.js';

/** `hint runs`: what lies in folders of training runs. */
export function addRunsCommand(program: Command): void {
  const runs = program
    .command('runs')
    .summary('list training runs, and say what differs between them')
    .description('Reads what training runs have logged.')
    .addHelpText('after', '\nExamples:\n  $ hint runs list runs\n  $ hint runs compare runs/hint runs/lora');
  addRunsListCommand(runs);
  addRunsCompareCommand(runs);
}
