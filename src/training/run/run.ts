import { join } from 'node:path';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { BackwardPlan } from '../../model/memory/backward-plan.js';
import { saveModel } from '../../model/checkpoint/checkpoint.js';
import { openModel, type AnyModel } from '../../model/families/open-model.js';
import { findSystem, type System } from '../../systems/index.js';
import { Device } from '../../tensor/device.js';
import { writeDirectoryAtomically } from '../../util/atomic-directory.js';
import { copyFileAtomic } from '../../util/atomic-file.js';
import { readOptimizerState, writeTrainingCheckpoint } from './checkpoint.js';
import {
  boolean,
  callback,
  checked,
  optional,
  options as optionsOf,
  signal as signalKind,
} from '../../util/arguments.js';
import { parseTrainingConfig, type TrainingConfig } from '../config/config.js';
import { dataMetadata, describeData, openSource } from '../sources/data-sources.js';
import type { ExampleSource } from '../sources/example-source.js';
import { continueFrom, continueRun, lineageMetadata } from './lineage.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import type { Optimizer } from '../step/optimizer.js';
import { planRun } from './plan-run.js';
import { createAnyModel, createOptimizer, loadTokenizer, resolvePaths, trainerSettings } from './prepare.js';
import { RunDirectory, type Checkpoint, type DamagedCheckpoint } from './run-directory.js';
import { lockRun } from './run-lock.js';
import { Trainer, type StepReport } from '../step/trainer.js';

/** The stages of a run, in order. */
export type TrainingPhase = 'data' | 'model' | 'train' | 'save';

/** What a run tells while it works. */
export type TrainingEvent =
  | { kind: 'phase'; phase: TrainingPhase; message: string }
  | { kind: 'progress'; phase: TrainingPhase; done: number; total: number }
  /** How a new run's memory was planned; not told where `recompute` says it. */
  | { kind: 'memory'; plan: MemoryPlan }
  /** Every step, logged or not. */
  /** Something that the run goes on from, but that a person should know: a damaged checkpoint was passed over. */
  | { kind: 'warning'; message: string }
  | { kind: 'step'; report: StepReport; steps: number }
  | { kind: 'checkpoint'; step: number; path: string }
  | { kind: 'done'; summary: TrainingSummary };

/** How a run ended. */
export interface TrainingSummary {
  /** `stopped`: aborted while training; everything up to `step` is in the checkpoint. */
  status: 'finished' | 'stopped';
  system: string;
  step: number;
  steps: number;
  /** Cross entropy per target token of the last step; undefined when no step was left to do. */
  loss: number | undefined;
  /** Tokens fed since the run's start. */
  tokens: number;
  parameters: number;
  /** What runs again in backward passes. */
  recompute: BackwardPlan;
  /** Examples there are to draw from; undefined for a stream. */
  examples: number | undefined;
  /** Training time of this call, without loading. */
  seconds: number;
  output: string;
  /** The latest checkpoint. */
  checkpoint: string | undefined;
  /** The trained model's directory; undefined when stopped. */
  model: string | undefined;
}

/** How a run is started. */
export interface TrainOptions {
  /** Go on from the latest complete checkpoint of the output directory. */
  resume?: boolean | undefined;
  /** Aborting while training saves a checkpoint and ends the run as `stopped`; before, it throws ABORTED. */
  signal?: AbortSignal | undefined;
  onEvent?: ((event: TrainingEvent) => void) | undefined;
}

const TRAIN = optionsOf<TrainOptions>({
  resume: optional(boolean),
  signal: optional(signalKind),
  onEvent: optional(callback()),
});

/**
 * A whole training run: loads tokenizer, data and model, trains, and writes everything into the run directory (see
 * {@link RunDirectory}).
 *
 * @throws HintError INVALID_CONFIG, INVALID_ARGUMENT (the output holds a run, and `resume` is not set, or another process
 *   works on it), NOT_FOUND, INVALID_DATA, INVALID_CHECKPOINT, NUMERIC (diverged; earlier checkpoints are intact), IO, OUT_OF_MEMORY, ABORTED
 */
export async function trainFromConfig(
  given: TrainingConfig,
  settings: TrainOptions = {},
): Promise<TrainingSummary> {
  const options = checked(TRAIN, settings, 'options');
  const resolved = resolvePaths(parseTrainingConfig(given));
  const system = findSystem(resolved.system);
  throwIfAborted(options.signal);
  const directory = new RunDirectory(resolved.output);
  const config = options.resume
    ? continueRun(resolved, await directory.readConfig())
    : await continueFrom(resolved, system);
  if (!options.resume) {
    await directory.checkFree();
    await directory.make();
  }
  const unlock = await lockRun(directory.path);
  try {
    return await trainLocked(directory, config, system, options);
  } finally {
    await unlock();
  }
}

