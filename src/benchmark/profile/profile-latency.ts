import { sizeTitle } from '../../model/config/sizes.js';
import { Engine } from '../../inference/engine.js';
import { generateTokens } from '../../inference/decode/generate.js';
import { checkWeightDType } from '../../model/weights/inference-weights.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { Device } from '../../tensor/device.js';
import type { WeightDType } from '../../tensor/ops.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { median } from '../../util/statistics.js';
import { checkWork, observeCompiled, observePlain } from '../generation.js';
import { checkOptions, openMeasured } from '../latency.js';
import type { LatencyOptions } from '../latency-run.js';
import { workload, type Workload } from '../latency-workload.js';
import { OUTPUT_TOKENS } from '../lengths.js';
import { describeMoment } from '../machine.js';
import { plainModel } from '../../model/hint/plain-model.js';
import { COMPILING, nameInferencePhases, REST } from './phases.js';
import { bestRoofs, profileRoofs } from './profile-roofs.js';
import { profileOf, type Profile, type ProfilePart } from './profile-table.js';
import { ProfileRecorder } from './recorder.js';

/** Options of a profile. */
export interface ProfileOptions extends LatencyOptions {
  /** Rows and columns of the products that are the roof; large ones unless said otherwise. */
  readonly roofSide?: number;
}

/**
 * Profiles 100 examples of compiled HINT and of plain T5 on this machine's CPU, by phase and op. Peers have no profile.
 *
 * @throws HintError INVALID_ARGUMENT, also for a device or systems that have no profile; what opening the model throws; ABORTED
 */
export async function profileLatency(options: ProfileOptions): Promise<ProfilePart> {
  checkProfiled(options.systems, options.device, options.onnx);
  checkOptions(options);
  const { signal, rounds, dtypes, shots, systems, examples, onProgress } = options;
  const moment = await describeMoment();
  using device = new Device();
  for (const dtype of dtypes) checkWeightDType(device, dtype);
  const own = await openMeasured(device, options);
  const plain = plainModel(own);
  const work = workload(options, own.config.vocabSize);
  const before = await profileRoofs(device, dtypes, options.roofSide);
  const cases = dtypes.flatMap((dtype) =>
    shots.flatMap((count) => {
      const place = `in ${dtype}, ${count} ${count === 1 ? 'shot' : 'shots'}`;
      return [
        ...(systems.includes('hint') && own.hypernetwork?.readsInstruction === true
          ? [{ name: `HINT ${place}`, dtype, model: own, run: () => hintRun(own, work, count, signal) }]
          : []),
        ...(systems.includes('t5')
          ? [
              {
                name: `plain T5 ${place}`,
                dtype,
                model: plain,
                run: () => plainRun(plain, work, count, signal),
              },
            ]
          : []),
      ];
    }),
  );
  const taken: { name: string; samples: Sample[]; plainSeconds: number }[] = [];
  for (const [done, { name, dtype, model, run }] of cases.entries()) {
    throwIfAborted(signal);
    await pack(model, dtype);
    const { profiled, unprofiled } = run();
    await unprofiled();
    const samples: Sample[] = [];
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      seconds.push(await unprofiled());
      samples.push(await ProfileRecorder.record(device, REST, profiled));
    }
    taken.push({ name, samples, plainSeconds: median(seconds) });
    onProgress?.(done + 1, cases.length, name);
  }
  const roofs = bestRoofs(before, await profileRoofs(device, dtypes, options.roofSide));
  const profiles = taken.map(({ name, samples, plainSeconds }): Profile =>
    profileOf(name, samples, plainSeconds, roofs, moment.cores),
  );
  return {
    ...moment,
    model: options.model ?? sizeTitle(options.size ?? 'base'),
    threads: moment.cores,
    sample: `a sample is ${examples} example${examples === 1 ? '' : 's'} of ${OUTPUT_TOKENS} new tokens, HINT's compiling included; the mean of ${rounds}`,
    roofs,
    profiles,
  };
}

type Sample = Awaited<ReturnType<typeof ProfileRecorder.record>>;

interface Run {
  profiled(recorder: ProfileRecorder): Promise<void>;
  /** @returns seconds */
  unprofiled(): Promise<number>;
}

function hintRun(
  model: EncoderDecoderModel,
  { bare, byShots }: Workload,
  count: number,
  signal?: AbortSignal,
): Run {
  const engine = new Engine(model);
  const instruction = byShots.get(count)?.instruction as Int32Array;
  return {
    async profiled(recorder) {
      const restore = nameInferencePhases(model, recorder);
      try {
        recorder.phase = COMPILING;
        using task = await engine.compileTokens(instruction, { signal });
        recorder.phase = REST;
        checkWork(await task.generate(bare, { maxTokens: OUTPUT_TOKENS, signal }));
      } finally {
        restore();
      }
    },
    unprofiled: async () => (await observeCompiled(engine, instruction, bare, { signal })).seconds,
  };
}

function plainRun(
  model: EncoderDecoderModel,
  { byShots }: Workload,
  count: number,
  signal?: AbortSignal,
): Run {
  const inputs = byShots.get(count)?.full as readonly Int32Array[];
  return {
    async profiled(recorder) {
      const restore = nameInferencePhases(model, recorder);
      try {
        checkWork(await generateTokens(model, { inputs, maxTokens: OUTPUT_TOKENS, signal }));
      } finally {
        restore();
      }
    },
    unprofiled: async () => (await observePlain(model, inputs, { signal })).seconds,
  };
}

async function pack(model: EncoderDecoderModel, dtype: WeightDType): Promise<void> {
  model.releaseInference();
  model.inferenceDType = dtype;
  await model.prepareInference();
  await model.device.synchronize();
}

/** @throws HintError INVALID_ARGUMENT for what has no profile */
export function checkProfiled(systems: readonly string[], device = 'cpu', onnx?: string): void {
  const refuse = (message: string): never => {
    throw new HintError('INVALID_ARGUMENT', message);
  };
  if (device !== 'cpu') refuse(`A profile is of the CPU, not of ${device}; leave --device out.`);
  if (onnx !== undefined) refuse('A profile is of this engine alone; leave --onnx out.');
  if (!systems.some((system) => system === 'hint' || system === 't5'))
    refuse(`A profile is of this engine alone, not of ${systems.join(', ')}; give hint or t5 as --systems.`);
}
