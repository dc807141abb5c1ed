import { HintError } from '../util/errors.js';
import type { ModelConfig } from '../model/config/config.js';
import { OUTPUT_TOKENS, sniLengths } from './lengths.js';
import type { LatencyOptions, LatencyPart } from './latency-run.js';
import type { PeerProcess } from './peer-process.js';
import { fastestBatch, loadHuggingFace, startHuggingFace, startOnnx, type PeerDescription } from './peers.js';
import { randomTokens, uniforms } from './random-model.js';

/** What a peer can hold weights in. */
export type PeerDType = 'f32' | 'bf16';

/** The peers of a run that are there. */
export interface Peers {
  readonly hf?: { readonly peer: PeerProcess; readonly batch: number; readonly dtypes: readonly PeerDType[] };
  readonly onnx?: { readonly peer: PeerProcess; readonly weights: string };
  readonly described: LatencyPart['peers'];
  close(): void;
}

type StartedHf =
  | {
      readonly started: NonNullable<Peers['hf']>;
      readonly description: PeerDescription;
      readonly skipped?: never;
    }
  | { readonly started?: never; readonly description?: never; readonly skipped: string };

/**
 * Starts the peers that a run asks for. One that is not installed is left out with a reason; an exported model that
 * cannot be opened is an error, since the user named it.
 *
 * @throws HintError NOT_SUPPORTED for the exported model; ABORTED
 */
export async function startPeers(
  { systems, dtypes, device = 'cpu', peerDevice = device, onnx, examples, signal, note }: LatencyOptions,
  config: ModelConfig,
  threads: number,
): Promise<Peers> {
  const running: PeerProcess[] = [];
  const close = (): void => running.forEach((peer) => peer.close());
  try {
    const exported = onnx === undefined ? undefined : await startOnnx(onnx, config, signal);
    if (exported) running.push(exported.peer);
    const hf = systems.includes('hf') ? await startHf() : undefined;
    if (hf?.skipped !== undefined) note?.(`Hugging Face is left out: ${hf.skipped}`);
    return {
      ...(hf?.started && { hf: hf.started }),
      ...(exported && {
        onnx: { peer: exported.peer, weights: String(exported.description.weights) },
      }),
      described: {
        ...(hf && { hf: hf.description ?? { skipped: hf.skipped } }),
        ...(exported && { onnx: exported.description }),
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }

  async function startHf(): Promise<StartedHf> {
    try {
      const peer = await startHuggingFace(signal);
      running.push(peer);
      // Everything is compared with f32.
      const held: PeerDType[] = dtypes.includes('bf16') ? ['f32', 'bf16'] : ['f32'];
      let description: PeerDescription = {};
      for (const dtype of held) {
        description = await loadHuggingFace(peer, config, { threads, dtype, device: peerDevice }, signal);
      }
      const uniform = uniforms(5);
      const inputs = Array.from({ length: examples }, () =>
        randomTokens(uniform, sniLengths(0).full, config.vocabSize),
      );
      const batch = await fastestBatch(peer, inputs, OUTPUT_TOKENS, signal);
      return { started: { peer, batch, dtypes: held }, description };
    } catch (error) {
      if (!(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
      return { skipped: error.message };
    }
  }
}
