import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HintError } from '../util/errors.js';
import { serializeModelConfig, type ModelConfig } from '../model/config/config.js';
import { packageRoot } from '../util/package-root.js';
import { PeerProcess } from './peer-process.js';

/** What a peer says of itself once its model is there. */
export type PeerDescription = Readonly<Record<string, string | number>>;

/** One timed generation of a peer. */
interface PeerGeneration {
  readonly seconds: number;
  /** New tokens of every row. */
  readonly tokens: number;
  /** Resident size of the peer's process afterwards, bytes. */
  readonly residentBytes: number;
}

/** How a peer is to run inputs. */
export interface PeerRequest {
  readonly tokens: number;
  /** Inputs of one batch. */
  readonly batch: number;
  readonly dtype?: 'f32' | 'bf16';
}

/** Batch sizes that a peer is tried with. */
const BATCHES = [25, 100];

/** The Python that peers run in. */
export function peerPython(): string {
  return process.env.HINT_PEER_PYTHON ?? 'python3';
}

/**
 * Hugging Face transformers with the Python that HINT_PEER_PYTHON names, else python3. Its requests stand in
 * bench/peers/hf_t5.py.
 *
 * @throws HintError NOT_SUPPORTED when that Python cannot import torch and transformers; ABORTED
 */
export async function startHuggingFace(signal?: AbortSignal): Promise<PeerProcess> {
  const python = peerPython();
  const script = join(packageRoot(), 'bench', 'peers', 'hf_t5.py');
  const peer = new PeerProcess('Hugging Face transformers', python, [script], {
    HF_HUB_OFFLINE: '1',
    TOKENIZERS_PARALLELISM: 'false',
  });
  try {
    await peer.ask({ do: 'versions' }, signal);
    return peer;
  } catch (cause) {
    peer.close();
    if (!(cause instanceof HintError) || cause.code !== 'NOT_SUPPORTED') throw cause;
    throw new HintError(
      'NOT_SUPPORTED',
      `${cause.message.replace(/\.$/, '')}; set HINT_PEER_PYTHON to a Python with torch and transformers (here: ${python}).`,
      { cause },
    );
  }
}

/** Loads the shape of `config` with random weights; a model per dtype. */
export function loadHuggingFace(
  peer: PeerProcess,
  config: ModelConfig,
  { threads, dtype = 'f32', device = 'cpu' }: { threads: number; dtype?: 'f32' | 'bf16'; device?: string },
  signal?: AbortSignal,
): Promise<PeerDescription> {
  return peer.ask({ do: 'load', config: peerConfig(config), threads, seed: 1, dtype, device }, signal);
}

/** The same model for transformers' T5Config, ended by T5's own end of sequence. */
export function peerConfig(config: ModelConfig): Record<string, unknown> {
  const plain = serializeModelConfig({ ...config, eosTokenId: 1 });
  delete plain.hint;
  return plain;
}

/**
 * An exported T5 under @xenova/transformers and ONNX Runtime, in a process of its own.
 *
 * @param directory config.json, onnx/encoder_model.onnx and onnx/decoder_model_merged.onnx, or both with `_quantized`
 * @throws HintError NOT_SUPPORTED when it cannot be opened or is of another shape than `config`; ABORTED
 */
export async function startOnnx(
  directory: string,
  config: ModelConfig,
  signal?: AbortSignal,
): Promise<{ peer: PeerProcess; description: PeerDescription }> {
  const worker = fileURLToPath(new URL('onnx-worker.js', import.meta.url));
  const peer = new PeerProcess('ONNX Runtime', process.execPath, [worker]);
  try {
    const description = await peer.ask<PeerDescription>({ do: 'load', directory }, signal);
    const wanted = { d_model: config.dModel, d_ff: config.dFf, num_layers: config.numLayers };
    for (const [key, value] of Object.entries(wanted)) {
      if (description[key] === value) continue;
      throw new HintError(
        'NOT_SUPPORTED',
        `${directory} has ${key} ${description[key]}, the measured model ${value}; export a model of the same shape.`,
      );
    }
    return { peer, description };
  } catch (error) {
    peer.close();
    throw error;
  }
}

/**
 * Seconds of a generation in a peer; the caller's own measurement would hold the way there and back.
 *
 * @throws HintError NOT_SUPPORTED when the peer fails or does other work than it was asked for; ABORTED
 */
export async function peerGeneration(
  peer: PeerProcess,
  inputs: readonly Int32Array[],
  run: PeerRequest,
  signal?: AbortSignal,
): Promise<PeerGeneration> {
  const answer = await peer.ask<PeerGeneration>(
    { do: 'generate', inputs: inputs.map((input) => [...input]), ...run },
    signal,
  );
  if (answer.tokens !== run.tokens) {
    throw new HintError(
      'NOT_SUPPORTED',
      `${peer.name} gave ${answer.tokens} new tokens, not ${run.tokens}: that is not the same work.`,
    );
  }
  return answer;
}

/** Inputs of one batch that a peer is fastest with, of 25 and 100 (all, where there are fewer); measured once each. */
export async function fastestBatch(
  peer: PeerProcess,
  inputs: readonly Int32Array[],
  tokens: number,
  signal?: AbortSignal,
): Promise<number> {
  const sizes = [...new Set(BATCHES.map((size) => Math.min(size, inputs.length)))];
  if (sizes.length === 1) return sizes[0] as number;
  await peerGeneration(peer, inputs.slice(0, 2), { tokens, batch: 2 }, signal);
  let best = { batch: sizes[0] as number, seconds: Infinity };
  for (const batch of sizes) {
    const { seconds } = await peerGeneration(peer, inputs, { tokens, batch }, signal);
    if (seconds < best.seconds) best = { batch, seconds };
  }
  return best.batch;
}
