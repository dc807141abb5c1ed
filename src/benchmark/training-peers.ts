import { join } from 'node:path';
import type { TokenizedExample } from '../data/batch.js';
import { HintError } from '../util/errors.js';
import { serializeModelConfig, type ModelConfig } from '../model/config/config.js';
import { packageRoot } from '../util/package-root.js';
import { PeerProcess } from './peer-process.js';
import {
  findSetting,
  MEMORY_ENVIRONMENT,
  peerBatches,
  peerMemories,
  settingWords,
  type FoundSetting,
  type PeerMemory,
  type PeerSetting,
  type PeerVariant,
  type SettingSpace,
} from './peer-settings.js';
import { loadPeer, peerPython, startHuggingFace, type PeerDescription } from './peers.js';
import type { DrawnBatch } from './training-examples.js';
import type { TrainingMeasurementOptions, TrainingPeerName } from './training-run.js';

/** An installed peer. */
export interface TrainingPeer {
  readonly description: PeerDescription;
  /** The setting with which it trains fastest. */
  readonly setting: FoundSetting;
  /** Share of the tokens of all its steps that were not padding. */
  readonly usefulShare: number;
  /** @returns seconds of one step */
  step(batch: DrawnBatch): Promise<number>;
  close(): void;
}

interface StepAnswer {
  readonly seconds: number;
  readonly paddedTokens: number;
  readonly usefulTokens: number;
}

/** Warm-up steps of a variant: the first step compiles kernels, also for other lengths. */
const WARM_UP_STEPS = 1;

/**
 * Starts a peer, loads the measured shape into it and finds its fastest setting: microbatch, memory, attention,
 * products in f32 or bf16, compiled or not.
 *
 * @param first the batch that trials are taken with
 * @returns the peer, or why it is left out
 * @throws HintError NOT_SUPPORTED for a named file that builds no HINT; ABORTED
 */
