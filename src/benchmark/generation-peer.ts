import type { PeerProcess } from './peer-process.js';
import {
  findSetting,
  type FoundSetting,
  type PeerMemory,
  type PeerSetting,
  type SettingSpace,
} from './peer-settings.js';
import { peerGeneration, type PeerDescription, type PeerGeneration } from './peers.js';

/** A kind of peer that generates. */
export interface GenerationPeerKind<DType extends string> {
  /** Starts a process of its own, in which nothing is loaded. */
  start(memory: PeerMemory, signal?: AbortSignal): Promise<PeerProcess>;
  /** Loads a model of random weights. */
  load(process: PeerProcess, dtype: DType, signal?: AbortSignal): Promise<PeerDescription>;
  /** What it can be run with. */
  space(dtype: DType, inputs: number): SettingSpace;
}

interface Running<DType> {
  readonly process: PeerProcess;
  readonly loaded: Set<DType>;
}

/**
 * A peer that generates, with one process for each kind of memory. A model is loaded at its first use, and a process
 * that has died is started again.
 */
export class GenerationPeer<DType extends string = string> {
  private readonly running = new Map<PeerMemory, Running<DType>>();
  /** The peer's description of itself. */
  description: PeerDescription = {};

  private constructor(private readonly kind: GenerationPeerKind<DType>) {}

  /** @throws HintError NOT_SUPPORTED where the peer is not installed or cannot hold `dtype`; ABORTED */
  static async start<DType extends string>(
    kind: GenerationPeerKind<DType>,
    dtype: DType,
    signal?: AbortSignal,
  ): Promise<GenerationPeer<DType>> {
    const peer = new GenerationPeer(kind);
    try {
      await peer.ready(kind.space(dtype, 1).memories[0] as PeerMemory, dtype, signal);
      return peer;
    } catch (error) {
      peer.close();
      throw error;
    }
  }

  /**
   * Finds the setting that these inputs are generated fastest with.
   *
   * @throws HintError NOT_SUPPORTED where none works; ABORTED
   */
  async best(
    inputs: readonly Int32Array[],
    tokens: number,
    dtype: DType,
    signal?: AbortSignal,
  ): Promise<FoundSetting> {
    const warm = new Set<string>();
    const trial = async (setting: PeerSetting, rows: number): Promise<number> => {
      // The first call of a kind also compiles kernels, so it is not timed.
      const kind = `${setting.memory} ${setting.variant.name}`;
      if (!warm.has(kind)) await this.generate(inputs.slice(0, 2), tokens, dtype, setting, signal);
      warm.add(kind);
      return (await this.generate(inputs.slice(0, rows), tokens, dtype, setting, signal)).seconds;
    };
    return findSetting(this.kind.space(dtype, inputs.length), inputs.length, trial, { signal });
  }

  /** @throws HintError NOT_SUPPORTED when the peer fails or does other work than it was asked for; ABORTED */
  async generate(
    inputs: readonly Int32Array[],
    tokens: number,
    dtype: DType,
    { batch, memory, variant }: PeerSetting,
    signal?: AbortSignal,
  ): Promise<PeerGeneration> {
    const held = (variant.request['dtype'] ?? dtype) as DType;
    const process = await this.ready(memory, held, signal);
    try {
      return await peerGeneration(process, inputs, { tokens, batch, dtype, ...variant.request }, signal);
    } finally {
      if (process.hasEnded) this.end(memory);
    }
  }

  /** Ends the processes that none of these settings needs. */
  keepOnly(settings: Iterable<PeerSetting>): void {
    const needed = new Set([...settings].map(({ memory }) => memory));
    for (const memory of [...this.running.keys()]) if (!needed.has(memory)) this.end(memory);
  }

  close(): void {
    for (const memory of [...this.running.keys()]) this.end(memory);
  }

  private async ready(memory: PeerMemory, dtype: DType, signal?: AbortSignal): Promise<PeerProcess> {
    let running = this.running.get(memory);
    if (!running) {
      running = { process: await this.kind.start(memory, signal), loaded: new Set() };
      this.running.set(memory, running);
    }
    if (!running.loaded.has(dtype)) {
      this.description = { ...this.description, ...(await this.kind.load(running.process, dtype, signal)) };
      running.loaded.add(dtype);
    }
    return running.process;
  }

  private end(memory: PeerMemory): void {
    this.running.get(memory)?.process.close();
    this.running.delete(memory);
  }
}
