import type { Command } from 'commander';
import { readSniTask } from '../../data/natural-instructions/tasks.js';
import { demoInstruction, publishRun, type DemoInstruction } from '../../training/publish/publish.js';
import { action, note, print, printJson } from '../support/context.js';
import { helpText } from '../support/help.js';
import { collect, jsonOption } from '../support/options.js';
import { shellWord } from '../../util/shell-word.js';

interface PublishFlags {
  to: string;
  license?: string;
  dataset: string[];
  definition: string[];
  task: string[];
  json: boolean;
}

/** `hint publish RUN --to DIR`: a folder ready for the hub. */
export function addPublishCommand(program: Command): void {
  program
    .command('publish')
    .summary('write a finished run as a folder for the Hugging Face hub')
    .description(
      'Writes the best model of a finished run with its tokenizer, tasks compiled from demo instructions, settings, curves, and a model\n' +
        'card: data, settings, scores with the commands that give them, licence, provenance. Of the paths of this machine only last\n' +
        'parts stay. Nothing is sent anywhere.',
    )
    .argument('<run>', 'an output directory of "hint train" or "hint pretrain"')
    .requiredOption('--to <directory>', 'a new folder, whose name is the title of the card')
    .option('--license <name>', 'an identifier of the hub, such as apache-2.0; by default none is stated')
    .option('--dataset <name>', 'the training data on the hub, as owner/name; repeatable', collect, [])
    .option('--definition <text>', 'a demo instruction, repeatable', collect, [])
    .option('--task <file>', 'a demo instruction from a task file in the SNI schema, repeatable', collect, [])
    .addOption(jsonOption('what was written'))
    .addHelpText(
      'after',
      helpText(
        '\nWithout --definition and --task, the first three tasks of Super-NaturalInstructions are the demo instructions, if the run ' +
          'was trained on those; of other data, which may be private, none is taken.\n' +
          '\nExamples:\n  $ hint publish runs/hint --to hint-sni-base --license apache-2.0\n' +
          '  $ hint publish runs/own --to colours --definition "Name the colour in the list." --dataset acme/colours',
      ),
    )
    .action(
      action(async (signal, run: string, options: PublishFlags) => {
        const { to, license, dataset: datasets } = options;
        const instructions = await instructionsOf(options);
        const published = await publishRun(run, { to, license, datasets, instructions, signal });
        if (options.json) printJson(published);
        else {
          print(`Written: ${to}, with ${published.files.length} files`);
          for (const name of published.files) print(`  ${name}`);
          print(`Read ${shellWord(`${to}/README.md`)} before you give it away.`);
        }
        if (license === undefined) note('No licence is stated; name one with --license, such as apache-2.0.');
      }),
    );
}

async function instructionsOf({ definition, task }: PublishFlags): Promise<DemoInstruction[] | undefined> {
  if (definition.length === 0 && task.length === 0) return undefined;
  const given = definition.map((text, i) => ({ name: `task-${i + 1}`, definition: text, examples: [] }));
  const read: DemoInstruction[] = [];
  for (const file of task) read.push(demoInstruction(await readSniTask(file, { use: 'prompt' }), 0));
  return [...given, ...read];
}
