import { startHuggingFace } from '../dist/benchmark/peers.js';

/**
 * @param {(text: string) => void} note told when there is none
 * @returns {Promise<{ peer?: import('../dist/benchmark/peer-process.js').PeerProcess, skipped?: string }>}
 *   Hugging Face transformers, or why it is left out
 */
export async function startPeer(note) {
  try {
    return { peer: await startHuggingFace() };
  } catch (error) {
    note(`Hugging Face is left out: ${error.message}`);
    return { skipped: error.message };
  }
}
