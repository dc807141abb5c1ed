import type { WeightDType } from '../tensor/ops.js';
import type { EventLoopLag } from '../util/event-loop-lag.js';
import type { Spread } from '../util/statistics.js';
import type { BreakEven } from './break-even-run.js';
import type { EnergyPart } from './energy/meter.js';
import type { Observation } from './generation.js';
import type { MomentDescription } from './machine.js';
import type { MeasuredSetting } from './peer-settings.js';
import type { PeerDescription } from './peers.js';

/** Peers whose best setting is found in the run: plain T5 under Hugging Face transformers and under CTranslate2. */
export const GENERATING_PEERS = ['hf', 'ctranslate2'] as const;
export type GeneratingPeerName = (typeof GENERATING_PEERS)[number];

/**
 * What is measured: here compiled HINT, plain T5, and a decoder-only model that keeps the keys and values of its
 * instruction; plain T5 in Python, and an exported T5 under ONNX Runtime.
 */
export const LATENCY_SYSTEMS = ['hint', 't5', 'decoder', ...GENERATING_PEERS, 'onnx'] as const;
export type LatencySystem = (typeof LATENCY_SYSTEMS)[number];

/** What matrices can be held in while latency is measured. */
export const LATENCY_DTYPES = ['f32', 'bf16', 'int8'] as const satisfies readonly WeightDType[];

/** A run of the paper's Figure 4. */
export interface LatencyOptions {
  /** A T5 v1.1 size with random weights, or `model`. */
  readonly size?: string | undefined;
  /**
   * A model directory; with a plain T5, HINT is not measured. The engine uses its weights, Hugging Face random ones of
   * its shape.
   */
  readonly model?: string | undefined;
  /** With a size: the width of HINT's adapters. */
  readonly adapterSize: number;
  readonly shots: readonly number[];
  readonly examples: number;
  readonly rounds: number;
  readonly dtypes: readonly WeightDType[];
  readonly systems: readonly LatencySystem[];
  /** What computes, here and in Hugging Face: `cpu` (the default), `cuda`, `cuda:1`. */
  readonly device?: string | undefined;
  /** What computes in Hugging Face where it is not the same. */
  readonly peerDevice?: string | undefined;
  /** A directory with an exported T5 of the same shape. */
  readonly onnx?: string | undefined;
  /** Where the processors' counters of energy are; default: where Linux has them. */
  readonly powercap?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with what is left out, and why. */
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** What one measurement is of. */
export interface LatencyCase {
  readonly system: LatencySystem;
  /** `quantized` for an ONNX export of that kind. */
  readonly dtype: WeightDType | 'quantized';
  /** Absent where there is no instruction at all. */
  readonly shots?: number;
  /** Tokens of every input. */
  readonly inputTokens: number;
  /** Tokens that are read once: by HINT's hypernetwork, or by the decoder-only model, which keeps their keys and values. */
  readonly instructionTokens?: number;
  /** Of a peer whose best setting was found in the run. */
  readonly setting?: MeasuredSetting;
}

/** One figure: seconds per 100 examples, what is done once a task included. */
export interface LatencyPoint extends LatencyCase, Spread {
  readonly name: string;
  /** What is done once a task alone, median: HINT's compilation, the instruction of the decoder-only model. */
  readonly compileSeconds?: number;
  /** Weights as inference reads them and what a run took beside them at its peak; a peer's resident process. */
  readonly memoryBytes: number;
  /** FLOPs of one example; of systems elsewhere, those of plain T5. Older results have none for HINT. */
  readonly flopsPerExample?: number;
  /** FLOPs of what is done once a task. */
  readonly flopsPerTask?: number;
  /** Joules of 100 examples, median; absent where energy was not read. */
  readonly joules?: number;
  /** The worst lag of all samples, of this process; peers have none. */
  readonly eventLoopLag?: EventLoopLag;
}

/** The decoder-only model of a run. */
export interface DecoderDescription {
  readonly parameters: number;
  /** Its config.json. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Everything a run gave. */
export interface LatencyPart extends MomentDescription {
  /** Absent in older results: the CPU. */
  readonly device?: string;
  readonly model: string;
  readonly adapterSize: number;
  readonly parameters: { readonly t5: number; readonly hint?: number };
  /** The decoder-only model, where it was measured. */
  readonly decoder?: DecoderDescription;
  /** Parameters as they were opened, which the dtypes' weights are made from, bytes. */
  readonly parameterBytes: number;
  readonly shots: readonly number[];
  readonly examples: number;
  readonly outputTokens: number;
  readonly rounds: number;
  readonly dtypes: readonly WeightDType[];
  readonly peers: {
    readonly hf?: PeerDescription | { readonly skipped: string };
    readonly ctranslate2?: PeerDescription | { readonly skipped: string };
    readonly onnx?: PeerDescription;
  };
  /** Of results from before peers' best settings were found: inputs of one batch of HF, the faster of 25 and 100. */
  readonly hfBatch?: number;
  /** Seconds for all examples, by name, as measured. */
  readonly samples: Record<string, number[]>;
  /** By the same names, the seconds of each sample that went into what is done once a task; absent in older results. */
  readonly compileSamples?: Record<string, number[]>;
  readonly points: readonly LatencyPoint[];
  /** Absent in older results. */
  readonly energy?: EnergyPart;
  /** From where on HINT costs less; absent in older results, and where it was compared with nothing here. */
  readonly breakEven?: BreakEven;
}

/** What every sample of a measurement left behind. */
export type Observations = Map<
  string,
  (Partial<Observation> & { compileSeconds?: number; memoryBytes: number })[]
>;
