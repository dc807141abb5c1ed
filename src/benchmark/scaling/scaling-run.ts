import type { ModelConfig } from '../../model/config/config.js';
import type { MomentDescription } from '../machine.js';
import type { MeasuredSetting } from '../peer-settings.js';
import type { PeerDescription } from '../peers.js';
import type { MeasuredLink } from './link.js';
import type { RankBlocks } from './timeline.js';

/** HINT and plain T5 here, and plain T5 under PyTorch's DistributedDataParallel. */
export const SCALING_SYSTEMS = ['hint', 't5', 'ddp'] as const;
export type ScalingSystem = (typeof SCALING_SYSTEMS)[number];
export type EngineSystem = Exclude<ScalingSystem, 'ddp'>;

/** Options of the measurement of ranks. */
export interface ScalingOptions {
  /** The shape, whose weights are random; with a hypernetwork where HINT is measured. */
  readonly config: ModelConfig;
  readonly systems: readonly ScalingSystem[];
  /** Processes of one thread each that train together. */
  readonly ranks: number;
  /** Examples of one step of all ranks. */
  readonly batchSize: number;
  /** Different instructions among them. */
  readonly tasks: number;
  /** Most tokens of a microbatch of the engine. */
  readonly tokenBudget: number;
  /** Measured steps of each, after one that warms up. */
  readonly rounds: number;
  /** MiB of the peer's buckets to try. */
  readonly buckets: readonly number[];
  /** Bytes of memory that further processes can have; default: what the system says. */
  readonly availableMemory?: (() => number) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** A system of the engine, in seconds by step. */
export interface EngineScaling {
  readonly system: EngineSystem;
  /** One process takes the whole batch. */
  readonly alone: readonly number[];
  /** The ranks take it together. */
  readonly together: readonly number[];
  /** As many processes as ranks each take their part of it at the same time, without each other. */
  readonly apart: readonly (readonly number[])[];
  /** Of the steps together, at rank 0. */
  readonly communication: readonly number[];
  readonly exposed: readonly number[];
  /** How fast the ranks exchange values, measured before the steps; results of older versions lack it. */
  readonly link?: MeasuredLink;
  /** The last step together, by rank. */
  readonly timeline: readonly RankBlocks[];
}

/** The peer, in seconds by step. */
export interface PeerScaling {
  readonly system: 'ddp';
  readonly together: readonly number[];
  readonly peer: PeerDescription;
  /** Its fastest setting. */
  readonly setting: MeasuredSetting;
}

/** Scaling's part of a benchmark's results. */
export interface ScalingPart extends MomentDescription {
  readonly parameters: { readonly t5: number; readonly hint?: number };
  readonly ranks: number;
  readonly batchSize: number;
  readonly tasks: number;
  readonly tokenBudget: number;
  readonly rounds: number;
  readonly engine: readonly EngineScaling[];
  readonly peers: readonly PeerScaling[];
  /** Peers that were asked for and not measured, and why. */
  readonly skipped: Readonly<Record<string, string>>;
  /** Seconds by what took them, as measured. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}
