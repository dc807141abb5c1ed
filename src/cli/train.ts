import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { detectDatasetKind } from '../data/detect.js';
import { parseTrainingConfig } from '../training/config.js';
import { applyOverrides, mergeSettings } from '../training/overrides.js';
import { findRecipe, RECIPES } from '../training/recipes.js';
import { trainFromConfig, type TrainingEvent, type TrainingSummary } from '../training/run.js';
import { HintError } from '../errors.js';
import { MODEL_SIZES } from '../model/sizes.js';
import { parseJson } from '../util/read-file.js';
import { action, EXIT, note, print, printJson } from './context.js';
import { Progress } from './progress.js';

interface TrainOptions {
  config?: string;
  recipe?: string;
  data?: string;
  kind?: string;
  system?: string;
  init?: string;
  size?: string;
  output?: string;
  steps?: string;
  device?: string;
  set: string[];
  resume: boolean;
  json: boolean;
}

/** `hint train`: one run from a configuration file, options and overrides. */
export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .summary('train a system on a dataset')
    .description(
      'Trains one system of the paper. Settings come from a JSON file, the options below and --set, the later ones winning.\n' +
        'Ctrl-C saves a checkpoint and stops; --resume goes on bit for bit where the run was.',
    )
    .option('--config <file>', 'settings as JSON')
    .option(
      '--recipe <name>',
      `a published run, under all other settings: ${RECIPES.map(({ name }) => name).join(', ')}`,
    )
    .option('--data <directory>', 'a dataset: Super-NaturalInstructions or P3 (data.directory)')
    .option('--kind <name>', 'sni or p3; default: by what the folder holds (data.kind)')
    .option('--system <name>', 'a name that "hint systems" lists (system)')
    .option('--init <directory>', 'the model to start from (model.init)')
    .option(
      '--size <name>',
      `or a new model of a published size: ${MODEL_SIZES.join(', ')} (model.init.size)`,
    )
    .option('--output <directory>', 'where the run is written (output)')
    .option('--steps <n>', 'updates (steps)')
    .option('--device <name>', 'cpu, cuda or cuda:N (device)')
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
      '\nExamples:\n  $ hint train --data natural-instructions --system hint --recipe sni --init t5-base-lm-adapt --output runs/hint\n' +
        '  $ hint train --config hint.json --set batchSize=32 --set model.hint.adapterSize=64\n  $ hint train --data natural-instructions --system lora --size small --set model.tokenizer=t5-base --output runs/lora\n  $ hint train --config hint.json --resume',
    )
    .action(
      action(async (signal, options: TrainOptions) => {
        const config = parseTrainingConfig(await settings(options), options.config ?? 'The settings');
        const summary = await trainFromConfig(config, {
          resume: options.resume,
          signal,
          onEvent: reporter(options.json),
        });
        if (options.json) printJson(summary);
        else print(describe(summary, (model) => `evaluate it with: hint eval ${model} --data DIR`));
        return summary.status === 'finished' ? EXIT.ok : EXIT.interrupted;
      }),
    );
}

async function settings(options: TrainOptions): Promise<unknown> {
  refuseTwoStarts(options);
  const recipe = options.recipe === undefined ? {} : findRecipe(options.recipe).settings;
  const shorthands: [string, string | undefined][] = [
    ['data.directory', options.data],
    ['data.kind', options.kind],
    ['system', options.system],
    ['model.init', options.init],
    ['model.init', options.size && JSON.stringify({ size: options.size })],
    ['output', options.output],
    ['steps', options.steps],
    ['device', options.device],
  ];
  const merged = await readSettings(options, shorthands, recipe);
  const { kind } = (merged as { data?: { kind?: unknown } }).data ?? {};
  if (options.data === undefined || kind !== undefined) return merged;
  return applyOverrides(merged, [`data.kind=${await detectDatasetKind(options.data)}`]);
}

/** @throws HintError INVALID_ARGUMENT when a model is to start from a directory and from nothing */
export function refuseTwoStarts({ init, size }: { init?: string; size?: string }): void {
  if (init === undefined || size === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `--init ${init} and --size ${size} exclude each other: a model starts from a directory or from nothing.`,
  );
}

/**
 * The settings of a run as JSON: those of its file, over them the options that have a name of their own, over those
 * the assignments of --set.
 *
 * @param shorthands setting and value of each option; undefined: not given
 * @param under settings that the file's go over
 * @throws HintError NOT_FOUND, INVALID_JSON, INVALID_ARGUMENT
 */
export async function readSettings(
  { config, set }: { config?: string; set: readonly string[] },
  shorthands: readonly (readonly [string, string | undefined])[],
  under: object = {},
): Promise<unknown> {
  let json: unknown = {};
  if (config) {
    const text = await readFile(config, 'utf8').catch((cause: unknown) => {
      throw new HintError(
        'NOT_FOUND',
        `The settings ${config} cannot be read (${(cause as Error).message}); check --config.`,
        { cause },
      );
    });
    json = parseJson(text, config, 'the settings');
  }
  const given = shorthands.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  return applyOverrides(mergeSettings(under, json), [...given, ...set]);
}

/** Shows a run's events as progress lines. */
export function reporter(quiet: boolean, label = 'training'): (event: TrainingEvent) => void {
  const steps = new Progress(label, quiet);
  return (event) => {
    if (event.kind === 'phase' && !quiet) note(event.message);
    if (event.kind === 'step') {
      const { report } = event;
      steps.update(
        report.step,
        event.steps,
        `loss ${report.loss.toFixed(3)}  ${Math.round(report.tokensPerSecond)} tokens/s`,
      );
    }
    if (event.kind === 'phase' || event.kind === 'done') steps.stop();
  };
}

/** How a run went, in two lines; `next` says what its model is for. */
export function describe(summary: TrainingSummary, next: (model: string) => string): string {
  const { status, system, step, steps, loss, seconds, tokens, model, checkpoint } = summary;
  const rate = seconds > 0 ? Math.round(tokens / seconds) : 0;
  const head = `${system}: ${step} of ${steps} steps in ${seconds.toFixed(1)} s, loss ${loss?.toFixed(4) ?? '-'}, ${rate} tokens/s`;
  return status === 'finished' && model !== undefined
    ? `${head}\nThe model is in ${model}; ${next(model)}`
    : `${head}\nStopped; the checkpoint is ${checkpoint ?? 'not yet written'}. Go on with --resume.`;
}
