import type { Group } from '../../distributed/group.js';
import type { BackwardPlan } from '../../model/memory/backward-plan.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import type { ValidationMetric } from '../config/validation-config.js';
import type { StepReport } from '../step/trainer.js';
import type { ValidationReport } from '../validation/validator.js';

/** The stages of a run, in order. */
export type TrainingPhase = 'data' | 'model' | 'train' | 'save';

/** What tells how far it is: a stage, or a validation between two steps. */
export type ProgressPhase = TrainingPhase | 'validate';

/** What a run tells while it works. */
export type TrainingEvent =
  | { kind: 'phase'; phase: TrainingPhase; message: string }
  | { kind: 'progress'; phase: ProgressPhase; done: number; total: number }
  /** How a new run's memory was planned; not told where `recompute` says it. */
  | { kind: 'memory'; plan: MemoryPlan }
  /** Something that the run goes on from, but that a person should know: a damaged checkpoint was passed over. */
  | { kind: 'warning'; message: string }
  /** Every step, logged or not. */
  | { kind: 'step'; report: StepReport; steps: number }
  /** After a step that was validated, before its checkpoint. */
  | { kind: 'validation'; report: ValidationReport }
  | { kind: 'checkpoint'; step: number; path: string }
  | { kind: 'done'; summary: TrainingSummary };

/** How a run ended. */
export interface TrainingSummary {
  /** `stopped`: aborted while training; everything up to `step` is in the checkpoint. */
  status: 'finished' | 'stopped';
  /** Name of what was trained. */
  system: string;
  /** Updates of the run so far, earlier calls included. */
  step: number;
  /** Updates that the configuration asks for. */
  steps: number;
  /** Cross entropy per target token of the last step; undefined when no step was left to do. */
  loss: number | undefined;
  /** Steps of this call; 0 where the run had finished before. */
  stepsTaken: number;
  /** Tokens fed since the run's start. */
  tokens: number;
  /** Of this call, saving and validating included; undefined when no step was left to do. */
  tokensPerSecond: number | undefined;
  /** How many values the model has, trained or not. */
  parameters: number;
  /** What runs again in backward passes. */
  recompute: BackwardPlan;
  /** Examples there are to draw from; undefined for a stream. */
  examples: number | undefined;
  /** Training time of this call, without loading. */
  seconds: number;
  /** The run's directory. */
  output: string;
  /** The latest checkpoint. */
  checkpoint: string | undefined;
  /** The trained model's directory, as of the last step; undefined when stopped. */
  model: string | undefined;
  /** The best validation so far; undefined where the run is not validated, or was not yet. */
  best: BestModel | undefined;
  /** Whether validations without a better score ended the run before `steps`. */
  stoppedEarly: boolean;
  /** Processes that trained together; absent: one. */
  ranks?: number;
  /** Of all steps of this call, at this process; absent: one process, or no step. */
  communication?: {
    /** In which it exchanged values with the others, or waited for them. */
    readonly seconds: number;
    /** Of them, those in which it computed nothing. */
    readonly exposedSeconds: number;
  };
}

/** The model of a run's best validation. */
export interface BestModel {
  /** Updates it has had. */
  step: number;
  /** By which runs of this configuration are judged. */
  metric: ValidationMetric;
  /** What the metric came to: a percentage, or nats for `loss`. */
  score: number;
  /** Its directory. */
  path: string;
}

/** How a run is started. */
export interface TrainOptions {
  /** Go on from the latest complete checkpoint of the output directory. */
  resume?: boolean | undefined;
  /**
   * Keys of settings that a resumed run may have differently though they make it another run from there on, such as
   * `learningRate`; any other difference of that kind is refused.
   */
  changes?: readonly string[] | undefined;
  /** Aborting while training saves a checkpoint and ends the run as `stopped`; before, it throws ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with everything that happens, in its order. */
  onEvent?: ((event: TrainingEvent) => void) | undefined;
  /**
   * The processes that train together, all of which call this with the same configuration. Rank 0 alone writes; a summary comes
   * to all. An abort of one saves and ends all.
   */
  ranks?: Group | undefined;
}

/** Tells of the progress of a phase. */
export function progressOf(phase: ProgressPhase, onEvent: TrainOptions['onEvent']) {
  return (done: number, total: number): void => onEvent?.({ kind: 'progress', phase, done, total });
}
