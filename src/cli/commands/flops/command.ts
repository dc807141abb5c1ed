import { Option, type Command } from 'commander';
import { HintError } from '../../../util/errors.js';
import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import { action } from '../../support/context.js';
import { addModelChoice } from '../../support/model-choice.js';
import { countFlops, type CountOptions } from './count.js';
import { curve } from './curve.js';
import { paperTables } from './paper.js';
import { jsonOption, wholeNumber } from '../../support/options.js';

interface FlopsOptions extends CountOptions {
  paper: boolean;
  kappa: number;
  curve?: string | true;
  plot: string[];
}

const { sni, examples } = PAPER_LENGTHS;

/** `hint flops`: the paper's relative FLOPs, exact counts of a model, and Figure 3. */
export function addFlopsCommand(program: Command): void {
  const command = program
    .command('flops')
    .summary("count multiply-adds of a model, or reproduce the paper's relative FLOPs")
    .description(
      'Counts the multiply-adds of the matrix products that a system executes, as the op table does, without running anything.\n' +
        "With --paper: the relative-FLOPs cells of the paper's Tables 1, 2, 3 and 9, with --data by the lengths of other data; with\n" +
        '--curve: its Figure 3, right.',
    );
  addModelChoice(command)
    .option(
      '--instruction <tokens>',
      "tokens of the instruction (default: SNI's median)",
      wholeNumber('--instruction'),
    )
    .option(
      '--input <tokens>',
      `tokens of one input (default: ${sni.instance}, SNI's median)`,
      wholeNumber('--input'),
    )
    .option('--output <tokens>', `tokens of one output (default: ${sni.output})`, wholeNumber('--output'))
    .option('--examples <n>', `inputs per task (default: ${examples})`, wholeNumber('--examples'))
    .option(
      '--data <file>',
      'take lengths and inputs per task from what hint data --statistics --json printed',
    )
    .option('--split <name>', 'with --data: the split (default: test or eval, where there is one)')
    .option('--tasks <n>', 'tasks', wholeNumber('--tasks', 1), 1)
    .option('--training', 'forward and backward over one batch, all parameters being trained', false)
    .option('--recompute', 'with --training: layers run again in the backward pass', false)
    .option('--regenerate', 'with --training: modules are generated again in the backward pass', false)
    .option('--paper', "the paper's tables by its stated conventions", false)
    .option('--kappa <n>', 'with --paper: d × d products per generated vector', wholeNumber('--kappa'), 3)
    .addOption(
      new Option('--curve [over]', 'relative FLOPs along instruction (tokens), shots or examples').preset(
        'instruction',
      ),
    )
    .option('--plot <file...>', 'with --curve: write the chart as .svg or .png', [])
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ hint flops --paper\n' +
        '  $ hint flops --size base --system tk-instruct --examples 100\n' +
        '  $ hint flops runs/hint/model --instruction 197 --output 6 --json\n' +
        '  $ hint flops --size xl --training --tasks 16 --examples 64 --recompute\n' +
        '  $ hint flops --size base --data statistics.json\n' +
        '  $ hint flops --paper --data statistics.json\n' +
        '  $ hint flops --curve shots --size xl --plot curve.svg curve.png',
    )
    .action(
      action(async (_signal, model: string | undefined, options: FlopsOptions) => {
        checkOptions(model, options);
        if (options.paper) return paperTables(options);
        if (options.curve !== undefined) {
          return curve(String(options.curve), { ...options, size: options.size ?? 'base' });
        }
        return countFlops(model, options);
      }),
    );
}

function checkOptions(model: string | undefined, options: FlopsOptions): void {
  const wrong = (message: string): HintError => new HintError('INVALID_ARGUMENT', message);
  if (options.paper && options.curve !== undefined) throw wrong('Give either --paper or --curve.');
  if (options.data !== undefined && options.curve !== undefined)
    throw wrong('--curve has the lengths of the paper; leave --data out.');
  if (options.plot.length > 0 && options.curve === undefined) {
    throw wrong('A chart is drawn of a curve; add --curve.');
  }
  if (model !== undefined && (options.paper || options.curve !== undefined)) {
    throw wrong(`--paper and --curve are about published sizes; leave ${model} out.`);
  }
}
