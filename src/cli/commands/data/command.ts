import type { Command } from 'commander';
import { createPrompt } from '../../../data/natural-instructions/prompts.js';
import { chooseTarget, readSniTasks, selectInstances } from '../../../data/natural-instructions/tasks.js';
import { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import { findSystem, type System } from '../../../systems/index.js';
import { shown } from '../../../util/shown.js';
import { action, print, printJson } from '../../support/context.js';
import { firstP3Examples, type P3DataOptions } from './p3-examples.js';
import { jsonOption, seedOption, wholeNumber } from '../../support/options.js';
import {
  datasetKind,
  datasetsOption,
  instancesOption,
  kindOption,
  splitName,
} from '../../support/dataset-options.js';

interface DataOptions extends P3DataOptions {
  tokenizer: string;
  system: string;
  kind?: string;
  positives: number;
  json: boolean;
}

interface Shown {
  task: string;
  id: string;
  instruction: { text: string; ids: number[] } | null;
  input: { text: string; ids: number[] };
  target: { text: string; ids: number[] };
  references: string[];
  choices?: string[];
}

/** `hint data DIR`: what a system would see of a dataset. */
export function addDataCommand(program: Command): void {
  program
    .command('data')
    .summary('print examples as a system sees them, as text and token ids')
    .description(
      'Formats and tokenises examples of Super-NaturalInstructions or P3 for one system and setting.',
    )
    .argument('<directory>', 'the folder that holds tasks/ and splits/, or templates.json and splits.json')
    .requiredOption('--tokenizer <path>', 'a tokenizer.json, or a folder that holds one')
    .option('--system <name>', 'whose format', 'hint')
    .addOption(kindOption())
    .option(
      '--split <name>',
      'SNI: train, test (default) or excluded; P3: train (default), eval, fewshot or extra',
    )
    .option('--positives <n>', 'positive examples in the instruction', wholeNumber('--positives'), 0)
    .addOption(datasetsOption())
    .option('--form <name>', 'P3, for systems with a hypernetwork: joint or split')
    .option('--shots <n>', 'P3: worked examples', wholeNumber('--shots'))
    .option('--tasks <n>', 'tasks to show', wholeNumber('--tasks', 1), 2)
    .addOption(instancesOption(2))
    .addOption(seedOption('chooses among references, or worked examples', 0))
    .addOption(jsonOption('the examples'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint data natural-instructions --tokenizer t5-base --system tk-instruct --positives 2\n' +
        '  $ hint data p3 --tokenizer t5-base --form split --shots 1 --datasets quarel',
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
  const kind = await datasetKind(directory, options.kind);
  const system = findSystem(options.system);
  const tokenizer = await Tokenizer.load(options.tokenizer);
  return kind === 'p3'
    ? p3Examples(directory, { system, tokenizer }, options, signal)
    : sniExamples(directory, { system, tokenizer }, options, signal);
}

interface Parts {
  system: System;
  tokenizer: Tokenizer;
}

async function p3Examples(
  directory: string,
  parts: Parts,
  options: DataOptions,
  signal: AbortSignal,
): Promise<Shown[]> {
  const piece = (ids: Int32Array): { text: string; ids: number[] } => ({
    text: parts.tokenizer.decode(ids),
    ids: [...ids],
  });
  const found = await firstP3Examples(directory, parts, options, signal);
  return found.map(({ task, id, instruction, input, target, references, choices }) => ({
    task,
    id,
    instruction: instruction.length > 0 ? piece(instruction) : null,
    input: piece(input),
    target: piece(target),
    references,
    ...(choices ? { choices: choices.map(({ text }) => text) } : {}),
  }));
}

async function sniExamples(
  directory: string,
  { system, tokenizer }: Parts,
  options: DataOptions,
  signal: AbortSignal,
): Promise<Shown[]> {
  const split = splitName(options.split ?? 'test');
  const setting = system.setting(options.positives);
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

function describe({ task, id, instruction, input, target, choices }: Shown): string {
  const part = (name: string, value: { text: string; ids: number[] } | null): string =>
    value
      ? `${name} (${value.ids.length} tokens)\n  ${JSON.stringify(value.text)}\n  ${value.ids.join(' ')}`
      : `${name}: none`;
  return [
    shown(`== ${task}  ${id}`),
    part('instruction', instruction),
    part('input', input),
    part('target', target),
    ...(choices ? [`choices\n  ${JSON.stringify(choices)}`] : []),
    '',
  ].join('\n');
}
