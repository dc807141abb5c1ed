import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import { EnergyMeter } from './energy/meter.js';
import { describeMoment } from './machine.js';
import { settingOf } from './peer-settings.js';
import { plainModel } from '../model/hint/plain-model.js';
import { randomModel, uniforms } from './random-model.js';
import { drawBatch, TRAINING_LENGTHS, usefulTokens, type DrawnBatch } from './training-examples.js';
import { startTrainingPeer, type TrainingPeer } from './training-peers.js';
import {
  TRAINING_PEERS,
  TRAINING_SYSTEMS,
  type MeasuredSystem,
  type TrainingMeasurementOptions,
  type TrainingPart,
  type TrainingPeerName,
  type TrainingSystem,
} from './training-run.js';
import { EngineSteps, matrixRoof } from './training-steps.js';
import { alternate } from './turns.js';

const BY_RANKS = {
  skipped:
    'it trains in one process; "hint bench scaling" compares ranks with PyTorch\'s DistributedDataParallel.',
};

/**
 * Whole training steps (forward, backward, Adafactor on every parameter) on batches of mixed tasks whose lengths are
 * spread as in Super-NaturalInstructions. All systems get the same examples in turns: plain T5 reads the instruction
 * with every input, HINT reads every different instruction once. A large matrix product, the roof, is measured in turns
 * with them. Ranks take the engine's steps together; each measures the roof by itself, all at the same time.
 *
 * @throws HintError OUT_OF_MEMORY, NOT_SUPPORTED when a named peer cannot be loaded or one fails on the way, ABORTED
 */
export async function measureTraining(options: TrainingMeasurementOptions): Promise<TrainingPart> {
  const { config, systems, batchSize, tasks, tokenBudget, rounds, ranks, signal, onProgress } = options;
  const { computeDtype = 'f32', paramDtype = 'f32', backward = 'none' } = options;
  const moment = await describeMoment();
  const name = options.device ?? 'cpu';
  const device = new Device({
    device: (await ranks?.openDevice(name)) ?? name,
    threads: ranks?.threadsOf(options.threads ?? 0) ?? options.threads ?? 0,
  });
  const peers = new Map<TrainingPeerName, TrainingPeer>();
  const skipped: Record<string, string> = {};
  try {
    const model = await randomModel(device, config, signal);
    const uniform = uniforms(3);
    const shape = { batchSize, tasks, vocabSize: config.vocabSize };
    // The first batch warms up.
    const batches = Array.from({ length: rounds + 1 }, () => drawBatch(uniform, shape));
    for (const name of TRAINING_PEERS.filter((peer) => systems.includes(peer))) {
      const threads = options.threads ?? moment.cores;
      const peer = ranks
        ? BY_RANKS
        : await startTrainingPeer(name, options, threads, batches[0] as DrawnBatch);
      if ('skipped' in peer) skipped[name] = peer.skipped;
      else peers.set(name, peer);
      if ('skipped' in peer) options.note?.(`${name} is left out: ${peer.skipped}`);
    }
    const engine = new Map<TrainingSystem, EngineSteps>();
    const settings = { tokenBudget, computeDtype, paramDtype, backward };
    if (systems.includes('hint') && config.hint)
      engine.set('hint', await EngineSteps.create(model, settings, ranks));
    if (systems.includes('t5'))
      engine.set('t5', await EngineSteps.create(plainModel(model), settings, ranks));

    const measurements: Record<string, () => Promise<number>> = {
      roof: matrixRoof(device, computeDtype, options.roofSide),
    };
    const inTurn = (
      name: TrainingSystem,
      step: (batch: (typeof batches)[number]) => Promise<number>,
    ): void => {
      const left = batches.values();
      measurements[name] = () => step(left.next().value as (typeof batches)[number]);
    };
    for (const [name, steps] of engine) {
      inTurn(name, (batch) => steps.step(name === 'hint' ? batch.hint : batch.plain));
    }
    for (const [name, peer] of peers) inTurn(name, (batch) => peer.step(batch));
    const energy = ranks ? undefined : await EnergyMeter.open([name], options.powercap);
    const around = energy?.during.bind(energy);
    const samples = await alternate([{ measurements }], { rounds, warmUp: true, around, signal, onProgress });

    return {
      ...moment,
      device: options.device ?? 'cpu',
      parameters: {
        t5: parameterCount(plainModel(model).config),
        ...(config.hint && { hint: parameterCount(config) }),
      },
      batchSize,
      tasks,
      tokenBudget,
      computeDtype,
      paramDtype,
      runAgain: backward,
      rounds,
      ...(ranks && { ranks: ranks.size }),
      lengths: TRAINING_LENGTHS,
      usefulTokens: batches.slice(1).map(({ plain, hint }) => ({
        t5: usefulTokens(plain),
        hint: usefulTokens(hint),
      })),
      systems: TRAINING_SYSTEMS.flatMap((system): MeasuredSystem[] => {
        const seconds = samples[system];
        if (!seconds) return [];
        const observed = engine.get(system)?.observed;
        const peer = peers.get(system as TrainingPeerName);
        return [
          {
            system,
            seconds,
            ...(observed && { ...observed, flops: observed.flops.slice(1) }),
            ...(peer && {
              ...{ peer: peer.description, setting: settingOf(peer.setting), usefulShare: peer.usefulShare },
            }),
          },
        ];
      }),
      skipped,
      ...(energy && { energy: energy.part }),
      samples,
    };
  } finally {
    for (const peer of peers.values()) peer.close();
    // Work that an abort left in the queue must finish before its thread ends.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}
