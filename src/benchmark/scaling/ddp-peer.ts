import type { PeerProcess } from '../peer-process.js';
import {
  findSetting,
  peerBatches,
  peerMemories,
  settingWords,
  type FoundSetting,
  type PeerMemory,
  type PeerSetting,
  type PeerVariant,
} from '../peer-settings.js';
import { peerConfig, startDistributed, type PeerDescription } from '../peers.js';
import type { DrawnBatch } from '../training-examples.js';
import type { ScalingOptions } from './scaling-run.js';

/** Plain T5 under DistributedDataParallel, with its fastest setting. */
export interface DdpPeer {
  readonly description: PeerDescription;
  readonly setting: FoundSetting;
  /** @returns seconds of one step */
  step(batch: DrawnBatch): Promise<number>;
  close(): void;
}

/**
 * Starts the peer and finds what it is fastest with: examples at a time, memory, products in f32 or bf16, attention, size of
 * buckets.
 *
 * @param first the batch that trials are taken with
 * @throws HintError NOT_SUPPORTED where its Python lacks what it takes; ABORTED
 */
export async function startDdp(options: ScalingOptions, first: DrawnBatch): Promise<DdpPeer> {
  const { config, ranks, batchSize, buckets, signal } = options;
  const running = new Map<PeerMemory, PeerProcess>();
  let description: PeerDescription = {};
  const ready = async (memory: PeerMemory): Promise<PeerProcess> => {
    const there = running.get(memory);
    if (there && !there.hasEnded) return there;
    const process = await startDistributed(memory, signal);
    running.set(memory, process);
    const load = { do: 'load', config: peerConfig(config), threads: 1, seed: 1, ranks };
    description = await process.ask<PeerDescription>(load, signal);
    return process;
  };
  const close = (): void => {
    for (const process of running.values()) process.close();
  };
  const step = async ({ memory, batch, variant }: PeerSetting, { plain }: DrawnBatch): Promise<number> => {
    const examples = {
      inputs: plain.map(({ input }) => [...input]),
      targets: plain.map(({ target }) => [...target]),
    };
    const request = { do: 'train', batch, ...variant.request, ...examples };
    return (await (await ready(memory)).ask<{ seconds: number }>(request, signal)).seconds;
  };
  const warm = new Set<string>();
  const trial = async (setting: PeerSetting): Promise<number> => {
    const kind = `${setting.memory} ${setting.variant.name}`;
    if (!warm.has(kind)) await step(setting, first);
    warm.add(kind);
    return step(setting, first);
  };
  try {
    const setting = await findSetting(
      {
        batches: peerBatches(Math.ceil(batchSize / ranks)),
        memories: peerMemories('cpu'),
        variants: variantsOf(buckets),
      },
      batchSize,
      trial,
      { shortest: batchSize, signal },
    );
    options.note?.(`ddp trains fastest with ${settingWords(setting)}, of ${setting.tried} settings.`);
    for (const [memory, process] of running) if (memory !== setting.memory) process.close();
    return { description, setting, step: (batch) => step(setting, batch), close };
  } catch (error) {
    close();
    throw error;
  }
}

function variantsOf(buckets: readonly number[]): [PeerVariant, ...PeerVariant[]] {
  const [first, ...others] = ['sdpa', 'eager'].flatMap((attention) =>
    [null, 'bf16'].flatMap((autocast) =>
      buckets.map((bucket) => ({
        name: `${attention} attention, ${autocast === null ? 'products in f32' : 'bf16 autocast'}, buckets of ${bucket} MiB`,
        request: { attention, autocast, bucket },
      })),
    ),
  );
  return [first!, ...others];
}