async function trainLocked(
  directory: RunDirectory,
  config: TrainingConfig,
  system: System,
  options: TrainOptions,
): Promise<TrainingSummary> {
  const checkpoint = options.resume ? await openRun(directory, config, options) : undefined;
  if (!options.resume) await directory.create(config);
  const { memoryBudget } = config;
  const device = new Device({
    device: config.device,
    threads: config.threads,
    ...(memoryBudget === undefined ? {} : { memoryLimit: memoryBudget }),
  });
  let source: ExampleSource | undefined;
  try {
    const { signal, onEvent } = options;
    onEvent?.({ kind: 'phase', phase: 'data', message: `Tokenising ${describeData(config.data)}` });
    const tokenizer = await loadTokenizer(config);
    source = await openSource(config, system, tokenizer, { signal, onProgress: progressOf('data', onEvent) });
    checkSameSource(directory, checkpoint, source);
    const run = await prepare({ device, config, system, directory, tokenizer, source, checkpoint }, options);
    return await train(run, options);
  } finally {
    await source?.close?.();
    // Reads that an error left behind end before the device does.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}

/** What a run is made of before its model is there. */
interface Ingredients {
  device: Device;
  config: TrainingConfig;
  system: System;
  directory: RunDirectory;
  tokenizer: Tokenizer;
  source: ExampleSource;
  checkpoint: Checkpoint | undefined;
}

interface Run extends Pick<Ingredients, 'config' | 'directory' | 'tokenizer' | 'source'> {
  model: AnyModel;
  optimizer: Optimizer;
  trainer: Trainer;
  checkpoint: string | undefined;
}

function progressOf(phase: TrainingPhase, onEvent: TrainOptions['onEvent']) {
  return (done: number, total: number): void => onEvent?.({ kind: 'progress', phase, done, total });
}

/** Checks that the run can go on under this configuration, and cleans up after a kill. */
async function openRun(
  directory: RunDirectory,
  config: TrainingConfig,
  { signal, onEvent }: TrainOptions,
): Promise<Checkpoint | undefined> {
  const before = await directory.readConfig();
  const fixed: [string, (config: TrainingConfig) => unknown][] = [
    ['system', (c) => c.system],
    ['model.hint', (c) => c.model.hint],
    ['optimizer.name', (c) => c.optimizer.name],
    ['firstStep', (c) => c.firstStep],
    ['paramDtype', (c) => c.paramDtype],
    ['paramRounding', (c) => c.paramRounding],
    ['computeDtype', (c) => c.computeDtype],
    ['seed', (c) => c.seed],
  ];
  for (const [key, value] of fixed) {
    const [old, now] = [JSON.stringify(value(before)), JSON.stringify(value(config))];
    if (old !== now) {
      throw new HintError(
        'INVALID_CONFIG',
        `Cannot resume ${directory.path} with ${key} ${now}; the run was started with ${old}. Give the same, or another output directory.`,
      );
    }
  }
  await directory.clean();
  const damaged: DamagedCheckpoint[] = [];
  const checkpoint = await directory.latestCheckpoint((found) => damaged.push(found), signal);
  for (const { path, fault } of damaged) {
    const next = `the run goes on from step ${checkpoint?.step}`;
    onEvent?.({
      kind: 'warning',
      message: `The checkpoint ${path} is damaged: ${fault} It is left aside; ${next}.`,
    });
  }
  if (!checkpoint) await refuseToLose(directory, before);
  return checkpoint;
}

/**
 * A run that has none of its checkpoints any more is not begun anew over its metrics.
 * @throws HintError INVALID_CHECKPOINT
 */
async function refuseToLose(directory: RunDirectory, { saveEvery }: TrainingConfig): Promise<void> {
  const reached = (await directory.readMetrics()).reduce((most, { step }) => Math.max(most, step), 0);
  // No step behind a save is taken before the save is done.
  if (reached <= saveEvery) return;
  throw new HintError(
    'INVALID_CHECKPOINT',
    `Cannot resume ${directory.path}: it has no checkpoint, though its metrics reach step ${reached} and every ${saveEvery} steps were saved; nothing was changed. Put a checkpoint back from a copy, or start again with another output directory.`,
  );
}

async function prepare(
  { device, config: given, system, directory, tokenizer, source, checkpoint }: Ingredients,
  { signal, onEvent }: TrainOptions,
): Promise<Run> {
  let config = given;
  const onProgress = progressOf('model', onEvent);
  const from = checkpoint
    ? `Resuming after step ${checkpoint.step}`
    : typeof config.model.init === 'string'
      ? `Loading ${config.model.init}`
      : 'Initialising a new model';
  onEvent?.({ kind: 'phase', phase: 'model', message: from });
  const model = checkpoint
    ? await openModel(device, checkpoint.path, { signal, onProgress })
    : await createAnyModel(device, config, system, { signal, onProgress });
  checkVocabulary(tokenizer, model);
  const optimizer = await createOptimizer(model, config, system);
  model.parameters.computeDtype = config.computeDtype;
  let plan: MemoryPlan | undefined;
  // Without a step to take there may be no example to look at either.
  if (config.recompute === 'auto' && (checkpoint?.step ?? 0) < config.steps) {
    plan = await planRun({ model, optimizer, source, config, signal });
    config = { ...config, recompute: plan.mode };
    onEvent?.({ kind: 'memory', plan });
  }
  const trainer = new Trainer({ model, source, optimizer }, trainerSettings(config));
  if (checkpoint) {
    await readOptimizerState(checkpoint.path, optimizer, signal);
    await trainer.restore(checkpoint.state);
  }
  // Last, so that a resume that fails changes nothing of the run.
  await directory.truncateMetrics(checkpoint?.step ?? 0);
  await directory.writeConfig(config);
  if (plan) await directory.writePlan(plan);
  return {
    config,
    directory,
    tokenizer,
    model,
    optimizer,
    trainer,
    source,
    checkpoint: checkpoint?.path,
  };
}

async function train(run: Run, { signal, onEvent }: TrainOptions): Promise<TrainingSummary> {
  const { config, directory, trainer, model } = run;
  const started = performance.now();
  let loss: number | undefined;
  let saved = trainer.state.step;
  const save = async (): Promise<void> => {
    const state = { ...trainer.state, fingerprint: run.source.fingerprint };
    if (state.step === saved) return;
    run.checkpoint = await directory.saveCheckpoint(state, config.keepCheckpoints, (folder) =>
      writeTrainingCheckpoint(folder, model, run.optimizer),
    );
    saved = state.step;
    onEvent?.({ kind: 'checkpoint', step: saved, path: run.checkpoint });
  };
  const due = (step: number): boolean => step % config.saveEvery === 0 || step === config.steps;
  onEvent?.({ kind: 'phase', phase: 'train', message: `Training up to step ${config.steps}` });
  let stopped = false;
  try {
    for await (const report of trainer.steps({ signal, settleAt: due })) {
      loss = report.loss;
      if (report.step % config.logEvery === 0 || report.step === config.steps) {
        await directory.appendMetrics(report);
      }
      onEvent?.({ kind: 'step', report, steps: config.steps });
      if (report.settled && due(report.step)) await save();
    }
  } catch (error) {
    if (!(error instanceof HintError && error.code === 'ABORTED')) throw error;
    await save();
    stopped = true;
  }
  const seconds = (performance.now() - started) / 1000;
  if (!stopped) {
    onEvent?.({ kind: 'phase', phase: 'save', message: `Writing ${directory.modelPath}` });
    await saveTrainedModel(run);
  }
  const summary: TrainingSummary = {
    status: stopped ? 'stopped' : 'finished',
    system: config.system,
    step: trainer.state.step,
    steps: config.steps,
    loss,
    tokens: trainer.state.tokens,
    parameters: model.parameters.storedEntries().reduce((sum, [, { size }]) => sum + size, 0),
    recompute: config.recompute === 'auto' ? 'none' : config.recompute,
    examples: run.source.size,
    seconds,
    output: directory.path,
    checkpoint: run.checkpoint,
    model: stopped ? undefined : directory.modelPath,
  };
  onEvent?.({ kind: 'done', summary });
  return summary;
}

/** The trained model beside its tokenizer: a directory that every other command takes. */
async function saveTrainedModel(run: Run): Promise<void> {
  const { config, directory, model, tokenizer, optimizer, trainer } = run;
  await writeDirectoryAtomically(directory.modelPath, async (folder) => {
    const step = (config.firstStep ?? 0) + trainer.state.step;
    const metadata = {
      system: config.system,
      ...dataMetadata(config.data),
      ...lineageMetadata(step, optimizer.groups),
    };
    await saveModel(model, folder, { metadata });
    await copyFileAtomic(tokenizer.file, join(folder, 'tokenizer.json'));
  });
}

function checkSameSource(
  directory: RunDirectory,
  checkpoint: Checkpoint | undefined,
  { fingerprint }: ExampleSource,
): void {
  if (!checkpoint || checkpoint.state.fingerprint === fingerprint) return;
  throw new HintError(
    'INVALID_DATA',
    `Cannot resume ${directory.path}: its training examples are not those of the run so far; give the same data directory and data settings.`,
  );
}

function checkVocabulary(tokenizer: Tokenizer, model: AnyModel): void {
  if (tokenizer.vocabSize <= model.config.vocabSize) return;
  throw new HintError(
    'INVALID_CONFIG',
    `The tokenizer ${tokenizer.file} has ${tokenizer.vocabSize} ids, the model ${model.config.vocabSize} embeddings; use the tokenizer that belongs to the model.`,
  );
}
