import { resolve } from 'node:path';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import { adaptConfig, loadModel } from '../../model/checkpoint/checkpoint.js';
import {
  parseModelConfig,
  readModelConfig,
  readsInstruction,
  type HintConfig,
  type ModelConfig,
} from '../../model/config/config.js';
import { buildModel } from '../../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { initialiseDecoderOnlyModel, loadDecoderOnlyModel } from '../../model/decoder-only/checkpoint.js';
import { parseDecoderOnlyConfig, type DecoderOnlyConfig } from '../../model/decoder-only/config.js';
import { readDecoderOnlyConfig, type AnyModel } from '../../model/families/open-model.js';
import { initialiseWithCopies } from '../../model/parameters/initialise.js';
import { sizedConfig } from '../../model/config/sizes.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import { SYSTEMS, type ParameterGroup, type System } from '../../systems/index.js';
import type { Device } from '../../tensor/device.js';
import type { TrainingConfig } from '../config/config.js';
import type { StartSettings, StepSettings, UpdateSettings } from '../config/parts.js';
import { resolveDataPaths, type PrepareOptions } from '../sources/data-sources.js';
import { Optimizer } from '../step/optimizer.js';
import { keepParameters } from '../step/param-dtype.js';
import { assignGroups } from '../step/parameter-groups.js';
import type { TrainerSettings } from '../step/trainer.js';

/** The configuration with absolute paths, so that the run can be resumed from any working directory. */
export function resolvePaths(config: TrainingConfig): TrainingConfig {
  const { model, data } = config;
  return {
    ...config,
    output: resolve(config.output),
    model: {
      ...model,
      init: typeof model.init === 'string' ? resolve(model.init) : model.init,
      ...(model.tokenizer === undefined ? {} : { tokenizer: resolve(model.tokenizer) }),
    },
    data: resolveDataPaths(data),
  };
}

/** @throws HintError INVALID_CONFIG when the configuration names no tokenizer; those of Tokenizer.load */
export async function loadTokenizer({ model }: Pick<StartSettings, 'model'>): Promise<Tokenizer> {
  const path = model.tokenizer ?? (typeof model.init === 'string' ? model.init : undefined);
  if (path === undefined) {
    throw new HintError(
      'INVALID_CONFIG',
      'A model that starts from nothing brings no tokenizer; set model.tokenizer to a tokenizer.json or its folder.',
    );
  }
  return Tokenizer.load(path);
}

/**
 * The model a run starts from: a directory's or a fresh one, with the system's hypernetwork beside it or without.
 * @throws HintError INVALID_CONFIG, NOT_FOUND, INVALID_CHECKPOINT, ABORTED
 */
export async function createModel(
  device: Device,
  config: StartSettings,
  system: System,
  { signal, onProgress }: PrepareOptions,
): Promise<EncoderDecoderModel> {
  const { init, hint: options, hyperencoderInit = 'pretrained' } = config.model;
  const base = await baseConfig(config);
  const hint = system.hint(base, options);
  checkHyperencoderInit(config, hint);
  if (typeof init !== 'string') {
    const full = adaptConfig(base, { hint, withoutHint: hint === undefined });
    const copies = hyperencoderInit === 'pretrained';
    return buildModel(device, full, await initialiseWithCopies(device, full, config.seed, copies));
  }
  return loadModel(device, init, {
    hint,
    withoutHint: hint === undefined,
    hyperencoderInit,
    dropoutRate: config.dropout,
    seed: config.seed,
    signal,
    onProgress,
  });
}

/** {@link createModel} of any family: decoder-only systems start from a directory of theirs. */
export function createAnyModel(
  device: Device,
  config: StartSettings,
  system: System,
  options: PrepareOptions,
): Promise<AnyModel> {
  return system.family
    ? createDecoderOnlyModel(device, config, system, options)
    : createModel(device, config, system, options);
}

async function createDecoderOnlyModel(
  device: Device,
  { model: { init, hint: options, hyperencoderInit }, dropout, seed }: StartSettings,
  system: System,
  report: PrepareOptions,
): Promise<AnyModel> {
  const stored = await storedDecoderOnlyConfig(init);
  const extra = hyperencoderInit !== undefined || Object.values(options).some((value) => value !== undefined);
  if (!stored || stored.family !== system.family || extra) {
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system.name} trains a ${system.family} model without a hypernetwork, but ${extra ? 'model.hint or model.hyperencoderInit is set' : `model.init is ${stored?.family ?? 'a T5 or HINT model'}`}; give a directory whose config.json has the model_type "${system.family}".`,
    );
  }
  const config = { ...stored, dropoutRate: dropout };
  return typeof init === 'string'
    ? loadDecoderOnlyModel(device, init, config, report)
    : initialiseDecoderOnlyModel(device, config, seed);
}

async function storedDecoderOnlyConfig(
  init: StartSettings['model']['init'],
): Promise<DecoderOnlyConfig | undefined> {
  if (typeof init === 'string') return readDecoderOnlyConfig(init);
  return 'config' in init ? parseDecoderOnlyConfig(init.config, 'model.init.config') : undefined;
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

async function baseConfig({ model: { init }, dropout }: StartSettings): Promise<ModelConfig> {
  return { ...(await storedConfig(init)), dropoutRate: dropout };
}

async function storedConfig(init: StartSettings['model']['init']): Promise<ModelConfig> {
  if (typeof init === 'string') return readModelConfig(init);
  return 'size' in init ? sizedConfig(init.size) : parseModelConfig(init.config, 'model.init.config');
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
  return Optimizer.create(device, settings, groups);
}

/** All that a system trains, as one group whose schedule goes on from pretraining. */
function oneGroup({ groups }: System): ParameterGroup {
  return { name: 'all', takes: (name) => groups.some((group) => group.takes(name)), stepOffset: 0 };
}

/** The trainer's part of a configuration; a `recompute` that nothing has decided yet keeps everything. */
export function trainerSettings(config: StepSettings): TrainerSettings {
  const { batchSize, tokenBudget, firstStep = 0, dropout, generatorDropout, zLoss, seed } = config;
  return {
    batchSize,
    tokenBudget,
    firstStep,
    dropout,
    generatorDropout,
    zLoss,
    seed,
    backward: config.recompute === 'auto' ? 'none' : config.recompute,
    schedule: {
      kind: config.schedule,
      learningRate: config.learningRate,
      warmupSteps: config.warmupSteps,
      steps: config.steps,
    },
  };
}
