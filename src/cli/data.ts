import type { Command } from 'commander';
import { createPrompt } from '../data/formats.js';
import { chooseTarget, readSniTasks, selectInstances, type SniSplit } from '../data/natural-instructions.js';
import { Tokenizer } from '../data/tokenizer.js';
import { findSystem } from '../systems/index.js';
import { action, print, printJson, splitName, wholeNumber } from './context.js';

interface DataOptions {
  tokenizer: string;
  system: string;
  split: SniSplit;
  positives: number;
  tasks: number;
  instances: number;
  seed: number;
  json: boolean;
}

interface Shown {
  task: string;
  id: string;
  instruction: { text: string; ids: number[] } | null;
  input: { text: string; ids: number[] };
  target: { text: string; ids: number[] };
  references: string[];
}

/** `hint data DIR`: what a system would see of a dataset. */
export function addDataCommand(program: Command): void {
  program
    .command('data')
    .summary('print examples as a system sees them, as text and token ids')
    .description(
      'Formats and tokenises examples of a dataset in the Super-NaturalInstructions schema for one system and setting.',
    )
    .argument('<directory>', 'the folder that holds tasks/ and splits/')
    .requiredOption('--tokenizer <path>', 'a tokenizer.json, or a folder that holds one')
    .option('--system <name>', 'whose format', 'hint')
    .option('--split <name>', 'train, test or excluded', splitName, 'test')
    .option('--positives <n>', 'positive examples in the instruction', wholeNumber('--positives'), 0)
    .option('--tasks <n>', 'tasks to show', wholeNumber('--tasks', 1), 2)
    .option('--instances <n>', 'instances of each task', wholeNumber('--instances', 1), 2)
    .option('--seed <n>', 'chooses among references', wholeNumber('--seed'), 0)
    .option('--json', 'print the examples as JSON', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ hint data natural-instructions --tokenizer t5-base --system tk-instruct --positives 2',
    )
    .action(
      action(async (signal, directory: string, options: DataOptions) => {
        const shown = await examples(directory, options, signal);
        if (options.json) printJson(shown);
        else for (const example of shown) print(describe(example));
      }),
    );
}

async function examples(directory: string, options: DataOptions, signal: AbortSignal): Promise<Shown[]> {
  const { split } = options;
  const setting = findSystem(options.system).setting(options.positives);
  const tokenizer = await Tokenizer.load(options.tokenizer);
  const piece = (text: string): { text: string; ids: number[] } => ({
    text,
    ids: [...tokenizer.encode(text)],
  });
  const shown: Shown[] = [];
  let tasks = 0;
  for await (const task of readSniTasks({ directory, split, signal })) {
    const prompt = createPrompt(task, setting, tokenizer);
    for (const instance of selectInstances(task.instances, split, options.instances)) {
      shown.push({
        task: task.name,
        id: instance.id,
        instruction: prompt.instruction === null ? null : piece(prompt.instruction),
        input: piece(prompt.formatInput(instance.input)),
        target: piece(chooseTarget(instance, options.seed)),
        references: [...instance.outputs],
      });
    }
    if (++tasks >= options.tasks) break;
  }
  return shown;
}

function describe({ task, id, instruction, input, target }: Shown): string {
  const part = (name: string, value: { text: string; ids: number[] } | null): string =>
    value
      ? `${name} (${value.ids.length} tokens)\n  ${JSON.stringify(value.text)}\n  ${value.ids.join(' ')}`
      : `${name}: none`;
  return [
    `== ${task}  ${id}`,
    part('instruction', instruction),
    part('input', input),
    part('target', target),
    '',
  ].join('\n');
}
