import type { ModelConfig } from '../model/config/config.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import type { FloatDType } from '../tensor/ops.js';
import type { MemoryMode } from '../training/memory/memory-plan.js';
import { describeMoment, type MomentDescription } from './machine.js';
import type { PeerDescription } from './peers.js';
import { plainModel, randomModel, uniforms } from './random-model.js';
import { drawBatch, TRAINING_LENGTHS, usefulTokens } from './training-examples.js';
import {
  startTrainingPeer,
  TRAINING_PEERS,
  type TrainingPeer,
  type TrainingPeerName,
} from './training-peers.js';
import { EngineSteps, matrixRoof } from './training-steps.js';
import { alternate } from './turns.js';

/** HINT and plain T5 here, plain T5 under Hugging Face transformers, HINT in PyTorch. */
export const TRAINING_SYSTEMS = ['hint', 't5', ...TRAINING_PEERS] as const;
export type TrainingSystem = (typeof TRAINING_SYSTEMS)[number];

/** What is measured of training. */
export interface TrainingMeasurementOptions {
  /** The shape, whose weights are random; with a hypernetwork where HINT is measured. */
  readonly config: ModelConfig;
  readonly systems: readonly TrainingSystem[];
  /** Examples of one step. */
  readonly batchSize: number;
  /** Different instructions among them. */
  readonly tasks: number;
  /** Most tokens of a microbatch of the engine. */
  readonly tokenBudget: number;
  /** What the engine computes in, and the roof is measured in; f32 unless said otherwise. */
  readonly computeDtype?: FloatDType | undefined;
  /** What the engine keeps matrices in: f32, or bf16 with stochastic rounding. */
  readonly paramDtype?: FloatDType | undefined;
  /** What the engine's backward pass runs again; nothing unless said otherwise. */
  readonly runAgain?: MemoryMode | undefined;
  /** Examples that a peer takes at a time; absent: the whole step. */
  readonly peerBatch?: number | undefined;
  /** What peers multiply in, with f32 weights. */
  readonly autocast?: 'bf16' | undefined;
  /** Steps measured of each system, behind one that warms up. */
  readonly rounds: number;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** A Python file that builds HINT in PyTorch; see bench/peers/hint_torch.py. */
  readonly hintPeer?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told what is left out, and why. */
  readonly note?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** One system of a run. */
export interface MeasuredSystem {
  readonly system: TrainingSystem;
  /** Seconds of every step, in the order of the batches. */
  readonly seconds: readonly number[];
  /** Of the engine: FLOPs of every step, useful work only. */
  readonly flops?: readonly number[];
  /** Of the engine: most tensor memory of a step, bytes. */
  readonly peakBytes?: number;
  /** Of the engine: the worst p99 of the event-loop lag of all steps, milliseconds. */
  readonly lagP99?: number;
  readonly peer?: PeerDescription;
  /** Of a peer: the share of its tokens that is not padding. */
  readonly usefulShare?: number;
}

/** Training's part of a benchmark's results. */
export interface TrainingPart extends MomentDescription {
  readonly device: string;
  readonly parameters: { readonly t5: number; readonly hint?: number };
  readonly batchSize: number;
  readonly tasks: number;
  readonly tokenBudget: number;
  readonly computeDtype: FloatDType;
  readonly paramDtype: FloatDType;
  readonly runAgain: MemoryMode;
  readonly peerBatch: number;
  readonly autocast: string;
  readonly rounds: number;
  readonly lengths: typeof TRAINING_LENGTHS;
  /** By batch, tokens that are not padding; HINT reads every instruction of a batch once. */
  readonly usefulTokens: readonly { readonly t5: number; readonly hint: number }[];
  readonly systems: readonly MeasuredSystem[];
  /** Peers that were asked for and are not there, and why. */
  readonly skipped: Readonly<Record<string, string>>;
  /** Seconds by system, as measured; `roof`: seconds per FLOP of a large matrix product. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}

/**
 * Whole training steps (forward, backward, Adafactor on every parameter) on batches of mixed tasks whose lengths are
 * spread as in Super-NaturalInstructions. All systems get the same examples in turns: plain T5 reads the instruction
 * with every input, HINT reads every different instruction once. A large matrix product takes its turn with them.
 *
 * @throws HintError OUT_OF_MEMORY, NOT_SUPPORTED when a named peer cannot be loaded or one fails on the way, ABORTED
 */
export async function measureTraining(options: TrainingMeasurementOptions): Promise<TrainingPart> {
  const { config, systems, batchSize, tasks, tokenBudget, rounds, signal, onProgress } = options;
  const { computeDtype = 'f32', paramDtype = 'f32', runAgain: mode = 'none' } = options;
  const moment = await describeMoment();
  const device = new Device({
    device: options.device ?? 'cpu',
    threads: options.threads ?? 0,
  });
  const peers = new Map<TrainingPeerName, TrainingPeer>();
  const skipped: Record<string, string> = {};
  try {
    const model = await randomModel(device, config, signal);
    for (const name of TRAINING_PEERS.filter((peer) => systems.includes(peer))) {
      const peer = await startTrainingPeer(name, options, options.threads ?? moment.cores);
      if ('skipped' in peer) skipped[name] = peer.skipped;
      else peers.set(name, peer);
      if ('skipped' in peer) options.note?.(`${name} is left out: ${peer.skipped}`);
    }
    const uniform = uniforms(3);
    const shape = { batchSize, tasks, vocabSize: config.vocabSize };
    // The first batch warms up.
    const batches = Array.from({ length: rounds + 1 }, () => drawBatch(uniform, shape));
    const engine = new Map<TrainingSystem, EngineSteps>();
    const settings = { tokenBudget, computeDtype, paramDtype, mode };
    if (systems.includes('hint') && config.hint)
      engine.set('hint', await EngineSteps.create(model, settings));
    if (systems.includes('t5')) engine.set('t5', await EngineSteps.create(plainModel(model), settings));

    const measurements: Record<string, () => Promise<number>> = { roof: matrixRoof(device, computeDtype) };
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
    const samples = await alternate([{ measurements }], { rounds, warmUp: true, signal, onProgress });

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
      runAgain: mode,
      peerBatch: options.peerBatch ?? batchSize,
      autocast: options.autocast ?? 'off',
      rounds,
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
            ...(peer && { peer: peer.description, usefulShare: peer.usefulShare }),
          },
        ];
      }),
      skipped,
      samples,
    };
  } finally {
    for (const peer of peers.values()) peer.close();
    // Work that an abort left in the queue must be through before the thread that runs it ends.
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}
