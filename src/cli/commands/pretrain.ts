import type { Command } from 'commander';
import { z } from 'zod';
import { readModelConfig } from '../../model/config/config.js';
import { MODEL_SIZES, modelOfSize } from '../../model/config/sizes.js';
import { HintError } from '../../util/errors.js';
import { parseTrainingConfig, type TrainingConfig } from '../../training/config/config.js';
import { PRETRAINING, pretrainingSteps } from '../../training/config/recipes.js';
import { action } from '../support/context.js';
import { amongRanks } from '../support/ranks.js';
import { check } from '../../util/check.js';
import { shellWord } from '../../util/shell-word.js';
import {
  addTrainingRunOptions,
  readSettings,
  runTraining,
  type TrainingRunOptions,
} from '../support/run-settings.js';

interface PretrainOptions extends TrainingRunOptions {
  text?: string[];
  column?: string;
  objective?: string;
}

/** `hint pretrain`: teaches a hypernetwork on plain text, before any task. */
export function addPretrainCommand(program: Command): void {
  const command = program
    .command('pretrain')
    .summary('pretrain a hypernetwork on plain text')
    .description(
      'Cuts text into segments of 512 tokens, each into three parts: the hypernetwork reads the first, the model the\n' +
        'second, and the third is the target (paper §3.4). Settings as for "hint train", with the defaults of\n' +
        'pretraining: 10,000 steps of 1,024 segments (11B: 7,000), no dropout. Ctrl-C saves and stops; --resume goes on bit for bit.',
    )
    .option(
      '--text <path...>',
      'JSON lines, .txt or parquet: files, folders, glob patterns in quotes (data.files)',
    )
    .option('--column <name>', 'the field that holds the text (data.column)')
    .option(
      '--objective <name>',
      'hint, caclm, caclm6, or none to only write the starting model (data.objective)',
    );
  addTrainingRunOptions(command)
    .addHelpText(
      'after',
      "\nExamples:\n  $ hint pretrain --text 'c4/en/*.json.gz' --init t5-base-lm-adapt --output runs/pretrained\n" +
        '  $ hint pretrain --text corpus.parquet --column content --objective caclm --init t5-base-lm-adapt --output runs/caclm --steps 2000\n' +
        '  $ hint train --init runs/pretrained/model --data natural-instructions --output runs/hint',
    )
    .action(
      action((signal, options: PretrainOptions) =>
        amongRanks(async (ranks) =>
          runTraining(await readPretraining(options), options, {
            label: 'pretraining',
            next: (model) => `fine-tune it with: hint train --init ${shellWord(model)} --data DIR`,
            signal,
            ranks,
          }),
        ),
      ),
    );
}

/** The paper's, for the size of the model that is started from; one that cannot be read is told of when it is opened. */
async function stepsFor(settings: object): Promise<number> {
  const { data, faults } = check(startSchema, settings);
  if (faults) return PRETRAINING.steps;
  const { init } = data.model;
  if (typeof init === 'string') return readModelConfig(init).then(pretrainingSteps, () => PRETRAINING.steps);
  return pretrainingSteps(modelOfSize(init.size));
}

const startSchema = z.looseObject({
  model: z.looseObject({ init: z.union([z.string(), z.looseObject({ size: z.enum(MODEL_SIZES) })]) }),
});

async function readPretraining(options: PretrainOptions): Promise<TrainingConfig> {
  const given = await readSettings(options, [
    ['data.files', options.text && JSON.stringify(options.text)],
    ['data.column', options.column],
    ['data.objective', options.objective],
  ]);
  const { data, ...rest } = given as { data?: object };
  const settings = { ...PRETRAINING, ...rest, data: { kind: 'text', ...data } };
  if (!('steps' in rest)) settings.steps = await stepsFor(rest);
  const objective = (settings.data as { objective?: unknown }).objective;
  if (objective === 'none' && !('steps' in rest)) settings.steps = 0;
  const config = parseTrainingConfig(settings, options.config ?? 'The settings');
  if (config.data.kind === 'text') return config;
  throw new HintError(
    'INVALID_CONFIG',
    `Pretraining reads plain text, but data.kind is "${config.data.kind}"; leave it out, or use "hint train".`,
  );
}
