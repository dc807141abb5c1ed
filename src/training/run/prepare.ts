import { resolve } from 'node:path';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { Group } from '../../distributed/group.js';
import { HintError } from '../../util/errors.js';
import { readsInstruction, type HintConfig } from '../../model/config/config.js';
import type { AnyModel } from '../../model/family.js';
import { startModel } from '../../model/families/open-model.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { SYSTEMS, type ParameterGroup, type System } from '../../systems/index.js';
import type { Device } from '../../tensor/device.js';
import type { TrainingConfig } from '../config/config.js';
import type { ModelSettings } from '../config/model-config.js';
import type {
  BatchSettings,
  LengthSettings,
  LossSettings,
  MemorySettings,
  RateSettings,
  SeedSettings,
} from '../config/parts.js';
import type { UpdateSettings } from '../config/update-config.js';
import { resolveDataPaths, type PrepareOptions } from '../sources/data-sources.js';
import { Optimizer } from '../step/optimizer.js';
import { keepParameters } from '../step/param-dtype.js';
import { assignGroups } from '../step/parameter-groups.js';
import type { Schedule } from '../step/schedule.js';
import type { TrainerSettings } from '../step/trainer-arguments.js';

/** What a run's model is made from. */
export interface StartSettings extends ModelSettings, LossSettings, SeedSettings {}

/** How the learning rate changes over a run of known length. */
export interface ScheduleSettings extends LengthSettings, RateSettings {}

/** How many steps there are in a pass over the examples. */
export interface PassSettings extends ScheduleSettings, BatchSettings {}

/** What a step is taken with. */
export interface StepSettings
  extends PassSettings, UpdateSettings, LossSettings, SeedSettings, MemorySettings {}

/** The configuration with absolute paths, so that the run can be resumed from any working directory. */
export function resolvePaths(config: TrainingConfig): TrainingConfig {
  const { model, data, validation } = config;
  return {
    ...config,
    output: resolve(config.output),
    model: {
      ...model,
      init: typeof model.init === 'string' ? resolve(model.init) : model.init,
      ...(model.tokenizer === undefined ? {} : { tokenizer: resolve(model.tokenizer) }),
    },
    data: resolveDataPaths(data),
    ...(validation?.data === undefined
      ? {}
      : { validation: { ...validation, data: resolveDataPaths(validation.data) } }),
  };
}

/**
 * The tokenizer that a configuration names.
 *
 * @param checkpoint a folder that has it too, for a run whose own is no longer where it was
 * @throws HintError INVALID_CONFIG when the configuration names no tokenizer; those of Tokenizer.load
 */
export async function loadTokenizer({ model }: ModelSettings, checkpoint?: string): Promise<Tokenizer> {
  const path = model.tokenizer ?? (typeof model.init === 'string' ? model.init : undefined);
  if (path === undefined) {
    throw new HintError(
      'INVALID_CONFIG',
      'A model that starts from nothing brings no tokenizer; set model.tokenizer to a tokenizer.json or its folder.',
    );
  }
  try {
    return await Tokenizer.load(path);
  } catch (error) {
    if (checkpoint === undefined || !(error instanceof HintError && error.code === 'NOT_FOUND')) throw error;
    // What is wrong with a checkpoint that has none is that the named one is missing.
    return Tokenizer.load(checkpoint).catch(() => {
      throw error;
    });
  }
}

/**
 * The model a run starts from, of its system's family: a directory's or a fresh one, with the system's hypernetwork
 * beside it or without.
 *
 * @throws HintError INVALID_CONFIG, NOT_FOUND, INVALID_CHECKPOINT, ABORTED
 */
export async function createModel(
  device: Device,
  config: StartSettings,
  system: System,
  { signal, onProgress }: PrepareOptions,
): Promise<AnyModel> {
  const { init, hint: options, hyperencoderInit } = config.model;
  if (!system.hypernetwork) checkHyperencoderInit(config, undefined);
  return startModel(device, system.family, {
    system: system.name,
    init,
    dropoutRate: config.dropout,
    seed: config.seed,
    hypernetwork: (base) => {
      const hint = system.hint(base, options);
      checkHyperencoderInit(config, hint);
      return hint;
    },
    hyperencoderInit,
    asksForHypernetwork:
      hyperencoderInit !== undefined || Object.values(options).some((value) => value !== undefined),
    signal,
    onProgress,
  });
}

