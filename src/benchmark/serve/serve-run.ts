import type { WeightDType } from '../../tensor/ops.js';
import type { MomentDescription } from '../machine.js';
import type { HfDType } from '../peer-kinds.js';
import type { MeasuredSetting } from '../peer-settings.js';
import type { PeerDescription } from '../peers.js';
import type { TokenGaps } from './token-gaps.js';

/**
 * What answers: HINT; Hugging Face behind FastAPI; HINT with long instructions, and a decoder-only model of equal FLOPs per
 * input token with the same.
 */
export const SERVE_SYSTEMS = ['hint', 'hf', 'hint-long', 'decoder-long'] as const;
export type ServeSystem = (typeof SERVE_SYSTEMS)[number];

/** The load at which latencies are compared, as a share of what was measured at most. */
export const COMPARED_SHARE = 0.7;

/** Options of the measurement of servers. */
export interface ServeOptions {
  /** T5 v1.1's shape, whose weights are random. */
  readonly size: string;
  readonly adapterSize: number;
  readonly systems: readonly ServeSystem[];
  /** Of HINT beside the peer; long instructions are compared in f32, which is all that decoder-only models have on a CPU. */
  readonly dtype: WeightDType;
  readonly peerDTypes: readonly HfDType[];
  /** The largest batch that the peer is tried with. */
  readonly peerBatch: number;
  /** Different instructions, and those of the long ones, which take more memory. */
  readonly tasks: number;
  readonly longTasks: number;
  readonly longInstruction: number;
  /** Seconds of each load. */
  readonly seconds: number;
  /** Loads of each kind, in turns. */
  readonly rounds: number;
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** A load of arrivals at random and what it took. */
export interface OpenPoint {
  /** Of the largest rate that was measured with clients that wait, 0–1. */
  readonly share: number;
  /** Requests per second. */
  readonly rate: number;
  /** Seconds from when a request was due to its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly requests: number;
}

/** What one server reached. */
export interface ServedSystem {
  readonly system: ServeSystem;
  readonly dtype: string;
  /** `hint int8`, as in the samples. */
  readonly name: string;
  /** Tokens read for each request, and once for a task. */
  readonly inputTokens: number;
  readonly instructionTokens?: number;
  readonly tasks?: number;
  readonly flopsPerRequest?: number;
  readonly compileSeconds?: number;
  readonly taskBytes?: number;
  /** Clients that ask at once at the largest rate, by which it was found. */
  readonly clients: number;
  /** Requests per second by clients. */
  readonly ladder: readonly { readonly clients: number; readonly rate: number }[];
  /** Requests per second, the median of the rounds. */
  readonly rate: number;
  /** Ascending by load; that at 70 % pools all rounds. */
  readonly open: readonly OpenPoint[];
  /** CPU seconds of the client over the seconds of all cores, at the largest rate. */
  readonly clientShare: number;
  readonly residentBytes: number;
  /** Of the peer. */
  readonly setting?: MeasuredSetting;
  readonly peer?: PeerDescription;
}

/** The servers' part of a benchmark's results. */
export interface ServePart extends MomentDescription {
  readonly model: string;
  readonly adapterSize: number;
  readonly outputTokens: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly threads: number;
  readonly served: readonly ServedSystem[];
  /** What compiling does to streams, where HINT was measured. */
  readonly gaps?: TokenGaps;
  /** What was asked for and not measured, and why. */
  readonly skipped: Readonly<Record<string, string>>;
  /** Seconds by what took them: of a request at the largest rate, and the percentiles at 70 % of it, by round. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}
