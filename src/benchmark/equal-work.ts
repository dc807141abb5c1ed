import type { ModelConfig } from '../model/config/config.js';
import { startModel } from '../model/families/open-model.js';
import type { AnyModel } from '../model/family.js';
import type { Device } from '../tensor/device.js';

/** Of GPT-2's heads. */
const HEAD_WIDTH = 64;
/** More than an instruction with its input has. */
const POSITIONS = 16_384;

/**
 * The config.json of a GPT-2 as wide and deep as a T5, whose feed-forward is so wide that an input token costs it as many
 * multiply-adds as it costs the T5: there the encoder's layers read it, and the decoder's make keys and values of it.
 */
export function decoderOfEqualWork(config: ModelConfig): Record<string, unknown> {
  const { dModel, dKv, numHeads, dFf, numLayers, numDecoderLayers, vocabSize } = config;
  const inner = dKv * numHeads;
  const encoder = numLayers * (4 * dModel * inner + 3 * dModel * dFf);
  const keysAndValues = numDecoderLayers * 2 * dModel * inner;
  const attention = 4 * dModel * dModel;
  const width = ((encoder + keysAndValues) / numLayers - attention) / (2 * dModel);
  return {
    model_type: 'gpt2',
    vocab_size: vocabSize,
    n_embd: dModel,
    n_layer: numLayers,
    n_head: Math.max(1, Math.floor(dModel / HEAD_WIDTH)),
    n_inner: Math.max(1, Math.round(width)),
    n_positions: POSITIONS,
    // No text has padding.
    bos_token_id: 0,
    eos_token_id: 0,
    pad_token_id: 0,
  };
}

/** What {@link decoderOfEqualWork} is, as a sentence for reports. */
export const EQUAL_WORK =
  "The decoder-only model is a GPT-2 as wide and deep, with a feed-forward so wide that an input token costs as many FLOPs as in HINT's encoder and the keys of its decoder";

/** {@link decoderOfEqualWork} in f32, with random weights, which are only enqueued. */
export async function randomDecoder(device: Device, config: ModelConfig): Promise<AnyModel> {
  return startModel(device, 'gpt2', {
    system: 'gpt2',
    init: { config: decoderOfEqualWork(config) },
    dropoutRate: 0,
    seed: 1,
    hypernetwork: () => undefined,
    asksForHypernetwork: false,
  });
}
