import type { Command } from 'commander';
import { HintError } from '../../util/errors.js';
import { MODEL_SIZES } from '../../model/config/sizes.js';
import type { TrainingConfig } from '../../training/config/config.js';
import { applyOverrides, mergeSettings } from '../../training/config/overrides.js';
import { trainFromConfig } from '../../training/run/run.js';
import type { TrainingEvent, TrainingSummary } from '../../training/run/events.js';
import { readJson } from '../../util/read-file.js';
import { EXIT, note, print, printJson } from './context.js';
import { Progress } from './progress.js';
import { collect, jsonOption } from './options.js';
import { MODEL_NAME, modelFolder } from './model-name.js';

/** Options of every command that trains into a run directory. */
export interface TrainingRunOptions {
  system?: string;
  init?: string;
  size?: string;
  config?: string;
  output?: string;
  steps?: string;
  device?: string;
  set: string[];
  resume: boolean;
  json: boolean;
}

/** Adds the options of {@link TrainingRunOptions} to a command. */
export function addTrainingRunOptions(command: Command): Command {
  return command
    .option('--system <name>', 'a name that "hint systems" lists (system)')
    .option('--init <model>', `what to start from: ${MODEL_NAME} (model.init)`, modelFolder)
    .option(
      '--size <name>',
      `or a new model of a published size: ${MODEL_SIZES.join(', ')} (model.init.size)`,
    )
    .option('--config <file>', 'settings as JSON')
    .option('--output <directory>', 'where the run is written (output)')
    .option('--steps <n>', 'updates (steps)')
    .option('--device <name>', 'what computes: cpu, cuda or cuda:N (device)')
    .option('--set <key=value>', 'any setting, repeatable', collect, [])
    .option('--resume', 'continue the run in the output directory', false)
    .addOption(jsonOption('the summary'));
}

/** Setting and value of the options of {@link TrainingRunOptions}; undefined: not given. */
function runShorthands(options: TrainingRunOptions): [string, string | undefined][] {
  return [
    ['system', options.system],
    ['model.init', options.init],
    ['model.init', options.size && JSON.stringify({ size: options.size })],
    ['output', options.output],
    ['steps', options.steps],
    ['device', options.device],
  ];
}

/**
 * Trains as configured, with progress, and prints how it went.
 *
 * @param label what the progress line calls the work
 * @param next what the model is for, one clause
 * @returns the command's exit code
 */
export async function runTraining(
  config: TrainingConfig,
  { resume, json }: TrainingRunOptions,
  { label, next, signal }: { label: string; next: (model: string) => string; signal: AbortSignal },
): Promise<number> {
  const summary = await trainFromConfig(config, { resume, signal, onEvent: reporter(json, label) });
  if (json) printJson(summary);
  else print(describe(summary, next));
  return summary.status === 'finished' ? EXIT.ok : EXIT.interrupted;
}

/** @throws HintError INVALID_ARGUMENT when a model is to start from a directory and from nothing */
function refuseTwoStarts({ init, size }: TrainingRunOptions): void {
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
 * @param shorthands setting and value of the command's own options; undefined: not given
 * @param under settings that the file's go over
 * @throws HintError NOT_FOUND, INVALID_JSON, INVALID_ARGUMENT
 */
export async function readSettings(
  options: TrainingRunOptions,
  shorthands: readonly (readonly [string, string | undefined])[],
  under: object = {},
): Promise<unknown> {
  refuseTwoStarts(options);
  const { config, set } = options;
  let json: unknown = {};
  if (config) {
    json = await readJson(config, 'the settings (--config)');
  }
  const given = [...shorthands, ...runShorthands(options)].flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`],
  );
  return applyOverrides(mergeSettings(under, json), [...given, ...set]);
}

/** Shows a run's events as progress lines. */
export function reporter(quiet: boolean, label: string): (event: TrainingEvent) => void {
  const steps = new Progress(label, quiet);
  return (event) => {
    if (event.kind === 'phase' && !quiet) note(event.message);
    if (event.kind === 'warning') note(`warning: ${event.message}`);
    if (event.kind === 'memory' && !quiet) note(event.plan.reason);
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
function describe(summary: TrainingSummary, next: (model: string) => string): string {
  const { status, system, step, steps, loss, seconds, tokens, model, checkpoint } = summary;
  const rate = seconds > 0 ? Math.round(tokens / seconds) : 0;
  const head = `${system}: ${step} of ${steps} steps in ${seconds.toFixed(1)} s, loss ${loss?.toFixed(4) ?? '-'}, ${rate} tokens/s`;
  return status === 'finished' && model !== undefined
    ? `${head}\nThe model is in ${model}; ${next(model)}`
    : `${head}\nStopped; the checkpoint is ${checkpoint ?? 'not yet written'}. Go on with --resume.`;
}
