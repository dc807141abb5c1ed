import { writeTokenizer } from '../../formats/tokenizer/files.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { saveModel } from '../../model/checkpoint/checkpoint.js';
import type { AnyModel } from '../../model/family.js';
import { checkStart, openModel } from '../../model/families/open-model.js';
import { findSystem, type System } from '../../systems/index.js';
import { Device } from '../../tensor/device.js';
import { writeDirectoryAtomically } from '../../util/atomic-directory.js';
import { describeNotice, Notices, type Notice } from '../../util/notices.js';
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
import type { DeviceSettings, SaveSettings } from '../config/parts.js';
import { dataMetadata, describeData, openSource } from '../sources/data-sources.js';
import type { ExampleSource } from '../sources/example-source.js';
import { continueFrom, continueRun, lineageMetadata } from './lineage.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import type { Optimizer } from '../step/optimizer.js';
import { progressOf, type TrainingSummary, type TrainOptions } from './events.js';
import { planRun } from './plan-run.js';
import { createModel, createOptimizer, loadTokenizer, resolvePaths, trainerSettings } from './prepare.js';
import { checkSameSource, openRun } from './resume.js';
import { RunDirectory, type Checkpoint } from './run-directory.js';
import { Trainer } from '../step/trainer.js';

const TRAIN = optionsOf<TrainOptions>({
  resume: optional(boolean),
  signal: optional(signalKind),
  onEvent: optional(callback()),
});

/**
 * A whole training run: loads tokenizer, data and model, trains, and writes everything into the run directory: config.json,
 * metrics.jsonl, checkpoints/, model/.
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
  const unlock = await directory.lock();
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
  const device = openDevice(config);
  let source: ExampleSource | undefined;
  const notices = new Notices();
  try {
    const { signal, onEvent } = options;
    // Before the data are tokenised, which may take hours.
    if (!checkpoint)
      await checkStart(system.family, { system: system.name, init: config.model.init }, signal);
    onEvent?.({ kind: 'phase', phase: 'data', message: `Tokenising ${describeData(config.data)}` });
    const tokenizer = await loadTokenizer(config);
    source = await openSource(config, system, tokenizer, {
      signal,
      notices,
      onProgress: progressOf('data', onEvent),
    });
    const told = tellNotices(notices.list, [], onEvent);
    checkSameSource(directory, checkpoint, source);
    const run = await prepare({ device, config, system, directory, tokenizer, source, checkpoint }, options);
    const summary = await train(run, options);
    // Text is read as it is trained on.
    tellNotices(notices.list, told, onEvent);
    return summary;
  } finally {
    await source?.close?.();
    // Reads that an error left under way must end before the device closes.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}

/** Warns of what was noticed since the last time. @returns all that was told */
function tellNotices(
  notices: readonly Notice[],
  told: readonly string[],
  onEvent: TrainOptions['onEvent'],
): string[] {
  const lines = notices.map(describeNotice);
  for (const message of lines) if (!told.includes(message)) onEvent?.({ kind: 'warning', message });
  return lines;
}

function openDevice({ device, threads, memoryBudget }: DeviceSettings): Device {
  return new Device({
    device,
    threads,
    ...(memoryBudget === undefined ? {} : { memoryLimit: memoryBudget }),
  });
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
    : await createModel(device, config, system, { signal, onProgress });
  checkVocabulary(tokenizer, model);
  const optimizer = await createOptimizer(model, config, system);
  model.parameters.computeDtype = config.computeDtype;
  let plan: MemoryPlan | undefined;
  // A run without steps may have no example to plan with.
  if (config.recompute === 'auto' && (checkpoint?.step ?? 0) < config.steps) {
    plan = await planRun({ model, optimizer, source, settings: config, signal });
    config = { ...config, recompute: plan.mode, tokenBudget: plan.tokenBudget };
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

/** Trains, saves what is due and the model at the end, and sums up. */
async function train(run: Run, options: TrainOptions): Promise<TrainingSummary> {
  const { onEvent } = options;
  const { config, directory } = run;
  onEvent?.({ kind: 'phase', phase: 'train', message: `Training up to step ${config.steps}` });
  const started = performance.now();
  const { status, loss } = await takeSteps(run, config, options);
  const seconds = (performance.now() - started) / 1000;
  if (status === 'finished') {
    onEvent?.({ kind: 'phase', phase: 'save', message: `Writing ${directory.modelPath}` });
    await saveTrainedModel(run);
  }
  const summary = summaryOf(run, { status, loss, seconds });
  onEvent?.({ kind: 'done', summary });
  return summary;
}

/** Takes the steps that are left, with a line of metrics and a checkpoint where they are due, and one where it stops. */
async function takeSteps(
  run: Run,
  { steps, saveEvery, keepCheckpoints, logEvery }: SaveSettings,
  { signal, onEvent }: TrainOptions,
): Promise<Pick<TrainingSummary, 'status' | 'loss'>> {
  const { directory, trainer, model, optimizer, source } = run;
  let loss: number | undefined;
  let saved = trainer.state.step;
  const save = async (): Promise<void> => {
    const state = { ...trainer.state, fingerprint: source.fingerprint };
    if (state.step === saved) return;
    run.checkpoint = await directory.saveCheckpoint(state, keepCheckpoints, (folder) =>
      writeTrainingCheckpoint(folder, model, optimizer),
    );
    saved = state.step;
    onEvent?.({ kind: 'checkpoint', step: saved, path: run.checkpoint });
  };
  const isDue = (step: number, every: number): boolean => step % every === 0 || step === steps;
  try {
    for await (const report of trainer.steps({ signal, settleAt: (step) => isDue(step, saveEvery) })) {
      loss = report.loss;
      if (isDue(report.step, logEvery)) await directory.appendMetrics(report);
      onEvent?.({ kind: 'step', report, steps });
      if (report.settled && isDue(report.step, saveEvery)) await save();
    }
  } catch (error) {
    if (!(error instanceof HintError && error.code === 'ABORTED')) throw error;
    await save();
    return { status: 'stopped', loss };
  }
  return { status: 'finished', loss };
}

function summaryOf(
  { config, directory, trainer, model, source, checkpoint }: Run,
  { status, loss, seconds }: Pick<TrainingSummary, 'status' | 'loss' | 'seconds'>,
): TrainingSummary {
  return {
    status,
    system: config.system,
    step: trainer.state.step,
    steps: config.steps,
    loss,
    tokens: trainer.state.tokens,
    parameters: model.parameters.storedEntries().reduce((sum, [, { size }]) => sum + size, 0),
    recompute: config.recompute === 'auto' ? 'none' : config.recompute,
    examples: source.size,
    seconds,
    output: directory.path,
    checkpoint,
    model: status === 'finished' ? directory.modelPath : undefined,
  };
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
    await writeTokenizer(tokenizer.file, folder);
  });
}

function checkVocabulary(tokenizer: Tokenizer, model: AnyModel): void {
  if (tokenizer.vocabSize <= model.config.vocabSize) return;
  throw new HintError(
    'INVALID_CONFIG',
    `The tokenizer ${tokenizer.file} has ${tokenizer.vocabSize} ids, the model ${model.config.vocabSize} embeddings; use the tokenizer that belongs to the model.`,
  );
}
