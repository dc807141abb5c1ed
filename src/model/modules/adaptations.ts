import type { ModelConfig } from '../config/config.js';
import type { AdaptationName } from './adaptation-name.js';
import { slotCount } from './slots.js';

/** One kind of generated tensor. */
export interface Adaptation {
  readonly name: AdaptationName;
  /** Component embeddings it takes per slot. */
  readonly components: number;
  /** Index of its first component inside a slot. */
  readonly offset: number;
  /** Shape per slot. */
  readonly shape: readonly number[];
}

/** Joined width of all attention heads, K in the tensor table. */
export function attentionWidth(config: ModelConfig): number {
  return config.numHeads * config.dKv;
}

/** Number of elements of a shape; 1 for a scalar's []. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Everything that is generated for each slot of the model, in order; empty for plain T5 or fusion alone. */
export function adaptationTable(config: ModelConfig): Adaptation[] {
  const { hint, dModel: d } = config;
  const table: Adaptation[] = [];
  if (hint === undefined) return table;
  let offset = 0;
  const add = (name: AdaptationName, components: number, shape: readonly number[]): void => {
    table.push({ name, components, offset, shape });
    offset += components;
  };
  const { adapterSize: a, prefixLength, loraRanks } = hint;
  const width = attentionWidth(config);
  if (a > 0) {
    add('adapter_down', a, [d, a]);
    add('adapter_up', a, [a, d]);
    if (hint.adapterBias) {
      add('adapter_bias_down', 1, [a]);
      add('adapter_bias_up', 1, [d]);
    }
  }
  if (prefixLength > 0) {
    add('prefix_key', prefixLength, [prefixLength, width]);
    add('prefix_value', prefixLength, [prefixLength, width]);
  }
  for (const projection of ['q', 'k', 'v', 'o'] as const) {
    const rank = loraRanks[projection];
    if (rank === 0) continue;
    const [inputs, outputs] = projection === 'o' ? [width, d] : [d, width];
    add(`lora_${projection}_a`, rank, [inputs, rank]);
    add(`lora_${projection}_b`, rank, [rank, outputs]);
  }
  return table;
}

/** Component embeddings per slot, C in the tensor table. */
export function componentsPerSlot(config: ModelConfig): number {
  return adaptationTable(config).reduce((sum, { components }) => sum + components, 0);
}

/** Input width of the generator MLPs: d, or that of several embeddings side by side. */
export function generatorWidth(config: ModelConfig): number {
  const hint = config.hint;
  return config.dModel * (hint?.perLayerGenerators ? hint.embeddingSlots || 1 : 1);
}

/** Rows of a generator's output matrix: what it makes of one component vector. */
export function generatorOutputs(config: ModelConfig, { components, shape }: Adaptation): number {
  const perSlot = sizeOf(shape) / (config.hint?.generator === 'hypter' ? 1 : components);
  return perSlot * (config.hint?.perLayerGenerators ? slotCount(config) : 1);
}

/**
 * Whether the modules of one slot can be generated without those of the others: not where one product makes the outputs
 * of all slots (`perLayerGenerators`), nor learned modules, of which nothing is generated.
 */
export function generatesBySlot(config: ModelConfig): boolean {
  const { hint } = config;
  if (!hint || adaptationTable(config).length === 0) return false;
  return hint.generator !== 'static' && hint.generator !== 'hypter' && !hint.perLayerGenerators;
}