export async function startTrainingPeer(
  name: TrainingPeerName,
  options: TrainingMeasurementOptions,
  threads: number,
  first: DrawnBatch,
): Promise<TrainingPeer | { readonly skipped: string }> {
  const runs = new TrainingProcesses(name, options, threads);
  try {
    const { space } = runs;
    // What is not installed shows at once.
    await runs.ready({ batch: 1, memory: space.memories[0] as PeerMemory, variant: space.variants[0] });
    const setting = await findSetting(space, options.batchSize, (tried) => runs.trial(tried, first), {
      // A trial is a whole step, because the update takes the same time for any number of examples.
      ...{ shortest: options.batchSize, signal: options.signal },
    });
    runs.keepOnly(setting);
    options.note?.(`${name} trains fastest with ${settingWords(setting)}, of ${setting.tried} settings.`);
    const total = { padded: 0, useful: 0 };
    return {
      description: runs.description,
      setting,
      get usefulShare() {
        return total.useful / total.padded;
      },
      async step(batch) {
        const answer = await runs.step(setting, batch);
        total.padded += answer.paddedTokens;
        total.useful += answer.usefulTokens;
        return answer.seconds;
      },
      close: () => runs.close(),
    };
  } catch (error) {
    runs.close();
    // If a file that the user named does not work, fail instead of going on without it.
    const isNamed = name === 'hint-torch' && options.hintPeer !== undefined;
    if (isNamed || !(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
    return { skipped: error.message };
  }
}

/**
 * The settings of a training peer. A microbatch or dtype of products that the caller names is the only one.
 * Compilation, which takes minutes, is tried with the best of the other settings only.
 */
export function trainingSpace(
  name: TrainingPeerName,
  { batchSize, peerBatch, autocast, device = 'cpu' }: TrainingMeasurementOptions,
): SettingSpace {
  const attentions = name === 'hf' ? (['sdpa', 'eager'] as const) : [null];
  const products = autocast === undefined ? [null, 'bf16'] : [autocast];
  const [first, ...others] = attentions.flatMap((attention) =>
    products.map((product): PeerVariant => ({
      name: [
        ...(attention === null ? [] : [`${attention} attention`]),
        product === null ? 'products in f32' : 'bf16 autocast',
      ].join(', '),
      request: { attention, autocast: product, compile: false },
    })),
  );
  return {
    batches: peerBatch === undefined ? peerBatches(batchSize) : [Math.min(peerBatch, batchSize)],
    memories: peerMemories(device),
    variants: [first as PeerVariant, ...others],
    ...(name === 'hf' && {
      dearVariants: (best: PeerVariant) => [
        { name: `${best.name}, compiled`, request: { ...best.request, compile: true } },
      ],
    }),
  };
}

/** Processes of a training peer: one for each kind of memory, and one more for what is compiled. */
class TrainingProcesses {
  readonly space: SettingSpace;
  description: PeerDescription = {};
  private readonly running = new Map<string, PeerProcess>();
  private readonly warm = new Set<string>();

  constructor(
    private readonly name: TrainingPeerName,
    private readonly options: TrainingMeasurementOptions,
    private readonly threads: number,
  ) {
    this.space = trainingSpace(name, options);
  }

  /** @returns seconds of a step behind those that warm up */
  async trial(setting: PeerSetting, batch: DrawnBatch): Promise<number> {
    const kind = `${processKey(setting)} ${setting.variant.name}`;
    if (!this.warm.has(kind)) for (let i = 0; i < WARM_UP_STEPS; i++) await this.step(setting, batch);
    this.warm.add(kind);
    return (await this.step(setting, batch)).seconds;
  }

  async step(setting: PeerSetting, { plain, hint }: DrawnBatch): Promise<StepAnswer> {
    const process = await this.ready(setting);
    const { batch, variant } = setting;
    const { device = 'cpu', signal } = this.options;
    const examples = sequences(this.name === 'hf' ? plain : hint);
    try {
      return await process.ask<StepAnswer>(
        { do: 'train', device, batch, ...variant.request, ...examples },
        signal,
      );
    } finally {
      if (process.hasEnded) this.end(processKey(setting));
    }
  }

  /** A process with the model in it. */
  async ready(setting: PeerSetting): Promise<PeerProcess> {
    const key = processKey(setting);
    const there = this.running.get(key);
    if (there) return there;
    const process = await (this.name === 'hf' ? startHuggingFace : startHint)(
      setting.memory,
      this.options.signal,
      this.options,
    );
    this.running.set(key, process);
    const { config, device = 'cpu', signal } = this.options;
    const { threads } = this;
    this.description =
      this.name === 'hf'
        ? await loadPeer(process, config, { threads, device }, signal)
        : await process.ask({ do: 'load', config: asStored(config), threads, seed: 1, device }, signal);
    return process;
  }

  keepOnly(setting: PeerSetting): void {
    for (const key of [...this.running.keys()]) if (key !== processKey(setting)) this.end(key);
  }

  close(): void {
    for (const key of [...this.running.keys()]) this.end(key);
  }

  private end(key: string): void {
    this.running.get(key)?.close();
    this.running.delete(key);
    for (const kind of [...this.warm]) if (kind.startsWith(`${key} `)) this.warm.delete(kind);
  }
}

/** A model that was compiled stays so. */
function processKey({ memory, variant }: PeerSetting): string {
  return `${memory}${variant.request['compile'] === true ? '+compiled' : ''}`;
}

/** HINT in PyTorch; its file is the user's, bench/peers/hint_torch.py says what it must offer. */
async function startHint(
  memory: PeerMemory,
  _: AbortSignal | undefined,
  { config, hintPeer }: TrainingMeasurementOptions,
): Promise<PeerProcess> {
  if (hintPeer === undefined) {
    throw new HintError(
      'NOT_SUPPORTED',
      'no Python file was given that builds HINT in PyTorch; name one with --hint-peer.',
    );
  }
  if (!config.hint) {
    throw new HintError('NOT_SUPPORTED', 'the measured model has no hypernetwork; measure hint, too.');
  }
  const script = join(packageRoot(), 'bench', 'peers', 'hint_torch.py');
  return new PeerProcess('HINT in PyTorch', peerPython(), [script, hintPeer], MEMORY_ENVIRONMENT[memory]);
}

function asStored(config: ModelConfig): Record<string, unknown> {
  return serializeModelConfig({ ...config, eosTokenId: 1 });
}

function sequences(examples: readonly TokenizedExample[]): object {
  const instructions = [...new Set(examples.map(({ instruction }) => instruction))];
  return {
    instructions: instructions.map((ids) => [...ids]),
    taskIndex: examples.map(({ instruction }) => instructions.indexOf(instruction)),
    inputs: examples.map(({ input }) => [...input]),
    targets: examples.map(({ target }) => [...target]),
  };
}
