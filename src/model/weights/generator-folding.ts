import type { HintConfig, ModelConfig } from '../config/config.js';
import { generatorWidth } from '../modules/adaptations.js';

/** The one cross-attention of the component embeddings (method §2.4). */
export const COMPONENT_ATTENTION = 'hypernetwork.attention';

/** Whether the component attention's output projection can be multiplied into the generators: nothing lies between. */
export function foldsOutputProjection(hint: HintConfig): boolean {
  return hint.generator === 'cross_attention' && !hint.generatorLayerNorm && !hint.perLayerGenerators;
}

/**
 * Whether training multiplies it in for so many rows, in every microbatch anew: the product of the two matrices, and its own
 * backward pass, cost as much as the projection of as many rows as the model is wide.
 */
export function foldsWhileTraining({ hint, dModel }: ModelConfig, rows: number): boolean {
  return hint !== undefined && foldsOutputProjection(hint) && rows >= 2 * dModel;
}

/** What a generator's second layer is multiplied by (method §2.5). */
export function generatorScale(config: ModelConfig): number {
  return 1 / Math.sqrt(generatorWidth(config));
}
