import { join } from 'node:path';
import { HintError } from '../util/errors.js';
import { serializeModelConfig, type ModelConfig } from '../model/config/config.js';
import { packageRoot } from '../util/package-root.js';
import { PeerProcess } from './peer-process.js';
import { MEMORY_ENVIRONMENT, type PeerMemory } from './peer-settings.js';

/** What a peer says of itself once its model is there. */
export type PeerDescription = Readonly<Record<string, string | number>>;

/** One timed generation of a peer. */
export interface PeerGeneration {
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
  /** What else the peer takes. */
  readonly [more: string]: string | number | boolean | null;
}

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
export function startHuggingFace(memory: PeerMemory, signal?: AbortSignal): Promise<PeerProcess> {
  return startPython('Hugging Face transformers', 'hf_t5.py', 'torch and transformers', memory, signal);
}

/**
 * Hugging Face transformers behind FastAPI and uvicorn with the same Python. Its requests stand in bench/peers/hf_serve.py.
 *
 * @throws HintError NOT_SUPPORTED when that Python cannot import torch, transformers, fastapi and uvicorn; ABORTED
 */
export function startHuggingFaceServer(memory: PeerMemory, signal?: AbortSignal): Promise<PeerProcess> {
  const modules = 'torch, transformers, fastapi and uvicorn';
  return startPython('Hugging Face transformers behind FastAPI', 'hf_serve.py', modules, memory, signal);
}

/**
 * PyTorch's DistributedDataParallel with the same Python. Its requests stand in bench/peers/ddp_t5.py.
 *
 * @throws HintError NOT_SUPPORTED when that Python cannot import torch and transformers; ABORTED
 */
export function startDistributed(memory: PeerMemory, signal?: AbortSignal): Promise<PeerProcess> {
  return startPython('DistributedDataParallel', 'ddp_t5.py', 'torch and transformers', memory, signal);
}

/**
 * CTranslate2 with the same Python. Its requests stand in bench/peers/ctranslate2_t5.py.
 *
 * @throws HintError NOT_SUPPORTED when that Python cannot import ctranslate2; ABORTED
 */
export function startCTranslate2(memory: PeerMemory, signal?: AbortSignal): Promise<PeerProcess> {
  return startPython('CTranslate2', 'ctranslate2_t5.py', 'ctranslate2', memory, signal);
}

async function startPython(
  name: string,
  file: string,
  modules: string,
  memory: PeerMemory,
  signal?: AbortSignal,
): Promise<PeerProcess> {
  const python = peerPython();
  const script = join(packageRoot(), 'bench', 'peers', file);
  const peer = new PeerProcess(name, python, [script], {
    HF_HUB_OFFLINE: '1',
    TOKENIZERS_PARALLELISM: 'false',
    ...MEMORY_ENVIRONMENT[memory],
  });
  try {
    await peer.ask({ do: 'versions' }, signal);
    return peer;
  } catch (cause) {
    peer.close();
    if (!(cause instanceof HintError) || cause.code !== 'NOT_SUPPORTED') throw cause;
    throw new HintError(
      'NOT_SUPPORTED',
      `${cause.message.replace(/\.$/, '')}; set HINT_PEER_PYTHON to a Python with ${modules} (here: ${python}).`,
      { cause },
    );
  }
}

/** Loads the shape of `config` with random weights into a peer in Python; a model per dtype. */
export function loadPeer(
  peer: PeerProcess,
  config: ModelConfig,
  { threads, dtype = 'f32', device = 'cpu' }: { threads: number; dtype?: string; device?: string },
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
  const worker = join(packageRoot(), 'dist', 'bundle', 'workers', 'onnx.js');
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
 * Seconds of a generation, measured in the peer, so that sending the request and the answer does not count.
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
      `${peer.name} gave ${answer.tokens} new tokens, not ${run.tokens}, so that its time cannot be compared; leave this peer out.`,
    );
  }
  return answer;
}
