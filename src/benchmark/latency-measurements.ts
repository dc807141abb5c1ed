import { Engine } from '../inference/engine.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import { parameterShapes } from '../model/parameters/parameter-shapes.js';
import type { WeightDType } from '../tensor/ops.js';
import { observeHint, observePlain, type Observation } from './generation.js';
import { OUTPUT_TOKENS, sniLengths } from './lengths.js';
import type { PeerDType, Peers } from './latency-peers.js';
import type { LatencyCase, LatencyOptions, Observations } from './latency-run.js';
import { peerGeneration } from './peers.js';
import { plainModel, randomTokens, uniforms } from './random-model.js';
import type { MeasurementGroup } from './turns.js';

/** Token ids of every measurement, the same for all systems. */
interface Workload {
  readonly bare: readonly Int32Array[];
  readonly byShots: ReadonlyMap<
    number,
    { readonly instruction: Int32Array; readonly full: readonly Int32Array[] }
  >;
}

// Enough rows for every kernel to have run once; weights were packed just before.
const WARM_UP_ROWS = 4;

/**
 * The measurements of a run, grouped by dtype: a model has its weights packed in one dtype at a time, so that memory is
 * that of one. Names are those of the samples.
 */
export function latencyMeasurements(
  own: EncoderDecoderModel,
  peers: Peers,
  options: LatencyOptions,
  observations: Observations,
): { groups: MeasurementGroup[]; cases: Map<string, LatencyCase> } {
  const { systems, dtypes, shots, signal } = options;
  const hintModel = systems.includes('hint') && own.hypernetwork?.readsInstruction === true;
  const engine = new Engine(own);
  const plain = plainModel(own);
  const work = workload(options, own.config.vocabSize);
  const cases = new Map<string, LatencyCase>();
  const weightBytes = { hint: 0, t5: 0 };

  const groups = dtypes.map((dtype, index): MeasurementGroup => {
    const measurements: Record<string, () => Promise<number>> = {};
    const add = (name: string, measured: LatencyCase, sample: () => Promise<Sample>): void => {
      cases.set(name, measured);
      measurements[name] = async () => {
        const { seconds, ...seen } = await sample();
        observations.set(name, [...(observations.get(name) ?? []), seen]);
        return seconds;
      };
    };
    const onEngine = (observed: Observation, weights: number): Sample => ({
      ...observed,
      memoryBytes: weights + observed.workingBytes,
    });
    if (systems.includes('t5')) {
      const { input } = sniLengths(0);
      add(`engine t5 ${dtype}, no instruction`, { system: 't5', dtype, inputTokens: input }, async () =>
        onEngine(await observePlain(plain, work.bare, { signal }), weightBytes.t5),
      );
    }
    for (const count of shots) {
      const { input, instruction: instructionTokens, full: inputTokens } = sniLengths(count);
      const { instruction, full } = work.byShots.get(count) as {
        instruction: Int32Array;
        full: Int32Array[];
      };
      const place = `${count} ${count === 1 ? 'shot' : 'shots'}`;
      for (const peerDType of peerDTypes(peers, dtypes, index)) {
        const run = { tokens: OUTPUT_TOKENS, batch: peers.hf?.batch ?? 1, dtype: peerDType };
        const measured: LatencyCase = { system: 'hf', dtype: peerDType, shots: count, inputTokens };
        add(`hf t5 ${peerDType}, ${place}`, measured, () => samplePeer(peers.hf?.peer, full, run));
      }
      if (peers.onnx && index === 0) {
        const kind = peers.onnx.weights === 'quantized' ? 'quantized' : 'f32';
        const measured: LatencyCase = { system: 'onnx', dtype: kind, shots: count, inputTokens };
        add(`onnx t5 ${kind}, ${place}`, measured, () =>
          samplePeer(peers.onnx?.peer, full, { tokens: OUTPUT_TOKENS, batch: 1 }),
        );
      }
      if (systems.includes('t5')) {
        const measured: LatencyCase = { system: 't5', dtype, shots: count, inputTokens };
        add(`engine t5 ${dtype}, ${place}`, measured, async () =>
          onEngine(await observePlain(plain, full, { signal }), weightBytes.t5),
        );
      }
      if (hintModel) {
        const measured: LatencyCase = {
          system: 'hint',
          dtype,
          shots: count,
          inputTokens: input,
          instructionTokens,
        };
        add(`engine hint ${dtype}, ${place}`, measured, async () =>
          onEngine(await observeHint(engine, instruction, work.bare, { signal }), weightBytes.hint),
        );
      }
    }
    return { measurements, prepare: () => prepare(dtype) };
  });
  return { groups, cases };

  /** Packs the weights of both models in this dtype, notes what they take, and lets both run once. */
  async function prepare(dtype: WeightDType): Promise<void> {
    const rows = work.bare.slice(0, WARM_UP_ROWS);
    if (systems.includes('t5')) {
      weightBytes.t5 = await pack(plain, dtype);
      await observePlain(plain, rows, { signal });
    }
    if (hintModel) {
      weightBytes.hint = await pack(own, dtype);
      const instruction = work.byShots.get(shots[0] as number)?.instruction as Int32Array;
      await observeHint(engine, instruction, rows, { signal });
    }
  }

  function samplePeer(
    peer: NonNullable<Peers['hf']>['peer'] | undefined,
    inputs: readonly Int32Array[],
    run: { tokens: number; batch: number; dtype?: PeerDType },
  ): Promise<Sample> {
    if (!peer) throw new TypeError('A measurement was made of a peer that is not there.');
    return peerGeneration(peer, inputs, run, signal).then(({ seconds, residentBytes }) => ({
      seconds,
      memoryBytes: residentBytes,
    }));
  }
}

type Sample = Partial<Observation> & { seconds: number; compileSeconds?: number; memoryBytes: number };

/** What HF is measured in beside a dtype of the engine: the same, and f32 in any case. */
function peerDTypes({ hf }: Peers, dtypes: readonly WeightDType[], index: number): PeerDType[] {
  return (hf?.dtypes ?? []).filter(
    (dtype) => dtype === dtypes[index] || (index === 0 && !dtypes.includes(dtype)),
  );
}

/** Bytes that the weights of a dtype take as inference reads them. */
async function pack(model: EncoderDecoderModel, dtype: WeightDType): Promise<number> {
  const { device } = model;
  model.releaseInference();
  await device.synchronize();
  const { bytesInUse } = device.statistics();
  model.inferenceDType = dtype;
  await model.prepareInference();
  await device.synchronize();
  if (device.packsWeights) return device.statistics().bytesInUse - bytesInUse;
  // There may be no weights of inference: parameters are then read in place, and both models share them.
  return [...parameterShapes(model.config).keys()]
    .map((name) => model.inferenceWeights?.table(name) ?? model.parameters.stored(name))
    .reduce((total, { bytes }) => total + bytes, 0);
}

function workload({ shots, examples }: LatencyOptions, vocabSize: number): Workload {
  const uniform = uniforms(2);
  const rows = (length: number): Int32Array[] =>
    Array.from({ length: examples }, () => randomTokens(uniform, length, vocabSize));
  return {
    bare: rows(sniLengths(0).input),
    byShots: new Map(
      shots.map((count) => {
        const { instruction, full } = sniLengths(count);
        return [count, { instruction: randomTokens(uniform, instruction, vocabSize), full: rows(full) }];
      }),
    ),
  };
}
