import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { AnyModel } from '../../model/family.js';
import { checkStart, openModel } from '../../model/families/open-model.js';
import { findSystem, type System } from '../../systems/index.js';
import { Group } from '../../distributed/group.js';
import { Device } from '../../tensor/device.js';
import { describeNotice, Notices, type Notice } from '../../util/notices.js';
import { readOptimizerState } from './checkpoint.js';
import {
  boolean,
  callback,
  checked,
  instance,
  list,
  optional,
  options as optionsOf,
  signal as signalKind,
  text as textKind,
} from '../../util/arguments.js';
import { parseTrainingConfig, type TrainingConfig } from '../config/config.js';
import type { DeviceSettings, MemorySettings } from '../config/parts.js';
import { validationOf } from '../config/validation-config.js';
import { describeData } from '../sources/data-sources.js';
import { openRunData, type RunData } from '../validation/validation-set.js';
import { Validator } from '../validation/validator.js';
import { checkLength, type SettingChange } from './changes.js';
import { continueFrom, continueRun } from './lineage.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import { progressOf, type TrainingSummary, type TrainOptions } from './events.js';
import { planRun } from './plan-run.js';
import {
  createModel,
  createOptimizer,
  loadTokenizer,
  resolvePaths,
  trainerSettings,
  withSteps,
} from './prepare.js';
import { checkSameData, openRun } from './resume.js';
import { FollowerDirectory } from './follower-directory.js';
import {
  budgetOfRank,
  hostsApart,
  inTurns,
  planOfFirst,
  requireSameModel,
  requireSameSettings,
  requireSameStart,
} from './ranks.js';
import { RunDirectory, type Checkpoint } from './run-directory.js';
import { isFollower, saveTrainedModel, takeSteps, type Run, type StepsTaken } from './take-steps.js';
import { Trainer } from '../step/trainer.js';
import type { TrainerState } from '../step/trainer-arguments.js';

const TRAIN = optionsOf<TrainOptions>({
  resume: optional(boolean),
  changes: optional(list(textKind, 'a list of settings such as ["learningRate"]')),
  signal: optional(signalKind),
  onEvent: optional(callback()),
  ranks: optional(instance(Group, 'a Group')),
});

/**
 * A whole training run: loads tokenizer, data and model, trains, and writes everything into the run directory: config.json,
 * metrics.jsonl, checkpoints/, model/.
 *
 * @throws HintError INVALID_CONFIG, INVALID_ARGUMENT (the output holds a run, and `resume` is not set, or another process
 *   works on it), NOT_FOUND, INVALID_DATA, INVALID_CHECKPOINT, NUMERIC (diverged; earlier checkpoints are intact), IO, OUT_OF_MEMORY, ABORTED,
 *   RANK_LOST
 */
