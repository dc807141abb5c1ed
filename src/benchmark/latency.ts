import { exampleMultiplyAdds } from '../accounting/flops.js';
import { HintError } from '../util/errors.js';
import { loadModel } from '../model/checkpoint/checkpoint.js';
import { buildModel } from '../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import { checkWeightDType } from '../model/weights/inference-weights.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import { median, spread } from '../util/statistics.js';
import { OUTPUT_TOKENS } from './lengths.js';
import { latencyMeasurements } from './latency-measurements.js';
import { startPeers, type Peers } from './latency-peers.js';
import type { LatencyCase, LatencyOptions, LatencyPart, LatencyPoint, Observations } from './latency-run.js';
import { workload } from './latency-workload.js';
import { describeMoment } from './machine.js';
import { benchConfig, endless, randomModel } from './random-model.js';
import { alternate } from './turns.js';

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
    const model = await openMeasured(device, options);
    await device.synchronize();
    const parameterBytes = device.statistics().bytesInUse;
    const work = workload(options, model.config.vocabSize);
    peers = await startPeers(options, model.config, moment.cores, work);
    const observations: Observations = new Map();
    const { groups, cases } = latencyMeasurements(model, peers, options, work, observations);
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
      samples,
      points: [...cases].map(([name, measured]) => ({
        ...pointOf(name, measured, samples[name] ?? [], observations.get(name) ?? [], options.examples),
        ...(measured.system !== 'hint' && { flopsPerExample: plainFlops(model, measured.inputTokens) }),
      })),
    };
  } finally {
    peers?.close();
    // Work that an abort left in the queue must finish before its thread ends.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}

/** Opens what is measured: a model directory, or a size with random weights. */
export async function openMeasured(
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

function plainFlops(model: EncoderDecoderModel, input: number): number {
  const plain = { ...model.config };
  delete plain.hint;
  return (
    2 *
    exampleMultiplyAdds(plain, {
      ...{ instruction: 0, input, output: OUTPUT_TOKENS, instructionInInput: false },
    }).total
  );
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

/** @throws HintError INVALID_ARGUMENT */
export function checkOptions({
  examples,
  rounds,
  shots,
  dtypes,
  systems,
  onnx,
  size,
  model,
}: LatencyOptions): void {
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
