import type { Command } from 'commander';
import { type ScoreTrack } from '../../evaluation/rouge.js';
import { scoreFile } from '../../evaluation/score.js';
import { action, note, print, printJson, table } from '../support/context.js';
import { jsonOption } from '../support/options.js';
import { scoreTrackOption, warnOfWordless } from '../support/score-track.js';

interface ScoreCommandOptions {
  references?: string;
  track: ScoreTrack;
  json: boolean;
}

/** `hint score FILE`: Tk-Instruct's metrics over a predictions file. */
export function addScoreCommand(program: Command): void {
  program
    .command('score')
    .summary('RougeL and exact match of predictions, as Tk-Instruct scores them')
    .description(
      'Reads predictions, one JSON object a line: {"id", "prediction", "task"?, "references"?}, or the lines that Tk-Instruct writes.\n' +
        'Each is compared with all its references; the best counts, and the numbers are means over instances, times 100.',
    )
    .argument('<predictions>', 'JSON lines')
    .option(
      '--references <path>',
      'an SNI checkout or JSON lines with {"id", "references"}, instead of references in the predictions',
    )
    .addOption(scoreTrackOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint score predictions.jsonl\n  $ hint score predictions.jsonl --references natural-instructions --json\n  $ hint score predictions.jsonl --track xlingual',
    )
    .action(
      action(async (signal, predictions: string, { references, track, json }: ScoreCommandOptions) => {
        const report = await scoreFile(predictions, { references, track, signal });
        warnOfWordless(report, track);
        if (report.otherTrack !== undefined)
          note(`${report.otherTrack} predictions were left out: their references name another track.`);
        if (json) {
          printJson(report);
          return;
        }
        const row = (
          name: string,
          s: { rougeL: number; exactMatch: number; count: number },
        ): (string | number)[] => [name, s.rougeL.toFixed(2), s.exactMatch.toFixed(2), s.count];
        const rows = [
          ...Object.entries(report.perTask).map(([name, scores]) => row(name, scores)),
          row('all', report),
        ];
        print(table(['task', 'RougeL', 'exact match', 'instances'], rows));
      }),
    );
}
