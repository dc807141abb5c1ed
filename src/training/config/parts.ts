import type { TrainingConfig } from './config.js';

/** What the model of a run starts from. */
export type StartSettings = Pick<TrainingConfig, 'system' | 'model' | 'dropout' | 'seed'>;

/** What a run draws its examples from. */
export type DataSettings = Pick<TrainingConfig, 'data' | 'seed'>;

/** Where a run computes, and how much memory it may take there. */
export type DeviceSettings = Pick<TrainingConfig, 'device' | 'threads' | 'memoryBudget'>;

/** How weights are updated, and what they are kept in between updates. */
export type UpdateSettings = Pick<TrainingConfig, 'optimizer' | 'firstStep' | 'paramDtype' | 'paramRounding'>;

/** What a plan of a run's memory is made from. */
export type MemorySettings = Pick<TrainingConfig, 'batchSize' | 'tokenBudget' | 'device' | 'memoryBudget'>;

/** How the learning rate changes over a run. */
export type ScheduleSettings = Pick<TrainingConfig, 'schedule' | 'learningRate' | 'warmupSteps' | 'steps'>;

/** How long a run and its warm-up are, in steps or in passes over the examples. */
export type LengthSettings = Pick<
  TrainingConfig,
  'steps' | 'epochs' | 'warmupSteps' | 'warmupEpochs' | 'batchSize'
>;

/** What a step is made of. */
export type StepSettings = ScheduleSettings &
  Pick<
    TrainingConfig,
    | 'batchSize'
    | 'tokenBudget'
    | 'firstStep'
    | 'dropout'
    | 'generatorDropout'
    | 'zLoss'
    | 'clipNorm'
    | 'seed'
    | 'recompute'
  >;

/** What a run writes while it trains, and how often. */
export type SaveSettings = Pick<TrainingConfig, 'steps' | 'saveEvery' | 'keepCheckpoints' | 'logEvery'>;

/** How a run is validated. */
export type ValidatedSettings = Pick<
  TrainingConfig,
  'data' | 'validation' | 'saveEvery' | 'tokenBudget' | 'seed'
>;
