import type { Group } from '../distributed/group.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import type { ModelConfig } from '../model/config/config.js';
import type { FloatDType } from '../tensor/ops.js';
import type { EnergyPart } from './energy/meter.js';
import type { MomentDescription } from './machine.js';
import type { MeasuredSetting } from './peer-settings.js';
import type { PeerDescription } from './peers.js';
import type { TRAINING_LENGTHS } from './training-examples.js';

/** The peers of a training run. */
export const TRAINING_PEERS = ['hf', 'hint-torch'] as const;
export type TrainingPeerName = (typeof TRAINING_PEERS)[number];

/** HINT and plain T5 here, plain T5 under Hugging Face transformers, HINT in PyTorch. */
export const TRAINING_SYSTEMS = ['hint', 't5', ...TRAINING_PEERS] as const;
export type TrainingSystem = (typeof TRAINING_SYSTEMS)[number];

/** Options of the measurement of training. */
export interface TrainingMeasurementOptions {
  /** The shape, whose weights are random; with a hypernetwork where HINT is measured. */
  readonly config: ModelConfig;
  readonly systems: readonly TrainingSystem[];
  /** Examples of one step. */
  readonly batchSize: number;
  /** Different instructions among them. */
  readonly tasks: number;
  /** Most tokens of a microbatch of the engine. */
  readonly tokenBudget: number;
  /** The dtype in which the engine computes and the roof is measured; default: f32. */
  readonly computeDtype?: FloatDType | undefined;
  /** The dtype in which the engine keeps matrices: f32, or bf16 with stochastic rounding. */
  readonly paramDtype?: FloatDType | undefined;
  /** What the engine's backward pass runs again; default: nothing. */
  readonly backward?: BackwardPlan | undefined;
  /** Examples per microbatch of a peer; absent: the fastest number. */
  readonly peerBatch?: number | undefined;
  /** The dtype of peers' products with f32 weights; absent: f32 or bf16, whichever is faster. */
  readonly autocast?: 'bf16' | undefined;
  /** Measured steps of each system, after one that warms up. */
  readonly rounds: number;
  /** Rows and columns of the matrix product that is the roof; as many as fill the device unless said otherwise. */
  readonly roofSide?: number | undefined;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** A Python file that builds HINT in PyTorch; see bench/peers/hint_torch.py. */
  readonly hintPeer?: string | undefined;
  /** Processes that take the engine's steps together, all of which measure the same; peers are left out. */
  readonly ranks?: Group | undefined;
  /** Where the processors' counters of energy are; default: where Linux has them. */
  readonly powercap?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with what is left out, and why. */
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** One system of a run. */
export interface MeasuredSystem {
  readonly system: TrainingSystem;
  /** Seconds of every step, in the order of the batches. */
  readonly seconds: readonly number[];
  /** Of the engine: FLOPs of every step, useful work only. */
  readonly flops?: readonly number[];
  /** Of the engine: most tensor memory of a step, bytes. */
  readonly peakBytes?: number;
  /** Of the engine: the worst p99 of the event-loop lag of all steps, milliseconds. */
  readonly lagP99?: number;
  readonly peer?: PeerDescription;
  /** Of a peer: its fastest setting. */
  readonly setting?: MeasuredSetting;
  /** Of a peer: the share of its tokens that is not padding. */
  readonly usefulShare?: number;
}

/** Training's part of a benchmark's results. */
export interface TrainingPart extends MomentDescription {
  readonly device: string;
  readonly parameters: { readonly t5: number; readonly hint?: number };
  readonly batchSize: number;
  readonly tasks: number;
  readonly tokenBudget: number;
  readonly computeDtype: FloatDType;
  readonly paramDtype: FloatDType;
  readonly runAgain: BackwardPlan;
  /** Of results from before peers' best settings were found: how all of them ran. */
  readonly peerBatch?: number;
  readonly autocast?: string;
  readonly rounds: number;
  /** Processes that took each step together; absent: one took it. */
  readonly ranks?: number;
  readonly lengths: typeof TRAINING_LENGTHS;
  /** By batch, tokens that are not padding; HINT reads every instruction of a batch once. */
  readonly usefulTokens: readonly { readonly t5: number; readonly hint: number }[];
  readonly systems: readonly MeasuredSystem[];
  /** Peers that were asked for and not measured, and why. */
  readonly skipped: Readonly<Record<string, string>>;
  /** Absent in older results, and of ranks, of which each would count all. */
  readonly energy?: EnergyPart;
  /** Seconds by system, as measured; `roof`: seconds per FLOP of a large matrix product. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}
