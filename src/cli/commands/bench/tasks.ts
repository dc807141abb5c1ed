import { join } from 'node:path';
import type { Command } from 'commander';
import { describeMachine, momentSentence } from '../../../benchmark/machine.js';
import { benchConfig } from '../../../benchmark/random-model.js';
import {
  measureTasks,
  TASK_WORK,
  type TaskPart,
  type TaskWork,
} from '../../../benchmark/task-measurements.js';
import { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { packageRoot } from '../../../util/package-root.js';
import { median } from '../../../util/statistics.js';
import { action, table } from '../../support/context.js';
import { Progress } from '../../support/progress.js';
import { prepareResults, reportPart } from './results.js';
import {
  adapterSizeOption,
  dtypesOption,
  examplesOption,
  resultsOption,
  roundsOption,
  sizeOption,
} from './options.js';
import { jsonOption, threadsOption, wholeNumber } from '../../support/options.js';

interface TasksCommandOptions {
  size: string;
  adapterSize: number;
  tasks: number;
  examples: number;
  rounds: number;
  dtypes: WeightDType[];
  threads: number;
  output?: string;
  json: boolean;
}

/** `hint bench tasks`: what tasks cost around generation, and batches of many tasks. */
export function addTasksCommand(bench: Command): void {
  bench
    .command('tasks')
    .summary('time compiling, saving, loading and finding tasks, and batches of many tasks')
    .description(
      'Times a HINT model with random weights at the median lengths of Super-NaturalInstructions: what a task costs, and how fast\n' +
        'a batch of inputs of many tasks is beside one of a single task. Files are read from the cache of the operating system.',
    )
    .addOption(sizeOption('base'))
    .addOption(adapterSizeOption())
    .option('--tasks <n>', 'tasks of a mixed batch', wholeNumber('--tasks', 1), 16)
    .addOption(examplesOption())
    .addOption(roundsOption())
    .addOption(dtypesOption())
    .addOption(threadsOption())
    .addOption(resultsOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ hint bench tasks\n' +
        '  $ hint bench tasks --size small --examples 20 --rounds 2 --dtypes int8\n' +
        '  $ hint bench tasks --output after.json && hint bench compare before.json after.json',
    )
    .action(action((signal, options: TasksCommandOptions) => tasks(options, signal)));
}

async function tasks(
  { size, adapterSize, output, json, ...options }: TasksCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const machine = describeMachine();
  await prepareResults(output);
  const tokenizer = await Tokenizer.load(join(packageRoot(), 'models/demo-t5/tokenizer.json'));
  const progress = new Progress('tasks');
  let part: TaskPart;
  try {
    part = await measureTasks({
      ...options,
      config: benchConfig(size, adapterSize),
      tokenizer,
      signal,
      onProgress: (done, total, name) => progress.update(done, total, name),
    });
  } finally {
    progress.stop();
  }
  await reportPart('tasks', machine, { size, adapterSize, ...part }, { output, json }, () =>
    describe(`T5-${size}, adapters of ${adapterSize}`, part),
  );
}

function describe(model: string, part: TaskPart): string {
  const { tasks, examples, inputTokens, instructionTokens, outputTokens } = part;
  const of = (dtype: string, work: TaskWork): number => median(part.samples[`${dtype} ${work}`] ?? []);
  const mebibytes = (bytes = 0): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const ms = (seconds: number): string => `${(seconds * 1000).toFixed(seconds < 0.01 ? 3 : 1)} ms`;
  const rows = part.dtypes.map((dtype) => [
    dtype,
    ...TASK_WORK.map((work) => ms(of(dtype, work))),
    `${((100 * of(dtype, 'single')) / of(dtype, 'mixed')).toFixed(0)} %`,
    `${(part.eventLoopLag[dtype] ?? 0).toFixed(1)} ms`,
    mebibytes(part.taskBytes[dtype]),
    mebibytes(part.fileBytes[dtype]),
  ]);
  return [
    momentSentence(part),
    `${model}.`,
    `${examples} inputs of ${inputTokens} tokens, ${outputTokens} new tokens each, instructions of ${instructionTokens}; medians.`,
    `single: inputs of one task in one call; scheduled: the same as requests; mixed: requests of ${tasks} tasks, its throughput as a`,
    'share of single, and the worst p99 of the event-loop lag meanwhile; task and file: what a cached task and its file take.',
    '',
    table(['dtype', ...TASK_WORK, 'throughput', 'lag', 'task', 'file'], rows),
  ].join('\n');
}
