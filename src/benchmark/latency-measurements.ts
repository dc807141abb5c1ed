import { Engine } from '../inference/engine.js';
import type { AnyModel } from '../model/family.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import { parameterShapes } from '../model/parameters/parameter-shapes.js';
import type { WeightDType } from '../tensor/ops.js';
import { observeCompiled, observePlain, type Observation } from './generation.js';
import { OUTPUT_TOKENS, sniLengths } from './lengths.js';
import { settingKey, type MeasuredPeer, type PeerDType, type Peers } from './latency-peers.js';
import { GENERATING_PEERS, type LatencyCase, type LatencyOptions, type Observations } from './latency-run.js';
import type { Workload } from './latency-workload.js';
import { settingOf } from './peer-settings.js';
import { peerGeneration, type PeerGeneration } from './peers.js';
import { plainModel } from '../model/hint/plain-model.js';
import type { MeasurementGroup } from './turns.js';

// Enough rows that every kernel runs once.
const WARM_UP_ROWS = 4;

/** What decoder-only models compute in. */
const DECODER_DTYPE = 'f32';

/** The models of this engine that take part. */
export interface MeasuredModels {
  /** HINT, or a plain T5. */
  readonly own: EncoderDecoderModel;
  /** The decoder-only model of equal work. */
  readonly decoder?: AnyModel;
}

/**
 * The measurements of a run, grouped by dtype: a model has its weights packed in one dtype at a time, so that memory is
 * that of one. Names are those of the samples.
 */
export function latencyMeasurements(
  { own, decoder }: MeasuredModels,
  peers: Peers,
  options: LatencyOptions,
  work: Workload,
  observations: Observations,
): { groups: MeasurementGroup[]; cases: Map<string, LatencyCase> } {
  const { systems, dtypes, shots, signal } = options;
  const hintModel = systems.includes('hint') && own.hypernetwork?.readsInstruction === true;
  const engine = new Engine(own);
  const plain = plainModel(own);
  const cases = new Map<string, LatencyCase>();
  const weightBytes = { hint: 0, t5: 0, decoder: decoder ? parameterBytes(decoder) : 0 };
  const decoderEngine = decoder && new Engine(decoder);
  const decoderGroup = Math.max(0, dtypes.indexOf(DECODER_DTYPE));

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
      for (const system of GENERATING_PEERS) {
        const there = peers.generating[system];
        if (!there) continue;
        for (const peerDType of peerDTypes(there, dtypes, index)) {
          const found = there.settings.get(settingKey(peerDType, count));
          if (!found) continue;
          add(
            `${system} t5 ${peerDType}, ${place}`,
            { system, dtype: peerDType, shots: count, inputTokens, setting: settingOf(found) },
            async () => sampleOf(await there.peer.generate(full, OUTPUT_TOKENS, peerDType, found, signal)),
          );
        }
      }
      const { onnx } = peers;
      if (onnx && index === 0) {
        const kind = onnx.weights === 'quantized' ? 'quantized' : 'f32';
        const measured: LatencyCase = { system: 'onnx', dtype: kind, shots: count, inputTokens };
        add(`onnx t5 ${kind}, ${place}`, measured, async () =>
          sampleOf(await peerGeneration(onnx.peer, full, { tokens: OUTPUT_TOKENS, batch: 1 }, signal)),
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
          onEngine(await observeCompiled(engine, instruction, work.bare, { signal }), weightBytes.hint),
        );
      }
      if (decoderEngine && index === decoderGroup) {
        const measured: LatencyCase = {
          system: 'decoder',
          dtype: DECODER_DTYPE,
          shots: count,
          inputTokens: input,
          instructionTokens,
        };
        add(`engine decoder ${DECODER_DTYPE}, ${place}`, measured, async () =>
          onEngine(
            await observeCompiled(decoderEngine, instruction, work.bare, { signal }),
            weightBytes.decoder,
          ),
        );
      }
    }
    return { measurements, prepare: () => prepare(dtype, index) };
  });
  return { groups, cases };

  /** Packs the weights of T5 and HINT in this dtype, notes what they take, and lets all run once. */
  async function prepare(dtype: WeightDType, index: number): Promise<void> {
    const rows = work.bare.slice(0, WARM_UP_ROWS);
    const instruction = work.byShots.get(shots[0] as number)?.instruction as Int32Array;
    if (systems.includes('t5')) {
      weightBytes.t5 = await pack(plain, dtype);
      await observePlain(plain, rows, { signal });
    }
    if (hintModel) {
      weightBytes.hint = await pack(own, dtype);
      await observeCompiled(engine, instruction, rows, { signal });
    }
    if (decoderEngine && index === decoderGroup)
      await observeCompiled(decoderEngine, instruction, rows, { signal });
  }
}

type Sample = Partial<Observation> & { seconds: number; compileSeconds?: number; memoryBytes: number };

function sampleOf({ seconds, residentBytes }: PeerGeneration): Sample {
  return { seconds, memoryBytes: residentBytes };
}

/** The dtypes of a peer beside a dtype of the engine: the same, and always f32. */
function peerDTypes(
  { dtypes: held }: MeasuredPeer,
  dtypes: readonly WeightDType[],
  index: number,
): PeerDType[] {
  return held.filter((dtype) => dtype === dtypes[index] || (index === 0 && !dtypes.includes(dtype)));
}

function parameterBytes({ parameters }: AnyModel): number {
  return parameters.storedEntries().reduce((total, [, { bytes }]) => total + bytes, 0);
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
  // A device without packed weights reads the parameters in place, and both models share them.
  return [...parameterShapes(model.config).keys()]
    .map((name) => model.inferenceWeights?.table(name) ?? model.parameters.stored(name))
    .reduce((total, { bytes }) => total + bytes, 0);
}
