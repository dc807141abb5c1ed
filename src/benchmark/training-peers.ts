import { join } from 'node:path';
import type { TokenizedExample } from '../data/batch.js';
import { HintError } from '../util/errors.js';
import { serializeModelConfig, type ModelConfig } from '../model/config/config.js';
import { packageRoot } from '../util/package-root.js';
import { PeerProcess } from './peer-process.js';
import { loadHuggingFace, peerPython, startHuggingFace, type PeerDescription } from './peers.js';
import type { DrawnBatch } from './training-examples.js';
import type { TrainingMeasurementOptions, TrainingPeerName } from './training-run.js';

/** A peer that is there. */
export interface TrainingPeer {
  readonly description: PeerDescription;
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

/**
 * Starts a peer and loads the measured shape into it.
 *
 * @returns the peer, or why it is left out
 * @throws HintError NOT_SUPPORTED for a named file that builds no HINT; ABORTED
 */
export async function startTrainingPeer(
  name: TrainingPeerName,
  options: TrainingMeasurementOptions,
  threads: number,
): Promise<TrainingPeer | { readonly skipped: string }> {
  const started: { process?: PeerProcess } = {};
  try {
    const description = await (name === 'hf' ? startHf : startHint)(options, threads, started);
    return peerOf(started.process as PeerProcess, description, name, options);
  } catch (error) {
    started.process?.close();
    // If a file that the user named does not work, fail instead of going on without it.
    const isNamed = name === 'hint-torch' && options.hintPeer !== undefined;
    if (isNamed || !(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
    return { skipped: error.message };
  }
}

async function startHf(
  { config, device = 'cpu', signal }: TrainingMeasurementOptions,
  threads: number,
  started: { process?: PeerProcess },
): Promise<PeerDescription> {
  started.process = await startHuggingFace(signal);
  return loadHuggingFace(started.process, config, { threads, device }, signal);
}

/** HINT in PyTorch; its file is the user's, bench/peers/hint_torch.py says what it must offer. */
async function startHint(
  { config, device = 'cpu', hintPeer, signal }: TrainingMeasurementOptions,
  threads: number,
  started: { process?: PeerProcess },
): Promise<PeerDescription> {
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
  started.process = new PeerProcess('HINT in PyTorch', peerPython(), [script, hintPeer]);
  return started.process.ask({ do: 'load', config: asStored(config), threads, seed: 1, device }, signal);
}

function asStored(config: ModelConfig): Record<string, unknown> {
  return serializeModelConfig({ ...config, eosTokenId: 1 });
}

function peerOf(
  process: PeerProcess,
  description: PeerDescription,
  name: TrainingPeerName,
  { device = 'cpu', autocast, peerBatch, batchSize, signal }: TrainingMeasurementOptions,
): TrainingPeer {
  const total = { padded: 0, useful: 0 };
  return {
    description,
    get usefulShare() {
      return total.useful / total.padded;
    },
    async step({ plain, hint }) {
      const examples = name === 'hf' ? plain : hint;
      const answer = await process.ask<StepAnswer>(
        {
          do: 'train',
          device,
          autocast: autocast ?? null,
          batch: peerBatch ?? batchSize,
          ...sequences(examples),
        },
        signal,
      );
      total.padded += answer.paddedTokens;
      total.useful += answer.usefulTokens;
      return answer.seconds;
    },
    close: () => process.close(),
  };
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
