import { HintError } from '../util/errors.js';
import { loadModel } from '../model/checkpoint/checkpoint.js';
import { sizeTitle } from '../model/config/sizes.js';
import { buildModel } from '../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import { checkWeightDType } from '../model/weights/inference-weights.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import { breakEven } from './break-even.js';
import { EnergyMeter } from './energy/meter.js';
import { randomDecoder } from './equal-work.js';
import { OUTPUT_TOKENS } from './lengths.js';
import { latencyMeasurements, type MeasuredModels } from './latency-measurements.js';
import { startPeers, type Peers } from './latency-peers.js';
import { compileSamplesOf, latencyPoints } from './latency-points.js';
import type { LatencyOptions, LatencyPart, Observations } from './latency-run.js';
import { workload } from './latency-workload.js';
import { countedCost, describeDecoder } from './latency-flops.js';
import { describeMoment } from './machine.js';
import { benchConfig, endless, randomModel } from './random-model.js';
import { alternate } from './turns.js';

/**
 * Time of `examples` examples of one task by the number of shots in its instruction, as in the paper's Figure 4, in
 * turns with plain T5, a decoder-only model of equal work that keeps its instruction's keys and values, and the peers that are
 * installed.
 *
 * @throws HintError INVALID_ARGUMENT; what opening the model throws; NOT_SUPPORTED when a peer fails on the way; ABORTED
 */
export async function measureLatency(options: LatencyOptions): Promise<LatencyPart> {
  const { signal, rounds, onProgress } = options;
  checkOptions(options);
  const moment = await describeMoment();
  const { device: name = 'cpu' } = options;
  const device = new Device({ device: name });
  let peers: Peers | undefined;
  try {
    for (const dtype of options.dtypes) checkWeightDType(device, dtype);
    const model = await openMeasured(device, options);
    await device.synchronize();
    const parameterBytes = device.statistics().bytesInUse;
    const work = workload(options, model.config.vocabSize);
    const decoder = options.systems.includes('decoder')
      ? await randomDecoder(device, model.config)
      : undefined;
    const models: MeasuredModels = { own: model, ...(decoder && { decoder }) };
    peers = await startPeers(options, model.config, moment.cores, work);
    const observations: Observations = new Map();
    const { groups, cases } = latencyMeasurements(models, peers, options, work, observations);
    const energy = await EnergyMeter.open([name, options.peerDevice ?? name], options.powercap);
    const around = energy.during.bind(energy);
    const samples = await alternate(groups, { rounds, around, signal, onProgress });
    const compileSamples = compileSamplesOf(cases, observations);
    const measured = { cases, samples, observations, energy: energy.part, examples: options.examples };
    const points = latencyPoints(models, measured);
    const timed = { points, samples, compileSamples, examples: options.examples };
    const found = breakEven(timed, (system, shots) => countedCost(models, system, shots));
    return {
      ...moment,
      device: name,
      model: options.model ?? sizeTitle(options.size ?? 'base'),
      adapterSize: model.config.hint?.adapterSize ?? 0,
      parameters: parameters(model),
      parameterBytes,
      ...(decoder && { decoder: describeDecoder(decoder) }),
      shots: options.shots,
      examples: options.examples,
      outputTokens: OUTPUT_TOKENS,
      rounds,
      dtypes: options.dtypes,
      peers: peers.described,
      samples,
      compileSamples,
      points,
      energy: energy.part,
      ...(found && { breakEven: found }),
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

function parameters({ config }: EncoderDecoderModel): { t5: number; hint?: number } {
  const plain = { ...config };
  delete plain.hint;
  return { t5: parameterCount(plain), ...(config.hint && { hint: parameterCount(config) }) };
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
