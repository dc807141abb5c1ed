import type { Command } from 'commander';
import { detectDatasetKind } from '../../data/detect.js';
import { parseTrainingConfig } from '../../training/config/config.js';
import { findRecipe, RECIPES } from '../../training/config/recipes.js';
import { action } from '../support/context.js';
import { helpText } from '../support/help.js';
import { amongRanks } from '../support/ranks.js';
import {
  addTrainingRunOptions,
  readSettings,
  runTraining,
  type TrainingRunOptions,
} from '../support/run-settings.js';
import { dataOption, kindOption } from '../support/dataset-options.js';
import { shellWord } from '../../util/shell-word.js';

interface TrainOptions extends TrainingRunOptions {
  recipe?: string;
  data?: string;
  kind?: string;
}

/** `hint train`: one run from a configuration file, options and overrides. */
export function addTrainCommand(program: Command): void {
  const command = program
    .command('train')
    .summary('train a system on a dataset')
    .description(
      'Trains one system of the paper. Settings come from a JSON file, the options below and --set, the later ones winning.\n' +
        'Ctrl-C, SIGTERM and SIGHUP save a checkpoint and stop; --resume goes on bit for bit where the run was, and\n' +
        'needs nothing but its folder. Settings that would make it another run are taken only from --set.',
    )
    .option(
      '--recipe <name>',
      `a published run, under all other settings: ${RECIPES.map(({ name }) => name).join(', ')}`,
    )
    .addOption(dataOption('data.directory, or data.files'))
    .addOption(kindOption('data.kind'));
  addTrainingRunOptions(command)
    .addHelpText(
      'after',
      helpText(
        '\nEvery setting, with its range and default, is in docs/configuration.md of the package.\n\nExamples:\n  $ hint train --data natural-instructions --system hint --recipe sni --init t5-base-lm-adapt --output runs/hint\n' +
          '  $ hint train --config hint.json --set batchSize=32 --set model.hint.adapterSize=64\n  $ hint train --config hint.json --device cuda --set computeDtype=bf16\n  $ hint train --data natural-instructions --system lora --size small --set model.tokenizer=t5-base --output runs/lora\n  $ hint train --resume runs/lora --set steps=2000\n  $ hint train --config hint.json --set validation.split=test --set validation.every=100 --set validation.patience=5',
      ),
    )
    .action(
      action((signal, options: TrainOptions) =>
        amongRanks(async (ranks) => {
          const config = parseTrainingConfig(await settings(options), options.config ?? 'The settings');
          return runTraining(config, options, {
            label: 'training',
            next: (model) => `evaluate it with: hint eval ${shellWord(model)} --data DIR`,
            signal,
            ranks,
          });
        }),
      ),
    );
}

async function settings(options: TrainOptions): Promise<unknown> {
  const recipe = options.recipe === undefined ? {} : findRecipe(options.recipe).settings;
  const merged = await readSettings(options, [['data.kind', options.kind]], recipe);
  if (options.data === undefined) return merged;
  const given = (merged as { data?: { kind?: unknown } }).data?.kind;
  const kind = String(given ?? (await detectDatasetKind(options.data)));
  const place = kind === 'own' || kind === 'text' ? 'data.files' : 'data.directory';
  const shorthands: [string, string][] = [
    ['data.kind', kind],
    [place, JSON.stringify(options.data)],
  ];
  return readSettings(options, shorthands, recipe);
}
