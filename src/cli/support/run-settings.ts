import { resolve } from 'node:path';
import type { Command } from 'commander';
import { HintError } from '../../util/errors.js';
import { MODEL_SIZES } from '../../model/config/sizes.js';
import type { TrainingConfig } from '../../training/config/config.js';
import { applyOverrides, mergeSettings } from '../../training/config/overrides.js';
import { RunDirectory } from '../../training/run/run-directory.js';
import { trainFromConfig } from '../../training/run/run.js';
import type { TrainingEvent, TrainingSummary } from '../../training/run/events.js';
import type { StepReport } from '../../training/step/trainer.js';
import type { ValidationReport, ValidationScores } from '../../training/validation/validator.js';
import { readJson } from '../../util/read-file.js';
import { EXIT, note, print, printJson } from './context.js';
import type { Group } from '../../distributed/group.js';
import { Progress } from './progress.js';
import { collect, jsonOption } from './options.js';
import { MODEL_NAME, modelFolder } from './model-name.js';
import { shellWord } from '../../util/shell-word.js';

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
  resume: boolean | string;
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
    .option('--resume [run]', 'continue the run in this folder, or in the output directory', false)
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
  options: TrainingRunOptions,
  {
    label,
    next,
    signal,
    ranks,
  }: { label: string; next: (model: string) => string; signal: AbortSignal; ranks: Group | undefined },
): Promise<number> {
  const { resume, json } = options;
  const summary = await trainFromConfig(config, {
    resume: resume !== false,
    changes: settingsNamed(options),
    signal,
    onEvent: reporter(json, label),
    ranks,
  });
  if (json) printJson(summary);
  else print(describe(summary, next));
  return summary.status === 'finished' ? EXIT.ok : EXIT.interrupted;
}

