import { BACKWARD_PLANS, type BackwardPlan } from '../../model/memory/backward-plan.js';
import { TRAINABLE, type TrainableModel } from '../../model/trainable/trainable.js';
import {
  callback,
  choice,
  instance,
  integer,
  number,
  optional,
  options as optionsOf,
  shaped,
  signal as signalKind,
  type Members,
} from '../../util/arguments.js';
import { SCHEDULES } from '../config/schedules.js';
import type { ExampleSource, SourceState } from '../sources/example-source.js';
import { Optimizer } from './optimizer.js';
import type { Schedule } from './schedule.js';

/** The numbers of a training run. */
export interface TrainerSettings {
  /** Examples per update. */
  readonly batchSize: number;
  /** Tokens per microbatch, instructions counted once; bounds memory. */
  readonly tokenBudget: number;
  /** Learning rate by global step. */
  readonly schedule: Schedule;
  /** Global step of the first update: the steps the starting checkpoint was trained for (method §5.4). */
  readonly firstStep: number;
  /** Dropout rate of T5's places. */
  readonly dropout: number;
  /** Dropout rate of the generators' hidden layer. */
  readonly generatorDropout: number;
  /** Coefficient of the z-loss, 1e-4 in the original. */
  readonly zLoss: number;
  /**
   * Largest norm of the gradient of the mean loss per target token; a longer one is scaled down to it. With it each step waits
   * for its norm before it updates. Absent: gradients stay as they are.
   */
  readonly clipNorm?: number;
  /** Seed of dropout. */
  readonly seed: number;
  /** What the backward pass runs again: time for memory. */
  readonly backward: BackwardPlan;
}

/** What a trainer works on. It owns none of it. */
export interface TrainerParts {
  /** Whose parameters are updated in place. */
  readonly model: TrainableModel;
  /** Nobody else may draw from it while steps are taken. */
  readonly source: ExampleSource;
  /** With the moments of those parameters. */
  readonly optimizer: Optimizer;
}

/** Where a run stands; with the model and the optimizer's moments, all that it needs to go on. */
export interface TrainerState {
  /** Updates of the run so far. */
  step: number;
  /** Which example comes next. */
  source: SourceState;
  /** Tokens fed since the run's start. */
  tokens: number;
}

/** How steps are taken. */
export interface StepsOptions {
  /** Ends the training early, at a whole step. */
  signal?: AbortSignal | undefined;
  /** Steps after which nothing may run ahead, for saving; the last step always is one. */
  settleAt?: ((step: number) => boolean) | undefined;
}

/** The value of the argument `parts`. */
export const PARTS = shaped<{ model: object; source: object; optimizer: Optimizer }>(
  {
    model: TRAINABLE,
    source: shaped<Pick<ExampleSource, 'next' | 'restore'>>(
      { next: callback(), restore: callback() },
      'an ExampleSource, such as await PoolSource.of(examples, seed)',
    ),
    optimizer: instance(Optimizer, 'an Optimizer'),
  },
  'an object { model, source, optimizer }',
);

const SCHEDULE: Members<Schedule> = {
  kind: choice(...SCHEDULES),
  learningRate: number(0),
  warmupSteps: integer(0),
  steps: integer(0),
};

/** The value of the argument `settings`. */
export const SETTINGS = optionsOf<TrainerSettings>({
  batchSize: integer(1, 2 ** 31 - 1),
  tokenBudget: integer(1, 2 ** 31 - 1),
  schedule: optionsOf<Schedule>(SCHEDULE),
  firstStep: integer(0),
  dropout: number(0, 1, { below: true }),
  generatorDropout: number(0, 1, { below: true }),
  zLoss: number(0),
  clipNorm: optional(number(0, Infinity, { above: true })),
  seed: integer(0),
  backward: choice(...BACKWARD_PLANS),
});

/** A state that a trainer can be restored to. */
export const STATE = shaped<Pick<TrainerState, 'step' | 'tokens'>>(
  { step: integer(0), tokens: integer(0) },
  'a state such as trainer.state',
);

/** The options of Trainer.steps. */
export const STEPS = optionsOf<StepsOptions>({
  signal: optional(signalKind),
  settleAt: optional(callback()),
});
