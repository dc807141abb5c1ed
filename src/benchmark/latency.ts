import { HintError } from '../util/errors.js';
import { Engine } from '../inference/engine.js';
import { loadModel } from '../model/checkpoint/checkpoint.js';
import { buildModel } from '../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import { checkWeightDType } from '../model/weights/inference-weights.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import type { WeightDType } from '../tensor/ops.js';
import type { EventLoopLag } from '../util/event-loop-lag.js';
import { median, spread, type Spread } from '../util/statistics.js';
import type { Observation } from './generation.js';
import { OUTPUT_TOKENS } from './lengths.js';
import { latencyMeasurements, type LatencyCase } from './latency-measurements.js';
import { startPeers, type Peers } from './latency-peers.js';
import { describeMoment, type MomentDescription } from './machine.js';
import type { PeerDescription } from './peers.js';
import { benchConfig, endless, randomModel } from './random-model.js';
import { alternate } from './turns.js';

/** What is measured: compiled HINT and plain T5 here, plain T5 in Python, an exported T5 under ONNX Runtime. */
export const LATENCY_SYSTEMS = ['hint', 't5', 'hf', 'onnx'] as const;
export type LatencySystem = (typeof LATENCY_SYSTEMS)[number];

/** What matrices can be held in while latency is measured. */
export const LATENCY_DTYPES = ['f32', 'bf16', 'int8'] as const satisfies readonly WeightDType[];