export async function trainFromConfig(
  given: TrainingConfig,
  settings: TrainOptions = {},
): Promise<TrainingSummary> {
  const options = checked(TRAIN, settings, 'options');
  const resolved = resolvePaths(parseTrainingConfig(given));
  const system = findSystem(resolved.system);
  throwIfAborted(options.signal);
  const { ranks } = options;
  await requireSameSettings(ranks, resolved);
  const isFirst = (ranks?.rank ?? 0) === 0;
  const directory = isFirst ? new RunDirectory(resolved.output) : new FollowerDirectory(resolved.output);
  const config = options.resume
    ? continueRun(resolved, await directory.readConfig(), await directory.plannedTokenBudget())
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
  const { checkpoint, changes } = options.resume
    ? await openRun(directory, config, options)
    : { checkpoint: undefined, changes: [] };
  if (!options.resume) await directory.create(config);
  const { ranks } = options;
  const apart = await hostsApart(ranks, directory);
  if (apart.length > 0)
    options.onEvent?.({
      kind: 'warning',
      message: `Rank 0 writes the run to ${directory.path} on ${ranks?.places[0]?.host}, which ${apart.join(', ')} cannot see; before it is resumed, give each of them a copy of that folder, or let all share a disk.`,
    });
  const device = await openDevice(config, ranks);
  let data: RunData | undefined;
  const notices = new Notices();
  try {
    const { signal, onEvent } = options;
    // Before the data are tokenised, which may take hours.
    if (!checkpoint)
      await checkStart(system.family, { system: system.name, init: config.model.init }, signal);
    onEvent?.({ kind: 'phase', phase: 'data', message: `Tokenising ${describeData(config.data)}` });
    const tokenizer = await loadTokenizer(config, checkpoint?.path);
    data = await inTurns(ranks, () =>
      openRunData(config, validationOf(config), {
        system,
        tokenizer,
        signal,
        notices,
        onProgress: progressOf('data', onEvent),
      }),
    );
    await requireSameStart(ranks, { data, checkpoint });
    const told = tellNotices(notices.list, [], onEvent);
    checkSameData(directory, checkpoint, data);
    const run = await prepare(
      {
        device,
        config,
        system,
        directory,
        tokenizer,
        data,
        checkpoint,
        changes,
        sharesDisk: apart.length === 0,
      },
      options,
    );
    const summary = await train(run, options);
    // Text is read as it is trained on.
    tellNotices(notices.list, told, onEvent);
    return summary;
  } finally {
    await data?.source.close?.();
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

async function openDevice(
  { device, threads, memoryBudget }: DeviceSettings & MemorySettings,
  ranks: Group | undefined,
): Promise<Device> {
  return new Device({
    device: (await ranks?.openDevice(device)) ?? device,
    threads: ranks?.threadsOf(threads) ?? threads,
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
  data: RunData;
  checkpoint: Checkpoint | undefined;
  changes: readonly SettingChange[];
  sharesDisk: boolean;
}

async function prepare(
  { device, config: given, system, directory, tokenizer, data, checkpoint, changes, sharesDisk }: Ingredients,
  { signal, onEvent, ranks }: TrainOptions,
): Promise<Run> {
  const { source } = data;
  let config = withSteps(given, source.size);
  if (checkpoint) checkLength(directory.path, config, checkpoint.step);
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
  const optimizer = await createOptimizer(model, config, system, ranks);
  model.parameters.computeDtype = config.computeDtype;
  let plan: MemoryPlan | undefined;
  // A run without steps may have no example to plan with.
  if (config.recompute === 'auto' && (checkpoint?.step ?? 0) < config.steps) {
    const settings = budgetOfRank(config, ranks);
    plan = await planOfFirst(ranks, () => planRun({ model, optimizer, source, settings, signal }));
    config = { ...config, recompute: plan.mode, tokenBudget: plan.tokenBudget };
    onEvent?.({ kind: 'memory', plan });
  }
  const trainer = new Trainer({ model, source, optimizer }, trainerSettings(config));
  if (checkpoint) {
    await readOptimizerState(checkpoint.path, optimizer, signal);
    await trainer.restore(checkpoint.state);
  }
  await requireSameModel(ranks, model);
  // Last, so that a resume that fails changes nothing of the run.
  await directory.truncateMetrics(checkpoint?.step ?? 0);
  // Before the configuration, in which nothing is changed any more once it is written.
  if (checkpoint && changes.length > 0) await directory.appendChanges(checkpoint.step, changes);
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
    tensorBoard:
      config.tensorboard && !isFollower(optimizer) ? await directory.beginTensorBoard() : undefined,
    validator: createValidator({ config, tokenizer, data, checkpoint }, model),
    checkpoint: checkpoint?.path,
    sharesDisk,
  };
}

function createValidator(
  { config, tokenizer, data, checkpoint }: Pick<Ingredients, 'config' | 'tokenizer' | 'data' | 'checkpoint'>,
  model: AnyModel,
): Validator | undefined {
  const settings = validationOf(config);
  if (!settings || !data.validation) return undefined;
  const shown = settings.set.kind === 'data' ? settings.set.data : config.data;
  return new Validator({
    model,
    tokenizer,
    set: data.validation,
    settings,
    tokenBudget: config.tokenBudget,
    maxTokens: 'maxTargetTokens' in shown ? shown.maxTargetTokens : undefined,
    state: checkpoint?.state.validation,
  });
}

/** Trains, saves what is due and the model at the end, and sums up. */
async function train(run: Run, options: TrainOptions): Promise<TrainingSummary> {
  const { onEvent } = options;
  const { config, directory, trainer } = run;
  const before = trainer.state;
  const isDone = before.step >= config.steps || run.validator?.isExhausted;
  const message = isDone
    ? `The run has finished: ${before.step} of ${config.steps} steps are done`
    : `Training up to step ${config.steps}`;
  onEvent?.({ kind: 'phase', phase: 'train', message });
  const started = performance.now();
  const taken = await takeSteps(run, options);
  const seconds = (performance.now() - started) / 1000;
  if (taken.status === 'finished') {
    onEvent?.({ kind: 'phase', phase: 'save', message: `Writing ${directory.modelPath}` });
    await saveTrainedModel(run);
  }
  const { ranks } = options;
  const summary = {
    ...summaryOf(run, taken, { before, seconds }),
    ...(ranks ? { ranks: ranks.size } : {}),
  };
  onEvent?.({ kind: 'done', summary });
  return summary;
}

function summaryOf(
  { config, directory, trainer, model, source, validator, checkpoint }: Run,
  { status, loss, stoppedEarly, communication }: StepsTaken,
  { before, seconds }: { before: TrainerState; seconds: number },
): TrainingSummary {
  const best = validator?.state;
  const { step, tokens } = trainer.state;
  return {
    status,
    system: config.system,
    step,
    steps: config.steps,
    loss,
    stepsTaken: step - before.step,
    tokens,
    tokensPerSecond: step > before.step ? (tokens - before.tokens) / seconds : undefined,
    parameters: model.parameters.storedEntries().reduce((sum, [, { size }]) => sum + size, 0),
    recompute: config.recompute === 'auto' ? 'none' : config.recompute,
    examples: source.size,
    seconds,
    output: directory.path,
    checkpoint,
    model: status === 'finished' ? directory.modelPath : undefined,
    best: best && {
      step: best.bestStep,
      metric: best.metric,
      score: best.bestScore,
      path: directory.bestPath,
    },
    stoppedEarly,
    ...(communication ? { communication } : {}),
  };
}

function checkVocabulary(tokenizer: Tokenizer, model: AnyModel): void {
  if (tokenizer.vocabSize <= model.config.vocabSize) return;
  throw new HintError(
    'INVALID_CONFIG',
    `The tokenizer ${tokenizer.file} has ${tokenizer.vocabSize} ids, the model ${model.config.vocabSize} embeddings; use the tokenizer that belongs to the model.`,
  );
}