/** @throws HintError INVALID_CONFIG for an option about a hyperencoder that there is not */
function checkHyperencoderInit({ system, model }: StartSettings, hint: HintConfig | undefined): void {
  const isSeparate = (one: HintConfig | undefined): boolean =>
    one !== undefined && (one.generator === 'decoder' || (readsInstruction(one) && !one.tieHyperencoder));
  if (model.hyperencoderInit === undefined || isSeparate(hint)) return;
  const fitting = SYSTEMS.filter(({ hypernetwork }) => isSeparate(hypernetwork?.defaults));
  throw new HintError(
    'INVALID_CONFIG',
    `model.hyperencoderInit is ${model.hyperencoderInit}, but ${system} has no hyperencoder of its own here; leave it out, or choose one of ${fitting.map(({ name }) => name).join(', ')}.`,
  );
}

/**
 * The optimizer a configuration asks for, its moments at 0. From then on the model keeps its parameters as the
 * configuration says.
 *
 * @throws HintError INVALID_CONFIG
 */
export async function createOptimizer(
  model: TrainableModel,
  update: UpdateSettings,
  system: System,
  ranks?: Group,
): Promise<Optimizer> {
  const { optimizer: settings, firstStep = 0, paramDtype, paramRounding } = update;
  const isSingle = settings.name === 'adafactor' && settings.grouping === 'single';
  const { device, parameters } = model;
  const assigned = assignGroups(parameters.storedEntries(), isSingle ? [oneGroup(system)] : system.groups, {
    firstStep,
    multiplyByParameterScale: settings.name === 'adafactor' && settings.multiplyByParameterScale,
    groups: settings.groups,
    paramDtype,
    paramRounding,
  });
  const groups = await device.inSlices(keepParameters(parameters, assigned, paramDtype));
  return Optimizer.create(device, settings, groups, ranks, update.gradientDtype);
}

/** All that a system trains, as one group whose schedule goes on from pretraining. */
function oneGroup({ groups }: System): ParameterGroup {
  return { name: 'all', takes: (name) => groups.some((group) => group.takes(name)), stepOffset: 0 };
}

/**
 * The configuration with the steps that its epochs come to; a step that runs over the end of a pass counts for it.
 *
 * @param examples of one pass; undefined for a stream
 * @throws HintError INVALID_CONFIG for epochs of a stream, or more steps than there may be
 */
export function withSteps<C extends PassSettings>(config: C, examples: number | undefined): C {
  const { epochs, warmupEpochs, batchSize } = config;
  const stepsOf = (key: 'epochs' | 'warmupEpochs', passes: number): number => {
    const steps = Math.ceil((passes * (examples ?? NaN)) / batchSize);
    if (steps <= 2 ** 31 - 1) return steps;
    throw new HintError(
      'INVALID_CONFIG',
      examples === undefined
        ? `${key} is ${passes}, but how many examples a pass over this text has is not known; set ${key === 'epochs' ? 'steps' : 'warmupSteps'} instead.`
        : `${key} is ${passes}, which are ${steps} steps; give at most 2,147,483,647.`,
    );
  };
  return {
    ...config,
    ...(epochs === undefined ? {} : { steps: stepsOf('epochs', epochs) }),
    ...(warmupEpochs === undefined ? {} : { warmupSteps: stepsOf('warmupEpochs', warmupEpochs) }),
  };
}

/** The trainer's part of a configuration; a `recompute` that nothing has decided yet keeps everything. */
export function trainerSettings(config: StepSettings): TrainerSettings {
  const { batchSize, tokenBudget, firstStep = 0, dropout, generatorDropout, zLoss, clipNorm, seed } = config;
  return {
    batchSize,
    tokenBudget,
    firstStep,
    dropout,
    generatorDropout,
    zLoss,
    ...(clipNorm === undefined ? {} : { clipNorm }),
    seed,
    backward: config.recompute === 'auto' ? 'none' : config.recompute,
    schedule: scheduleOf(config),
  };
}

/** How the learning rate changes over a run. */
export function scheduleOf({ schedule, learningRate, warmupSteps, steps }: ScheduleSettings): Schedule {
  return { kind: schedule, learningRate, warmupSteps, steps };
}
