import type { Command } from 'commander';
import { CURVES, drawCurves, type Curve } from '../../training/runs/curves.js';
import { readRun, type RunRecord } from '../../training/runs/read-run.js';
import { throwIfAborted } from '../../util/errors.js';
import { checkReplaceable, picture } from '../../util/existing.js';
import { checkChartPath, writeChart } from '../../util/plot/png.js';
import { oneOf } from '../support/choices.js';
import { action, print, printJson } from '../support/context.js';
import { jsonOption, wholeNumber } from '../support/options.js';

interface PlotOptions {
  output: string;
  curves?: Curve[];
  smooth?: number;
  json: boolean;
}

/** `hint plot RUN…`: curves of training runs. */
export function addPlotCommand(program: Command): void {
  program
    .command('plot')
    .summary('draw the curves of training runs')
    .description(
      'Draws loss, validation, learning rate, gradient norm, speed and memory of one or several runs by their steps,\n' +
        'as one picture. Validation losses are dashed lines beside those of training.',
    )
    .argument('<run...>', 'output directories of "hint train"')
    .requiredOption('--output <file>', 'the picture, .svg or .png; that of an earlier call is replaced')
    .option('--curves <names>', `only these, of ${CURVES.join(', ')}`, oneOf('--curves', CURVES))
    .option(
      '--smooth <n>',
      'logged steps whose mean is a point; default: as many as make 300 points',
      wholeNumber('--smooth', 1),
    )
    .addOption(jsonOption('what was drawn'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint plot runs/hint --output curves.png\n  $ hint plot runs/seed-0 runs/seed-1 --curves loss,validation --output loss.svg',
    )
    .action(
      action(async (signal, paths: string[], options: PlotOptions) => {
        const { output, curves, smooth } = options;
        checkChartPath(output);
        await checkReplaceable(output, picture(output));
        const runs: RunRecord[] = [];
        for (const path of paths) {
          throwIfAborted(signal);
          runs.push(await readRun(path));
        }
        await writeChart(output, drawCurves(runs, { curves, smooth }));
        if (options.json)
          printJson({
            output,
            runs: runs.map(({ path, steps, validations }) => ({
              path,
              steps: steps.length,
              validations: validations.length,
            })),
          });
        else print(`Written: ${output}`);
      }),
    );
}
