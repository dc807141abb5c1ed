import { GenerationPeer } from '../dist/benchmark/generation-peer.js';
import { huggingFaceKind } from '../dist/benchmark/peer-kinds.js';

/**
 * @param {import('../dist/benchmark/peer-kinds.js').PeerPlace} place
 * @param {(text: string) => void} note told when there is none
 * @returns {Promise<{ peer?: GenerationPeer, skipped?: string }>} Hugging Face transformers in f32, or why it is left out
 */
export async function startPeer(place, note) {
  try {
    return { peer: await GenerationPeer.start(huggingFaceKind(place), 'f32') };
  } catch (error) {
    note(`Hugging Face is left out: ${error.message}`);
    return { skipped: error.message };
  }
}
