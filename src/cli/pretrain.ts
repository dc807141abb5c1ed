import type { Command } from 'commander';
import { HintError } from '../errors.js';
import { MODEL_SIZES } from '../model/sizes.js';
import { parseTrainingConfig, type TrainingConfig } from '../training/config.js';
import { PRETRAINING } from '../training/recipes.js';
import { trainFromConfig } from '../training/run.js';
import { action, EXIT, print, printJson } from './context.js';
import { describe, readSettings, refuseTwoStarts, reporter } from './train.js';

interface PretrainOptions {
  text?: string[];
  column?: string;
  objective?: string;
  system?: string;
  init?: string;
  size?: string;
  config?: string;
  output?: string;
  steps?: string;
  set: string[];
  resume: boolean;
  json: boolean;
}

/** `hint pretrain`: teaches a hypernetwork on plain text, before any task. */
export function addPretrainCommand(program: Command): void {
  program
    .command('pretrain')
    .summary('pretrain a hypernetwork on plain text')
    .description(
      'Cuts text into segments of 512 tokens, each into three parts: the hypernetwork reads the first, the model the\n' +
        'second, and the third is the target (paper Section 3.4). Settings as for "hint train", with the defaults of\n' +
        'pretraining: 10,000 steps of 1,024 segments, no dropout. Ctrl-C saves and stops; --resume goes on bit for bit.',
    )
    .option(
      '--text <path...>',
      'JSON lines, .txt or parquet: files, folders, glob patterns in quotes (data.files)',
    )
    .option('--column <name>', 'the field that holds the text (data.column)')
    .option(
      '--objective <name>',
      'hint, caclm, caclm6, or none to only write the starting model (data.objective)',
    )
    .option('--system <name>', 'a system whose hypernetwork reads the instruction (system)')
    .option('--init <directory>', 'the T5 to start from (model.init)')
    .option(
      '--size <name>',
      `or a new model of a published size: ${MODEL_SIZES.join(', ')} (model.init.size)`,
    )
    .option('--config <file>', 'settings as JSON')
    .option('--output <directory>', 'where the run is written (output)')
    .option('--steps <n>', 'updates (steps)')
    .option(
      '--set <key=value>',
      'any setting, repeatable',
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option('--resume', 'continue the run in the output directory', false)
    .option('--json', 'print the summary as JSON', false)
    .addHelpText(
      'after',
      "\nExamples:\n  $ hint pretrain --text 'c4/en/*.json.gz' --init t5-base-lm-adapt --output runs/pretrained\n" +
        '  $ hint pretrain --text corpus.parquet --column content --objective caclm --init t5-base-lm-adapt --output runs/caclm --steps 2000\n' +
        '  $ hint train --init runs/pretrained/model --data natural-instructions --output runs/hint',
    )
    .action(
      action(async (signal, options: PretrainOptions) => {
        const summary = await trainFromConfig(await readPretraining(options), {
          resume: options.resume,
          signal,
          onEvent: reporter(options.json, 'pretraining'),
        });
        if (options.json) printJson(summary);
        else print(describe(summary, (model) => `fine-tune it with: hint train --init ${model} --data DIR`));
        return summary.status === 'finished' ? EXIT.ok : EXIT.interrupted;
      }),
    );
}

async function readPretraining(options: PretrainOptions): Promise<TrainingConfig> {
  refuseTwoStarts(options);
  const given = await readSettings(options, [
    ['data.files', options.text && JSON.stringify(options.text)],
    ['data.column', options.column],
    ['data.objective', options.objective],
    ['system', options.system],
    ['model.init', options.init],
    ['model.init', options.size && JSON.stringify({ size: options.size })],
    ['output', options.output],
    ['steps', options.steps],
  ]);
  const { data, ...rest } = given as { data?: object };
  const settings = { ...PRETRAINING, ...rest, data: { kind: 'text', ...data } };
  const objective = (settings.data as { objective?: unknown }).objective;
  if (objective === 'none' && !('steps' in rest)) settings.steps = 0;
  const config = parseTrainingConfig(settings, options.config ?? 'The settings');
  if (config.data.kind === 'text') return config;
  throw new HintError(
    'INVALID_CONFIG',
    `Pretraining reads plain text, but data.kind is "${config.data.kind}"; leave it out, or use "hint train".`,
  );
}
