import type { ModelConfig } from '../model/config/config.js';
import type { GenerationPeerKind } from './generation-peer.js';
import { peerBatches, peerMemories, type PeerVariant } from './peer-settings.js';
import { loadPeer, startCTranslate2, startHuggingFace } from './peers.js';

/** The dtypes of weights in Hugging Face. */
export type HfDType = 'f32' | 'bf16';
/** The dtypes of CTranslate2. */
export type CTranslate2DType = 'f32' | 'int8';

/** The shape and the machine of peers. */
export interface PeerPlace {
  readonly config: ModelConfig;
  readonly threads: number;
  readonly device: string;
}

const ATTENTIONS = ['sdpa', 'eager'] as const;

/** Hugging Face with both kinds of attention; for bf16, with weights in bf16, and with f32 weights and autocast. */
export function huggingFaceKind({ config, threads, device }: PeerPlace): GenerationPeerKind<HfDType> {
  return {
    start: startHuggingFace,
    load: (process, dtype, signal) => loadPeer(process, config, { threads, dtype, device }, signal),
    space: (dtype, inputs) => {
      const [first, ...others] = ATTENTIONS.flatMap((attention): PeerVariant[] => {
        const name = `${attention} attention`;
        if (dtype === 'f32') return [{ name, request: { attention, dtype } }];
        return [
          { name: `${name}, bf16 weights`, request: { attention, dtype } },
          { name: `${name}, bf16 autocast`, request: { attention, dtype: 'f32', autocast: 'bf16' } },
        ];
      });
      return {
        batches: peerBatches(inputs),
        memories: peerMemories(device),
        variants: [first as PeerVariant, ...others],
      };
    },
  };
}

/** CTranslate2 with all threads in one batch, or with one batch per thread. */
export function cTranslate2Kind({ config, threads }: PeerPlace): GenerationPeerKind<CTranslate2DType> {
  return {
    start: startCTranslate2,
    load: (process, dtype, signal) => loadPeer(process, config, { threads, dtype }, signal),
    space: (_, inputs) => ({
      batches: peerBatches(inputs),
      memories: peerMemories('cpu'),
      variants: [
        { name: 'all threads in a batch', request: { parallel: false } },
        ...(threads > 1 ? [{ name: 'a batch a thread', request: { parallel: true } }] : []),
      ],
    }),
  };
}
