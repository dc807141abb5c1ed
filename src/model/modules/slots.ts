import type { ModelConfig } from '../config/config.js';
import type { AdaptationName } from './adaptation-name.js';

/**
 * Attention sites of the model: encoder layer i is slot i, decoder layer j has slots Le + 2j (self-attention) and
 * Le + 2j + 1 (cross-attention).
 */
export function slotCount(config: ModelConfig): number {
  return config.numLayers + 2 * config.numDecoderLayers;
}

/** Slot of a decoder layer's self-attention and adapter; that of its cross-attention follows. */
export function decoderSlot(config: ModelConfig, layer: number): number {
  return config.numLayers + 2 * layer;
}

/**
 * The slots that there are modules of a kind for, in the order in which tensors and task files hold them. Every attention
 * site has its prefixes and LoRA. An adapter acts beside a feed-forward block, of which a layer has one, so that nothing
 * reads an adapter of a cross-attention site: it is left out where modules are generated slot by slot. It is there where
 * one product makes the modules of all slots (`perLayerGenerators`), and where they are learned as one tensor (`static`).
 */
export function slotsOf(config: ModelConfig, name: AdaptationName): number[] {
  const { hint, numLayers } = config;
  const all = Array.from({ length: slotCount(config) }, (_, slot) => slot);
  const isWhole = hint?.perLayerGenerators || hint?.generator === 'static';
  if (isWhole || !name.startsWith('adapter')) return all;
  return all.filter((slot) => slot < numLayers || (slot - numLayers) % 2 === 0);
}
