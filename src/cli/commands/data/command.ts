import type { Command } from 'commander';
import { checkDataset } from '../../../data/check/check.js';
import type { DatasetKind } from '../../../data/detect.js';
import { createPrompt } from '../../../data/natural-instructions/prompts.js';
import { chooseTarget, readSniTasks, selectInstances } from '../../../data/natural-instructions/tasks.js';
import { SPLIT_FIELD } from '../../../data/own/dataset.js';
import { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import { findSystem, type System } from '../../../systems/index.js';
import { HintError } from '../../../util/errors.js';
import { describeNotice, Notices } from '../../../util/notices.js';
import { shown } from '../../../util/shown.js';
import { action, EXIT, note, print, printJson } from '../../support/context.js';
import { firstOwnExamples } from './own-examples.js';
import { firstP3Examples, type P3DataOptions } from './p3-examples.js';
import { countSplit, type DataPart } from './splits.js';
import { describeStatistics } from './paper-tables.js';
import { statisticsOf } from './statistics.js';
import { jsonOption, seedOption, wholeNumber } from '../../support/options.js';
import {
  addSplittingFlags,
  datasetKind,
  datasetsOption,
  instancesOption,
  kindOption,
  splitName,
  type SplittingFlags,
} from '../../support/dataset-options.js';

interface DataOptions extends P3DataOptions, SplittingFlags {
  tokenizer?: string;
  system: string;
  kind?: string;
  positives: number;
  track?: string;
  check: boolean;
  statistics: boolean;
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
  const command = program
    .command('data')
    .summary('print examples as a system sees them, check a dataset, or measure it')
    .description(
      'Formats and tokenises examples of Super-NaturalInstructions, P3 or own data for one system and setting, and says what of the\n' +
        'split is empty, repeated or left out. With --check: lists what is wrong, by file, line and field. With --statistics: counts\n' +
        "and median token lengths of each split, in the shape of the paper's Tables 7 and 8.",
    )
    .argument(
      '<path>',
      'a folder with tasks/ and splits/, or templates.json and splits.json, or own data: a file, or a folder of them',
    )
    .option('--tokenizer <path>', 'a tokenizer.json, or a folder that holds one')
    .option('--system <name>', 'whose format', 'hint')
    .addOption(kindOption())
    .option(
      '--split <name>',
      'SNI: train, test (default) or excluded; P3: train (default), eval, fewshot or extra; own data: train, test, a name in the split field, or all (default)',
    )
    .option('--track <name>', 'SNI: the folder of splits/')
    .option('--positives <n>', 'positive examples in the instruction', wholeNumber('--positives'), 0)
    .addOption(datasetsOption())
    .option('--form <name>', 'P3, for systems with a hypernetwork: joint or split')
    .option('--shots <n>', 'P3: worked examples', wholeNumber('--shots'))
    .option('--tasks <n>', 'tasks to show', wholeNumber('--tasks', 1), 2)
    .addOption(instancesOption(2));
  addSplittingFlags(command)
    .addOption(seedOption('chooses among references, or worked examples', 0))
    .option('--check', 'read all of it and list what is wrong; exits with 1 when something is', false)
    .option('--statistics', 'counts and median lengths of each split', false)
    .addOption(jsonOption('the examples, faults or statistics'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint data natural-instructions --tokenizer t5-base --system tk-instruct --positives 2\n' +
        '  $ hint data p3 --tokenizer t5-base --form split --shots 1 --datasets quarel\n' +
        '  $ hint data my-tasks.jsonl --check\n' +
        '  $ hint data my-tasks.jsonl --tokenizer t5-base --statistics --json > statistics.json',
    )
    .action(
      action(async (signal, path: string, options: DataOptions) => {
        const kind = await datasetKind(path, options.kind);
        if (options.check) return check(kind, path, options, signal);
        const notices = new Notices();
        const tokenizer = await openTokenizer(options);
        const { positives, shots = 0 } = options;
        const part: DataPart = { ...options, kind, path };
        if (options.statistics) {
          const request = { tokenizer, shots: kind === 'p3' ? shots : positives, notices, signal };
          const statistics = await statisticsOf(part, request);
          if (options.json) printJson(statistics);
          else print(describeStatistics(statistics));
          tell(notices);
          return EXIT.ok;
        }
        const system = findSystem(options.system);
        const shown = await examples(kind, path, { system, tokenizer }, options, signal);
        if (options.json) printJson(shown);
        else for (const example of shown) print(describe(example));
        const split = options.split ?? { sni: 'test', p3: 'train', own: 'all' }[kind];
        const showing = { system, tokenizer, shots: kind === 'p3' ? shots : positives, notices, signal };
        const { counts } = await countSplit(part, split, showing);
        tell(notices);
        note(
          `${split}: ${counts.tasks} tasks, ${counts.examples} examples; ${counts.unknown} of ${counts.tokens} tokens are unknown pieces.`,
        );
        return EXIT.ok;
      }),
    );
}

async function openTokenizer({ tokenizer }: DataOptions): Promise<Tokenizer> {
  if (tokenizer !== undefined) return Tokenizer.load(tokenizer);
  throw new HintError(
    'INVALID_ARGUMENT',
    'Give --tokenizer, a tokenizer.json or a folder that holds one; only --check needs none.',
  );
}

/** Says what was noticed. */
function tell(notices: Notices): void {
  for (const notice of notices.list) note(`warning: ${describeNotice(notice)}`);
}

// Faults that a person reads; the others are counted.
const MOST_FAULTS = 50;

async function check(
  kind: DatasetKind,
  path: string,
  { splitField = SPLIT_FIELD, json }: DataOptions,
  signal: AbortSignal,
): Promise<number> {
  const notices = new Notices();
  const found = await checkDataset(kind, path, { splitField, most: MOST_FAULTS, notices, signal });
  if (json) printJson({ kind, ...found, notices: notices.list });
  else {
    for (const fault of found.faults) print(fault);
    const more = found.faultCount - found.faults.length;
    if (more > 0) print(`… and ${more} more`);
    tell(notices);
    const what = { sni: 'instances', p3: 'rows', own: 'records' }[kind];
    print(`${found.files} files, ${found.records} ${what}, ${found.faultCount} faults.`);
  }
  return found.faultCount === 0 ? EXIT.ok : EXIT.failed;
}

function examples(
  kind: DatasetKind,
  path: string,
  parts: Parts,
  options: DataOptions,
  signal: AbortSignal,
): Promise<Shown[]> {
  if (kind === 'p3') return p3Examples(path, parts, options, signal);
  return kind === 'own'
    ? ownExamples(path, parts, options, signal)
    : sniExamples(path, parts, options, signal);
}

async function ownExamples(
  path: string,
  parts: Parts,
  options: DataOptions,
  signal: AbortSignal,
): Promise<Shown[]> {
  const piece = (text: string): { text: string; ids: number[] } => ({
    text,
    ids: [...parts.tokenizer.encode(text)],
  });
  const found = await firstOwnExamples(path, parts, options, signal);
  return found.map(({ row, instruction, input, target }) => ({
    task: row.task,
    id: row.id,
    instruction: instruction === null ? null : piece(instruction),
    input: piece(input),
    target: piece(target),
    references: row.outputs,
  }));
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
  const { track } = options;
  for await (const task of readSniTasks({ directory, split, ...(track && { track }), signal })) {
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
