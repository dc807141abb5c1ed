/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
// The Hugging Face peer: a Python process that runs one request at a time, so that measurements can alternate.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

/** A running peer, see peers/hf_t5.py for its requests. */
class Peer {
  #process;
  #answers;

  /** @param {string} python interpreter with torch and transformers */
  constructor(python) {
    this.#process = spawn(python, [fileURLToPath(new URL('peers/hf_t5.py', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, HF_HUB_OFFLINE: '1', TOKENIZERS_PARALLELISM: 'false' },
    });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /**
   * @param {Record<string, unknown>} request
   * @returns {Promise<any>} the peer's answer
   * @throws {Error} with what went wrong in the peer
   */
  async ask(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error('the Python peer ended; its message is above');
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  close() {
    this.#process.stdin.end();
  }
}

/**
 * Starts the peer with HINT_PEER_PYTHON, else python3.
 * @returns {{ peer: Peer | undefined, skipped: string | undefined }} `skipped` says why there is none
 */
export function startPeer() {
  const python = process.env.HINT_PEER_PYTHON ?? 'python3';
  const found = spawnSync(python, ['-c', 'import torch, transformers'], { encoding: 'utf8' });
  if (found.status === 0) return { peer: new Peer(python), skipped: undefined };
  const why = found.error?.message ?? found.stderr.trim().split('\n').at(-1);
  const skipped = `${python} cannot import torch and transformers (${why}); set HINT_PEER_PYTHON to one that can`;
  return { peer: undefined, skipped };
}

/**
 * @param {import('../dist/index.js').ModelConfig} config
 * @returns {Record<string, unknown>} the same model for transformers' T5Config
 */
export function peerConfig(config) {
  return {
    vocab_size: config.vocabSize,
    d_model: config.dModel,
    d_kv: config.dKv,
    d_ff: config.dFf,
    num_layers: config.numLayers,
    num_decoder_layers: config.numDecoderLayers,
    num_heads: config.numHeads,
    dropout_rate: config.dropoutRate,
    feed_forward_proj: 'gated-gelu',
    tie_word_embeddings: false,
    decoder_start_token_id: 0,
    pad_token_id: 0,
    eos_token_id: 1,
  };
}
