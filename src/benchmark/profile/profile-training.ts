import { Device } from '../../tensor/device.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { median } from '../../util/statistics.js';
import { describeMoment } from '../machine.js';
import { plainModel } from '../../model/hint/plain-model.js';
import { randomModel, uniforms } from '../random-model.js';
import { drawBatch } from '../training-examples.js';
import type { TrainingMeasurementOptions } from '../training-run.js';
import { EngineSteps } from '../training-steps.js';
import { FORWARD, nameTrainingPhases } from './phases.js';
import { checkProfiled } from './profile-latency.js';
import { bestRoofs, profileRoofs } from './profile-roofs.js';
import { profileOf, type ProfilePart } from './profile-table.js';
import { ProfileRecorder } from './recorder.js';

/**
 * Profiles training steps on this machine's CPU, by phase (forward, backward, update) and op. Peers have no profile.
 *
 * @throws HintError INVALID_ARGUMENT for a device or systems that have no profile and options of peers, OUT_OF_MEMORY, ABORTED
 */
export async function profileTraining(options: TrainingMeasurementOptions): Promise<ProfilePart> {
  const { config, systems, batchSize, tasks, tokenBudget, rounds, signal, onProgress } = options;
  const { computeDtype = 'f32', paramDtype = 'f32', backward = 'none' } = options;
  checkProfiled(systems, options.device);
  for (const [option, value] of [
    ['--hint-peer', options.hintPeer],
    ['--peer-batch', options.peerBatch],
    ['--autocast', options.autocast],
  ] as const)
    if (value !== undefined)
      throw new HintError('INVALID_ARGUMENT', `A profile is of this engine alone; leave ${option} out.`);
  const moment = await describeMoment();
  const threads = options.threads ?? moment.cores;
  using device = new Device({ threads });
  const model = await randomModel(device, config, signal);
  const dtypes = computeDtype === 'f32' ? [] : [computeDtype];
  const before = await profileRoofs(device, dtypes, options.roofSide);
  const taken = [];
  const shape = { batchSize, tasks, vocabSize: config.vocabSize };
  for (const system of ['hint', 't5'] as const) {
    if (!systems.includes(system) || (system === 'hint' && !config.hint)) continue;
    const steps = await EngineSteps.create(system === 'hint' ? model : plainModel(model), {
      ...{ tokenBudget, computeDtype, paramDtype, backward },
    });
    // The same examples for both.
    const uniform = uniforms(3);
    await steps.step(drawBatch(uniform, shape)[system === 'hint' ? 'hint' : 'plain']);
    const samples = [];
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      throwIfAborted(signal);
      const batch = drawBatch(uniform, shape)[system === 'hint' ? 'hint' : 'plain'];
      seconds.push(await steps.step(batch));
      samples.push(
        await ProfileRecorder.record(device, FORWARD, async (recorder) => {
          const restore = nameTrainingPhases(recorder);
          try {
            await steps.step(batch);
          } finally {
            restore();
          }
        }),
      );
      onProgress?.(round + 1, rounds, system);
    }
    taken.push({ name: system === 'hint' ? 'HINT' : 'plain T5', samples, plainSeconds: median(seconds) });
  }
  const roofs = bestRoofs(before, await profileRoofs(device, dtypes, options.roofSide));
  return {
    ...moment,
    model: `T5 v1.1 of width ${config.dModel} and ${config.numLayers} layers`,
    threads,
    sample: `a sample is a step of ${batchSize} examples of ${tasks} tasks: forward, backward and Adafactor of every parameter; the mean of ${rounds}`,
    roofs,
    profiles: taken.map(({ name, samples, plainSeconds }) =>
      profileOf(name, samples, plainSeconds, roofs, threads),
    ),
  };
}