/** A run of the paper's Figure 4. */
export interface LatencyOptions {
  /** A T5 v1.1 size with random weights, or `model`. */
  readonly size?: string | undefined;
  /** A model directory; a plain T5 leaves HINT out. Its weights stand for themselves here, for their shape in HF. */
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
  /** A directory with an exported T5 of the same shape. */
  readonly onnx?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told what is left out, and why. */
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** One figure: seconds per 100 examples, HINT's compilation once included. */
export interface LatencyPoint extends LatencyCase, Spread {
  readonly name: string;
  /** HINT's compilation alone, median. */
  readonly compileSeconds?: number;
  /** Weights as inference reads them and what a run took beside them at its peak; a peer's resident process. */
  readonly memoryBytes: number;
  /** The worst of all samples; of this process, so that peers have none. */
  readonly eventLoopLag?: EventLoopLag;
}

/** Everything a run gave. */
export interface LatencyPart extends MomentDescription {
  /** Absent in older results: the CPU. */
  readonly device?: string;
  readonly model: string;
  readonly adapterSize: number;
  readonly parameters: { readonly t5: number; readonly hint?: number };
  /** Parameters as they were opened, which the dtypes' weights are made from, bytes. */
  readonly parameterBytes: number;
  readonly shots: readonly number[];
  readonly examples: number;
  readonly outputTokens: number;
  readonly rounds: number;
  readonly dtypes: readonly WeightDType[];
  readonly peers: {
    readonly hf?: PeerDescription | { readonly skipped: string };
    readonly onnx?: PeerDescription;
  };
  /** Inputs of one batch of HF. */
  readonly hfBatch?: number;
  /** Seconds for all examples, by name, as measured. */
  readonly samples: Record<string, number[]>;
  readonly points: readonly LatencyPoint[];
}

/** What every sample of a measurement left behind. */
export type Observations = Map<
  string,
  (Partial<Observation> & { compileSeconds?: number; memoryBytes: number })[]
>;

/**
 * Time of `examples` examples of one task by the number of shots in its instruction, as in the paper's Figure 4, in
 * turns with plain T5 and the peers that are installed.
 *
 * @throws HintError INVALID_ARGUMENT; what opening the model throws; NOT_SUPPORTED when a peer fails on the way; ABORTED
 */
export async function measureLatency(options: LatencyOptions): Promise<LatencyPart> {
  const { signal, rounds, onProgress } = options;
  checkOptions(options);
  const moment = await describeMoment();
  const device = new Device({ device: options.device ?? 'cpu' });
  let peers: Peers | undefined;
  try {
    for (const dtype of options.dtypes) checkWeightDType(device, dtype);
    const model = await open(device, options);
    await device.synchronize();
    const parameterBytes = device.statistics().bytesInUse;
    peers = await startPeers(options, model.config, moment.cores);
    const observations: Observations = new Map();
    const { groups, cases } = latencyMeasurements(new Engine(model), peers, options, observations);
    const samples = await alternate(groups, { rounds, signal, onProgress });
    return {
      ...moment,
      device: options.device ?? 'cpu',
      model: options.model ?? `T5 v1.1 ${options.size ?? 'base'}`,
      adapterSize: model.config.hint?.adapterSize ?? 0,
      parameters: parameters(model),
      parameterBytes,
      shots: options.shots,
      examples: options.examples,
      outputTokens: OUTPUT_TOKENS,
      rounds,
      dtypes: options.dtypes,
      peers: peers.described,
      ...(peers.hf && { hfBatch: peers.hf.batch }),
      samples,
      points: [...cases].map(([name, measured]) =>
        pointOf(name, measured, samples[name] ?? [], observations.get(name) ?? [], options.examples),
      ),
    };
  } finally {
    peers?.close();
    // Work that an abort left in the queue must be through before the thread that runs it ends.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}

async function open(
  device: Device,
  { size, model, adapterSize, signal, systems, dtypes, note }: LatencyOptions,
): Promise<EncoderDecoderModel> {
  const wantsHint = systems.includes('hint');
  if (model === undefined) {
    return randomModel(device, benchConfig(size ?? 'base', wantsHint ? adapterSize : undefined), signal);
  }
  const loaded = await loadModel(device, model, {
    signal,
    dtype: dtypes.length === 1 ? dtypes[0] : undefined,
  });
  if (wantsHint && loaded.hypernetwork?.readsInstruction !== true) {
    note?.(`HINT is left out: the model in ${model} reads no instruction.`);
  }
  return buildModel(device, endless(loaded.config), loaded.parameters);
}

function parameters({ config }: EncoderDecoderModel): { t5: number; hint?: number } {
  const plain = { ...config };
  delete plain.hint;
  return { t5: parameterCount(plain), ...(config.hint && { hint: parameterCount(config) }) };
}

function pointOf(
  name: string,
  measured: LatencyCase,
  seconds: readonly number[],
  observed: Observations extends Map<string, infer Values> ? Values : never,
  examples: number,
): LatencyPoint {
  const compiling = observed.map(({ compileSeconds = 0 }) => compileSeconds);
  const per100 = seconds.map((value, i) => {
    const compile = compiling[i] ?? 0;
    return compile + ((value - compile) * 100) / examples;
  });
  const lags = observed.flatMap(({ eventLoopLag }) => (eventLoopLag ? [eventLoopLag] : []));
  const worst = lags.toSorted((a, b) => b.p99 - a.p99)[0];
  return {
    name,
    ...measured,
    ...spread(per100),
    ...(measured.system === 'hint' && { compileSeconds: median(compiling) }),
    memoryBytes: Math.max(...observed.map(({ memoryBytes }) => memoryBytes)),
    ...(worst && { eventLoopLag: worst }),
  };
}

function checkOptions({ examples, rounds, shots, dtypes, systems, onnx, size, model }: LatencyOptions): void {
  const refuse = (message: string): never => {
    throw new HintError('INVALID_ARGUMENT', message);
  };
  for (const [name, value] of Object.entries({ examples, rounds })) {
    if (!Number.isInteger(value) || value < 1) refuse(`${name} is ${value}; give an integer of at least 1.`);
  }
  for (const [name, values] of Object.entries({ shots, dtypes, systems })) {
    if (values.length === 0) refuse(`There are no ${name} to measure; give at least one.`);
  }
  if (size !== undefined && model !== undefined) refuse('Give either a size or a model directory, not both.');
  if (systems.includes('onnx') !== (onnx !== undefined)) {
    refuse('ONNX Runtime needs an exported model: give the system onnx and the option onnx together.');
  }
}
