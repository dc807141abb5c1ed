import type { Command } from 'commander';
import { findRuns, readRun, resultsOf, type RunRecord } from '../../../training/runs/read-run.js';
import { HintError } from '../../../util/errors.js';
import { action, note, print, printJson, table } from '../../support/context.js';
import { jsonOption } from '../../support/options.js';

/** `hint runs list [DIR]`. */
export function addRunsListCommand(runs: Command): void {
  runs
    .command('list')
    .summary('list the training runs in a folder with settings and scores')
    .description('Lists the training runs in a folder and the folders below it: settings, how far they are, and scores.')
    .argument('[folder]', 'where they lie', '.')
    .addOption(jsonOption('the runs'))
    .addHelpText('after', '\nExamples:\n  $ hint runs list\n  $ hint runs list runs --json')
    .action(
      action(async (signal, folder: string, options: { json: boolean }) => {
        const found: RunRecord[] = [];
        for (const path of await findRuns(folder, signal)) {
          const run = await readRun(path).catch((error: unknown) => {
            if (!(error instanceof HintError)) throw error;
            note(`warning: ${path} is left out: ${error.message}`);
            return undefined;
          });
          if (run) found.push(run);
        }
        if (options.json) printJson(found.map(entryOf));
        else print(found.length > 0 ? describe(found) : `There is no training run in ${folder}.`);
      }),
    );
}

function entryOf(run: RunRecord): object {
  const { path, config, isFinished } = run;
  const { system, seed, steps, batchSize, learningRate, schedule } = config;
  return { path, finished: isFinished, system, seed, steps, batchSize, learningRate, schedule, results: resultsOf(run) };
}

function describe(runs: readonly RunRecord[]): string {
  return table(
    ['run', 'system', 'seed', 'batch', 'learning rate', 'steps', 'state', 'loss', 'best validation'],
    runs.map((run) => {
      const { system, seed, batchSize, learningRate, steps } = run.config;
      const { step, loss, best } = resultsOf(run);
      return [
        run.path,
        system,
        seed,
        batchSize,
        String(learningRate),
        `${step}/${steps}`,
        run.isFinished ? (step < steps ? 'ended early' : 'finished') : 'unfinished',
        loss?.toFixed(4) ?? '',
        best ? `${best.metric} ${best.score.toFixed(4)} (step ${best.step})` : '',
      ];
    }),
  );
}
