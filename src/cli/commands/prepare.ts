import type { Command } from 'commander';
import type { PrepareOptions, PrepareReport } from '../../data/prepare/report.js';
import { action, note, print, printJson, table } from '../support/context.js';
import { jsonOption, seedOption } from '../support/options.js';
import { Progress } from '../support/progress.js';

interface PrepareFlags {
  json: boolean;
}

interface P3Flags extends PrepareFlags {
  templates?: string;
  seed: number;
}

/** `hint prepare sni|p3|c4`: from what is published to what training reads. */
export function addPrepareCommand(program: Command): void {
  const prepare = program
    .command('prepare')
    .summary("turn published data into what training reads, counted against the paper's")
    .description(
      'Checks published data and writes them as hint train, eval and pretrain read them. A second call does what is left; each file is\n' +
        "whole or not there. Afterwards: what there is beside the paper's numbers (its Table 8), and what is missing.",
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint prepare sni natural-instructions-master.tar.gz data/sni\n' +
        '  $ hint prepare p3 P3/data data/p3 --templates promptsource/templates\n  $ hint prepare c4 c4/en data/c4',
    );
  addSni(prepare);
  addP3(prepare);
  addC4(prepare);
}

function addSni(prepare: Command): void {
  withFolders(prepare.command('sni'), 'the repository natural-instructions: a folder, or its .tar or .tar.gz')
    .summary('Super-NaturalInstructions, from its repository')
    .description(
      'Copies tasks/*.json, each checked, and the lists of both tracks. Of an archive nothing else is read.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint prepare sni natural-instructions data/sni\n  $ hint prepare sni natural-instructions-2.6.tar.gz data/sni --json',
    )
    .action(
      action(async (signal, source: string, folder: string, { json }: PrepareFlags) => {
        const { prepareSni } = await import('../../data/prepare/sni.js');
        await run(json, (onProgress) => prepareSni({ source, folder, signal, onProgress }));
      }),
    );
}

function addP3(prepare: Command): void {
  withFolders(
    prepare.command('p3'),
    "data/ of the hub's bigscience/P3 (TASK/SPLIT.tfrecord-…), or raw rows (DATASET/SUBSET/SPLIT.jsonl)",
  )
    .summary('P3, from its cached form or from raw rows and templates')
    .description(
      'Writes what the paper trains and evaluates on: prompts of the cached form, or every template over every raw row. The cached form\n' +
        'has no fields, so that only raw rows give the split form.',
    )
    .option(
      '--templates <folder>',
      "promptsource's folder of templates: needed for raw rows; of the cached form it gives the texts of templates",
    )
    .addOption(seedOption('of templates that draw their wording', 0))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint prepare p3 P3/data data/p3 --templates promptsource/templates\n  $ hint prepare p3 raw data/p3 --templates promptsource/templates',
    )
    .action(
      action(async (signal, source: string, folder: string, { json, templates, seed }: P3Flags) => {
        const { prepareP3 } = await import('../../data/prepare/p3.js');
        await run(json, (onProgress) => prepareP3({ source, folder, templates, seed, signal, onProgress }));
      }),
    );
}

function addC4(prepare: Command): void {
  withFolders(prepare.command('c4'), 'its files of JSON lines: one, or a folder of them')
    .summary('C4, from its files of JSON lines')
    .description('Writes the texts alone, in files of the same names, each read whole and checked.')
    .addHelpText('after', '\nExamples:\n  $ hint prepare c4 c4/en data/c4\n  $ hint pretrain --text data/c4')
    .action(
      action(async (signal, source: string, folder: string, { json }: PrepareFlags) => {
        const { prepareC4 } = await import('../../data/prepare/c4.js');
        await run(json, (onProgress) => prepareC4({ source, folder, signal, onProgress }));
      }),
    );
}

function withFolders(command: Command, source: string): Command {
  return command
    .argument('<source>', source)
    .argument('<folder>', 'the folder of data, made or added to')
    .addOption(jsonOption('the counts'));
}

async function run(
  json: boolean,
  prepare: (onProgress: PrepareOptions['onProgress']) => Promise<PrepareReport>,
): Promise<void> {
  const progress = new Progress('prepare', json);
  const report = await prepare(({ done, total, file }) => progress.update(done, total, file)).finally(
    progress.stop,
  );
  if (json) {
    printJson(report);
    return;
  }
  const shown = (count: number): string => count.toLocaleString('en');
  const rows = report.counts.map(({ what, found, published }) => [what, shown(found), shown(published)]);
  if (rows.length > 0) print(table(['', 'here', 'published'], rows));
  for (const sentence of report.notes) note(sentence);
  note(`${report.made} files were made, ${report.kept} were there.`);
}
