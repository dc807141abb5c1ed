import type { Initialisation } from '../parameters/initialisation.js';
import type { DecoderOnlyConfig } from './config.js';

/** One parameter, under the name both families share; weights of linear maps are [out, in]. */
export interface DecoderOnlyParameter {
  readonly shape: readonly number[];
  readonly start: Initialisation;
}

const DEVIATION = 0.02;
const normal = (scale = DEVIATION): Initialisation => ({ kind: 'normal', scale });
const constant = (scale: number): Initialisation => ({ kind: 'constant', scale });

/** Every parameter of a model, in the order of its layers. */
export function decoderOnlyParameters(config: DecoderOnlyConfig): Map<string, DecoderOnlyParameter> {
  const { vocabSize, dModel: d, dFf, embeddingSize, numLayers } = config;
  const table = new Map<string, DecoderOnlyParameter>();
  const add = (name: string, shape: readonly number[], start: Initialisation): void => {
    table.set(name, { shape, start });
  };
  const norm = (name: string): void => {
    add(`${name}.weight`, [d], constant(1));
    add(`${name}.bias`, [d], constant(0));
  };
  const linear = (name: string, outputs: number, inputs: number, scale = DEVIATION): void => {
    add(`${name}.weight`, [outputs, inputs], normal(scale));
    add(`${name}.bias`, [outputs], constant(0));
  };
  // GPT-2 shrinks what is added to the residual stream, so that its size does not grow with the layers.
  const residual = config.family === 'gpt2' ? DEVIATION / Math.sqrt(2 * numLayers) : DEVIATION;
  add('tokens.weight', [vocabSize, embeddingSize], normal());
  add('positions.weight', [config.maxPositions + config.positionOffset, d], normal());
  if (embeddingSize !== d) {
    add('project_in.weight', [d, embeddingSize], normal());
    add('project_out.weight', [embeddingSize, d], normal());
  }
  for (let i = 0; i < numLayers; i++) {
    const layer = `layers.${i}`;
    norm(`${layer}.attention_norm`);
    for (const projection of ['q', 'k', 'v']) linear(`${layer}.${projection}`, d, d);
    linear(`${layer}.o`, d, d, residual);
    norm(`${layer}.feed_forward_norm`);
    linear(`${layer}.up`, dFf, d);
    linear(`${layer}.down`, d, dFf, residual);
  }
  if (config.finalNorm) norm('final_norm');
  if (!config.tiedHead) add('head.weight', [vocabSize, embeddingSize], normal());
  return table;
}
