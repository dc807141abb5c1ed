import type { Command } from 'commander';
import { describeSystem, SYSTEMS } from '../../systems/index.js';
import { action, print, printJson, table } from '../support/context.js';
import { jsonOption } from '../support/options.js';

/** `hint systems`: the systems of the paper that can be trained. */
export function addSystemsCommand(program: Command): void {
  program
    .command('systems')
    .summary('list the systems of the paper')
    .description(
      'Lists every system that "hint train --system" takes: what is fed, generated and trained, and where the paper has its numbers.',
    )
    .addOption(jsonOption('the systems, with the options of each,'))
    .addHelpText('after', '\nExamples:\n  $ hint systems\n  $ hint systems --json')
    .action(
      action(async (_signal, { json }: { json: boolean }) => {
        const systems = SYSTEMS.map(describeSystem);
        if (json) printJson(systems);
        else {
          const header = ['system', 'hypernetwork reads', 'model reads', 'beside T5', 'trained', 'paper'];
          print(
            table(
              header,
              systems.map((system) => [
                system.name,
                system.hypernetworkReads,
                system.modelReads,
                system.generates,
                system.trains,
                system.paper,
              ]),
            ),
          );
          print(
            '\nSizes and variants are options, such as --set model.hint.prefixLength=512; --json lists them.',
          );
        }
      }),
    );
}