/** Settings that the command line names one by one: a resumed run may have them differently. */
function settingsNamed(options: TrainingRunOptions): string[] {
  const given = runShorthands(options).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  return [...given, ...options.set.map((assignment) => (assignment.split('=', 1)[0] as string).trim())];
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
  const run = resumedRun(options);
  const json = config
    ? await readJson(config, 'the settings (--config)')
    : run === undefined
      ? {}
      : await new RunDirectory(run).readConfig();
  // A run that was moved goes on where it is.
  const moved: [string, string][] = run === undefined ? [] : [['output', JSON.stringify(run)]];
  const given = [...shorthands, ...runShorthands(options), ...moved].flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`],
  );
  const settings = applyOverrides(mergeSettings(under, json), [...given, ...set]) as Record<string, unknown>;
  // The length that is said last counts.
  const named = settingsNamed(options);
  for (const [steps, epochs] of [
    ['steps', 'epochs'],
    ['warmupSteps', 'warmupEpochs'],
  ] as const)
    // prettier-ignore
    if (named.includes(steps) && !named.includes(epochs)) delete settings[epochs];
  return settings;
}

/**
 * The run that is gone on with where the command line says which; undefined where its settings do.
 *
 * @throws HintError INVALID_ARGUMENT when nothing says it, or two options say it differently
 */
function resumedRun({ resume, config, output, set }: TrainingRunOptions): string | undefined {
  if (resume === false) return undefined;
  if (typeof resume === 'string') {
    if (output === undefined || resolve(output) === resolve(resume)) return resume;
    throw new HintError(
      'INVALID_ARGUMENT',
      `--resume ${resume} and --output ${output} are two folders; a run goes on where it is.`,
    );
  }
  if (output !== undefined || config !== undefined || set.some((one) => one.startsWith('output=')))
    return output;
  throw new HintError(
    'INVALID_ARGUMENT',
    '--resume needs the folder of the run; give it, as in --resume runs/hint.',
  );
}

/** Shows a run's events as progress lines. */
export function reporter(quiet: boolean, label: string): (event: TrainingEvent) => void {
  const steps = new Progress(label, quiet);
  const validating = new Progress('validating', quiet);
  return (event) => {
    // A line that is written while a bar stands would be overwritten by it.
    if (event.kind !== 'step' && event.kind !== 'checkpoint') steps.stop();
    if (event.kind !== 'progress') validating.stop();
    if (event.kind === 'phase' && !quiet) note(event.message);
    if (event.kind === 'warning') note(`warning: ${event.message}`);
    if (event.kind === 'memory' && !quiet) note(event.plan.reason);
    if (event.kind === 'progress' && event.phase === 'validate') validating.update(event.done, event.total);
    if (event.kind === 'validation' && !quiet) note(describeValidation(event.report));
    if (event.kind === 'step') {
      const { report } = event;
      steps.update(
        report.step,
        event.steps,
        `loss ${report.loss.toFixed(3)}  ${Math.round(report.tokensPerSecond)} tokens/s${exposedOf(report)}`,
      );
    }
  };
}

function exposedOf({ exposedSeconds, tokens, tokensPerSecond }: StepReport): string {
  if (exposedSeconds === undefined) return '';
  return `  ${((100 * exposedSeconds * tokensPerSecond) / tokens).toFixed(0)} % exposed`;
}

// Tasks of a validation that are shown by themselves; of more, those with the worst scores.
const MOST_TASKS = 8;

/** A validation in a line, and a line for each of its tasks, the worst first. */
export function describeValidation(report: ValidationReport): string {
  const { step, metric, isBest, perTask } = report;
  const tasks = Object.entries(perTask).sort(([, a], [, b]) => {
    const [x, y] = [a[metric] ?? Infinity, b[metric] ?? Infinity];
    return metric === 'loss' ? y - x : x - y;
  });
  const shown = tasks.length > 1 ? tasks.slice(0, MOST_TASKS) : [];
  const left = tasks.length - shown.length;
  return [
    `validation after step ${step}: ${scoresOf(report)}${isBest ? ', the best so far' : ''}`,
    ...shown.map(([task, scores]) => `  ${task}: ${scoresOf(scores)}`),
    ...(shown.length > 0 && left > 0 ? [`  and ${left} tasks with better scores`] : []),
  ].join('\n');
}

function scoresOf({ loss, rougeL, exactMatch, accuracy }: ValidationScores): string {
  const percent = (name: string, value: number | undefined): string[] =>
    value === undefined ? [] : [`${name} ${value.toFixed(2)}`];
  return [
    `loss ${loss.toFixed(4)}`,
    ...percent('RougeL', rougeL),
    ...percent('exact match', exactMatch),
    ...percent('accuracy', accuracy),
  ].join(', ');
}

/** How a run went, in some lines; `next` says what its model is for. */
function describe(summary: TrainingSummary, next: (model: string) => string): string {
  const { status, system, step, steps, stepsTaken, loss, seconds, tokensPerSecond, checkpoint, output } =
    summary;
  const { model, best, stoppedEarly, ranks, communication } = summary;
  const early = stoppedEarly
    ? ', ended early: no validation was better for as long as validation.patience allows'
    : '';
  const exposed = communication
    ? `, ${communication.exposedSeconds.toFixed(1)} s of exposed communication`
    : '';
  const head =
    stepsTaken > 0
      ? `${system}: step ${step} of ${steps}, ${stepsTaken} of them in ${seconds.toFixed(1)} s${ranks === undefined ? '' : ` by ${ranks} ranks`}${exposed}, loss ${loss?.toFixed(4) ?? '-'}, ${Math.round(tokensPerSecond ?? 0)} tokens/s${early}`
      : `${system}: this run had finished with step ${step} of ${steps}${early}; no step was taken. To go on, raise ${stoppedEarly ? 'validation.patience' : 'steps'} with --set.`;
  if (status !== 'finished' || model === undefined)
    return `${head}\nStopped; the checkpoint is ${checkpoint ?? 'not yet written'}. Go on with --resume ${shellWord(output)}.`;
  if (!best) return `${head}\nThe model is in ${model}; ${next(model)}`;
  return [
    head,
    `The best model, of step ${best.step} with ${best.metric} ${best.score.toFixed(4)}, is in ${best.path}; ${next(best.path)}`,
    `The model of the last step is in ${model}.`,
  ].join('\n');
}
