import type { Command } from 'commander';
import {
  renderPromptsource,
  type RenderSummary as PromptsourceSummary,
} from '../../data/p3/promptsource/write.js';
import { action, note, print, printJson, table } from '../support/context.js';
import { jsonOption, seedOption, wholeNumber } from '../support/options.js';
import { p3SplitName } from '../support/dataset-options.js';

interface PromptsourceOptions {
  output: string;
  split: string;
  template?: string[];
  limit?: number;
  seed: number;
  json: boolean;
}

/** `hint promptsource TEMPLATES ROWS`: prompted examples from raw rows. */
export function addPromptsourceCommand(program: Command): void {
  program
    .command('promptsource')
    .summary('render raw rows with promptsource templates into a P3 directory')
    .description(
      "Renders every row with every template of a promptsource templates.yaml, in T0's form (the whole prompt) and in the split form\n" +
        '(the template with [NAME] for each field, and the fields), into a directory for hint train, data and eval. Datasets and\n' +
        'splits are added one by one; one that was rendered before is replaced, anything else that is in the way is refused.',
    )
    .argument('<templates>', "a dataset's templates.yaml")
    .argument('<rows>', 'its rows: JSON lines, also .gz')
    .requiredOption('--output <directory>', 'the P3 directory, made or added to')
    .option('--split <name>', 'train, eval, fewshot or extra', 'train')
    .option('--template <names...>', 'only these templates')
    .option('--limit <n>', 'only the first rows', wholeNumber('--limit', 1))
    .addOption(seedOption('of templates that draw their wording', 0))
    .addOption(jsonOption('the summary'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint promptsource templates/super_glue/rte/templates.yaml rte-validation.jsonl --output p3 --split eval\n' +
        '  $ hint train --system hint --data p3 --init t5-base-lm-adapt --output runs/p3',
    )
    .action(
      action(async (signal, templates: string, rows: string, options: PromptsourceOptions) => {
        const { output, split, template, limit, seed, json } = options;
        const summary = await renderPromptsource({
          templates,
          rows,
          directory: output,
          split: p3SplitName(split),
          only: template,
          limit,
          seed,
          signal,
          ...(json ? {} : { onProgress: (done: number) => note(`${done} rows`) }),
        });
        if (json) {
          printJson(summary);
          return;
        }
        print(
          table(
            ['template', 'examples', 'left out', 'why'],
            summary.templates.map((one) => [one.template, one.rows, one.skipped, reasonsOf(one)]),
          ),
        );
        for (const { template, reason } of summary.unreadable)
          note(`Left out: template ${template}: ${reason}`);
        for (const { template, reasons, absentColumns } of summary.templates) {
          const failed = reasons.find(({ first }) => first.includes(' cannot be '));
          if (failed) note(`First row that ${template} cannot render: ${failed.first}`);
          if (absentColumns.length > 0)
            note(`No row has what ${template} reads: ${absentColumns.join(', ')}`);
        }
        note(`Written: ${summary.file}, from ${summary.rows} rows`);
      }),
    );
}

function reasonsOf({ reasons }: PromptsourceSummary['templates'][number]): string {
  return reasons.map(({ reason, rows }) => `${rows} ${reason}`).join(', ');
}
