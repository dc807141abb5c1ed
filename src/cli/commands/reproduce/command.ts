import { join } from 'node:path';
import type { Command } from 'commander';
import { HintError } from '../../../util/errors.js';
import { MODEL_SIZES } from '../../../model/config/sizes.js';
import {
  checkReport,
  findGrid,
  provenance,
  GRIDS,
  reportOf,
  runGrid,
  selectCells,
  writeReport,
  type GridEvent,
  type RunGridOptions,
} from '../../../reproduce/index.js';
import { doneOnce, foundOnce } from '../../../distributed/agreement.js';
import { requireSharedFolder } from '../../../distributed/shared-folder.js';
import { amongRanks } from '../../support/ranks.js';
import { shotList } from '../../support/choices.js';
import { batchSizeOption } from '../../support/decoding.js';
import { action, EXIT, note, print, printJson, table } from '../../support/context.js';
import { Progress } from '../../support/progress.js';
import { reporter } from '../../support/run-settings.js';
import { demoWorld } from './demo-world.js';
import { reproduceFigure4 } from './figure4.js';
import { readSettings, type ReproduceOptions } from './settings.js';
import { collect, deviceOption, jsonOption, threadsOption, wholeNumber } from '../../support/options.js';

/** `hint reproduce TABLE`: the runs behind a table of the paper, and the table. */
export function addReproduceCommand(program: Command): void {
  program
    .command('reproduce')
    .summary('run the experiments behind a table of the paper')
    .description(
      'Pretrains, trains and evaluates every system of a table, and writes results (JSON), a Markdown table beside the\n' +
        "paper's figures, and plots (SVG, PNG). Settings are the paper's unless told. Ctrl-C keeps what is done; the same\n" +
        'command goes on from there. Tables with the same output share the runs they have in common.',
    )
    .argument('<table>', `${GRIDS.map(({ name }) => name).join(', ')}, or figure4`)
    .option('--row <names...>', 'only these rows of the table')
    .option('--column <names...>', 'only these columns')
    .option('--data <directory>', 'Super-NaturalInstructions, for tables 2 and 3 P3')
    .option('--text <path...>', 'text to pretrain hypernetworks on: files, folders, glob patterns in quotes')
    .option('--init <directory>', 'a T5 to start from, repeatable', collect, [])
    .option('--size <names>', `or new ones of published sizes, with commas: ${MODEL_SIZES.join(', ')}`)
    .option('--model-config <file>', 'or a new one with the fields of a T5 config.json')
    .option(
      '--gpt2 <directory>',
      'table1: a GPT-2 for its rows; new weights where it has only config.json and tokenizer.json',
    )
    .option('--opt <directory>', 'table1: an OPT for its rows')
    .option('--tokenizer <path>', 'the tokenizer.json of a new model')
    .option('--steps <n>', 'updates of each training', wholeNumber('--steps', 1))
    .option(
      '--pretrain-steps <n>',
      'updates of each pretraining, 0 for none',
      wholeNumber('--pretrain-steps'),
    )
    .option('--seeds <list>', 'seeds, with commas', '0')
    .option('--adapter-size <n>', 'bottleneck of adapters, instead of 512', wholeNumber('--adapter-size', 1))
    .option('--prefix-length <n>', 'prefix tokens, instead of 30', wholeNumber('--prefix-length', 1))
    .option(
      '--instances <n>',
      'evaluated of each task or template; figure4: examples of one sample (default: 100)',
      wholeNumber('--instances', 1),
    )
    .option('--max-tokens <n>', 'most tokens generated (default: 128)', wholeNumber('--max-tokens', 1))
    .addOption(batchSizeOption())
    .option('--set <key=value>', 'any setting of every training, repeatable', collect, [])
    .option('--set-pretraining <key=value>', 'any setting of every pretraining, repeatable', collect, [])
    .option(
      '--shots <list>',
      'figure4: examples in the instruction, numbers and ranges (default: 0..5)',
      shotList,
    )
    .option('--rounds <n>', 'figure4: samples of each measurement (default: 5)', wholeNumber('--rounds', 1))
    .option('--set-decoder <key=value>', 'any setting of every GPT-2 and OPT, repeatable', collect, [])
    .option('--demo', "on the demo's dataset and model, with settings for its size", false)
    .option(
      '--output <directory>',
      'where everything is written; reports of an earlier call are replaced',
      'runs/reproduce',
    )
    .addOption(deviceOption())
    // Without a default, which would override what --set says of a training.
    .addOption(threadsOption().default(undefined))
    .addOption(jsonOption('the results'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ hint reproduce table1 --demo --output runs/demo-tables\n' +
        "  $ hint reproduce table1 --data natural-instructions --text 'c4/en/*.json.gz' --init t5-base-lm-adapt --seeds 0,1\n" +
        '  $ hint reproduce table2 --data p3 --size small --tokenizer t5-base --pretrain-steps 0 --steps 500 --set batchSize=64\n' +
        '  $ hint reproduce figure3 --data natural-instructions --text corpus.parquet --init t5-small-lm-adapt --init t5-base-lm-adapt\n' +
        '  $ hint reproduce figure4 --size base --shots 0..5',
    )
    .action(
      action((signal, name: string, options: ReproduceOptions, command: Command) =>
        amongRanks(async (ranks) => {
          if (name !== 'figure4') return reproduceGrid(name, options, { signal, ranks });
          if (ranks)
            throw new HintError(
              'INVALID_ARGUMENT',
              `figure4 times inference in one process, and ${ranks.size} were started; start it without a launcher.`,
            );
          await reproduceFigure4(options, command, signal);
          return EXIT.ok;
        }),
      ),
    );
}

async function reproduceGrid(
  name: string,
  options: ReproduceOptions,
  { signal, ranks }: Pick<RunGridOptions, 'signal' | 'ranks'>,
): Promise<number> {
  refuseFigure4Options(name, options);
  const grid = selectCells(findGrid(name), { rows: options.row, columns: options.column });
  if (options.demo && grid.dataset !== 'sni')
    throw new HintError(
      'INVALID_ARGUMENT',
      `The demo has instruction tasks, but ${name} is about P3; give --data with a P3 directory instead of --demo.`,
    );
  await checkReport(grid, options.output);
  if (ranks) await requireSharedFolder(ranks, options.output);
  const folder = join(options.output, 'demo');
  if (options.demo) await doneOnce(ranks, () => demoWorld(folder), 'have the demo written');
  const world = options.demo ? await demoWorld(folder) : undefined;
  const settings = await readSettings(options, world);
  const result = await runGrid(grid, settings, { signal, ranks, onEvent: narrate(options.json) });
  const made = await foundOnce(ranks, provenance, 'learn where the results come from');
  const files = await foundOnce(ranks, () => writeReport(result, settings, made), 'have the report written');
  const report = reportOf(result, settings, made);
  if (options.json) printJson({ ...report, files });
  else {
    print(
      table(
        ['system', 'setting', 'model', grid.metric, 'seeds'],
        report.figures.map(({ row, column, model, score, seeds }) => [
          row,
          column,
          model,
          score?.toFixed(1) ?? '',
          seeds.length,
        ]),
      ),
    );
    for (const file of files) note(`Written: ${file}`);
  }
  if (result.interrupted) {
    note('Stopped; the same command goes on from here.');
    return EXIT.interrupted;
  }
  return report.complete ? EXIT.ok : EXIT.failed;
}

/** Figure 4's own options mean nothing to a grid of training runs. */
function refuseFigure4Options(name: string, { shots, rounds }: ReproduceOptions): void {
  const given = shots === undefined ? (rounds === undefined ? undefined : '--rounds') : '--shots';
  if (given === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${given} belongs to figure4, which measures latency; ${name} is a grid of training runs, leave it out.`,
  );
}

/** Shows a grid's events as progress lines. */
function narrate(quiet: boolean): (event: GridEvent) => void {
  if (quiet) return () => undefined;
  let evaluating: Progress | undefined;
  const training = { pretraining: reporter(false, 'pretraining'), training: reporter(false, 'training') };
  return (event) => {
    if (event.kind === 'evaluating') {
      evaluating ??= new Progress('evaluating');
      evaluating.update(event.done, event.total);
      return;
    }
    if (event.kind === 'run') {
      training[event.stage](event.event);
      return;
    }
    if (event.kind === 'search') {
      const { name, index, total, state, score, error } = event.event;
      const outcome = state === 'failed' ? `failed. ${messageOf(error)}` : `${score?.toFixed(1) ?? ''} by validation`; // prettier-ignore
      note(`  [${index}/${total}] ${name}${state === 'started' ? '' : `: ${outcome}`}`);
      return;
    }
    evaluating?.stop();
    evaluating = undefined;
    const { state, index, total, label, result, error } = event;
    const outcome = {
      started: '',
      skipped: `: ${result?.score.toFixed(1)}, done before`,
      finished: `: ${result?.score.toFixed(1)}`,
      failed: `: failed. ${messageOf(error)}`,
    }[state];
    note(`[${index}/${total}] ${label}${outcome}`);
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
