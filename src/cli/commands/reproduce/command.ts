import { Option, type Command } from 'commander';
import { HintError } from '../../../util/errors.js';
import { addPublishedCommand } from './published.js';
import { MODEL_SIZES } from '../../../model/config/sizes.js';
import { GRIDS } from '../../../reproduce/index.js';
import { amongRanks } from '../../support/ranks.js';
import { seedList, shotList } from '../../support/choices.js';
import { batchSizeOption, maxTokensOption } from '../../support/decoding.js';
import { action, EXIT } from '../../support/context.js';
import { reproduceFigure4 } from './figure4.js';
import type { ReproduceOptions } from './settings.js';
import { reproduceAll } from './all.js';
import { reproduceGrid } from './table.js';
import { collect, deviceOption, jsonOption, threadsOption, wholeNumber } from '../../support/options.js';

/** `hint reproduce TABLE`: the runs behind a table of the paper, and the table. */
export function addReproduceCommand(program: Command): void {
  const reproduce = program.command('reproduce').enablePositionalOptions();
  addPublishedCommand(reproduce);
  reproduce
    .summary('run the experiments behind a table of the paper')
    .description(
      'Pretrains, trains and evaluates every system of a table, and writes results (JSON), a Markdown table beside the\n' +
        "paper's figures, and plots (SVG, PNG). Settings are the paper's unless told. Ctrl-C keeps what is done; the same\n" +
        'command goes on from there. Tables with the same output share the runs they have in common.',
    )
    .argument('<table>', `${GRIDS.map(({ name }) => name).join(', ')}, figure4, or all of them`)
    .option('--row <names...>', 'only these rows of the table')
    .option('--column <names...>', 'only these columns')
    .option('--data <directory>', 'Super-NaturalInstructions; for tables 2, 3, 9, 10 and figure5 P3')
    .option('--p3 <directory>', 'all: P3, beside the --data of the other tables')
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
    .addOption(new Option('--seeds <list>', 'seeds, with commas').argParser(seedList).default([0], '0'))
    .option('--adapter-size <n>', 'bottleneck of adapters, instead of 512', wholeNumber('--adapter-size', 1))
    .option('--prefix-length <n>', 'prefix tokens, instead of 30', wholeNumber('--prefix-length', 1))
    .option(
      '--instances <n>',
      'evaluated of each task or template; figure4: examples of one sample (default: 100)',
      wholeNumber('--instances', 1),
    )
    .addOption(maxTokensOption('most tokens generated (default: 128)'))
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
        '  $ hint reproduce figure4 --size base --shots 0..5\n' +
        '  $ hint reproduce all --demo --output runs/demo-tables',
    )
    .action(
      action((signal, name: string, options: ReproduceOptions, command: Command) =>
        amongRanks(async (ranks) => {
          if (name !== 'figure4' && name !== 'all') return reproduceGrid(name, options, { signal, ranks });
          if (ranks)
            throw new HintError(
              'INVALID_ARGUMENT',
              `${name === 'all' ? 'all has figure4, which' : name} times inference in one process, and ${ranks.size} were started; start it without a launcher.`,
            );
          if (name === 'all') return reproduceAll(options, signal);
          await reproduceFigure4(options, command, signal);
          return EXIT.ok;
        }),
      ),
    );
}
