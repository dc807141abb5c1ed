import { HintError } from '../../util/errors.js';
import { checked, text } from '../../util/arguments.js';
import { MODEL_CONFIG, type HintConfig, type ModelConfig } from '../config/config.js';

/** The modules a hypernetwork can generate, in the order their components lie inside a slot. */
export type AdaptationName =
  | 'adapter_down'
  | 'adapter_up'
  | 'adapter_bias_down'
  | 'adapter_bias_up'
  | 'prefix_key'
  | 'prefix_value'
  | `lora_${'q' | 'k' | 'v' | 'o'}_${'a' | 'b'}`;

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

/** How a parameter starts (method §1.4, method §2.3 to method §2.5). */
export interface Initialisation {
  readonly kind: 'normal' | 'truncated-normal' | 'uniform' | 'constant';
  /**
   * Standard deviation of the resulting values ('normal', 'truncated-normal': cut at two sigma of a normal whose sigma
   * is scale / {@link TRUNCATED_NORMAL_DEVIATION}), largest magnitude ('uniform') or the value ('constant').
   */
  readonly scale: number;
}

/** Standard deviation of a standard normal distribution cut at ±2. */
export const TRUNCATED_NORMAL_DEVIATION = 0.87962566103423978;

/** Joined width of all attention heads, K in the tensor table. */
export function attentionWidth(config: ModelConfig): number {
  return config.numHeads * config.dKv;
}

/**
 * Attention sites of the model: encoder layer i is slot i, decoder layer j has slots Le + 2j (self-attention) and
 * Le + 2j + 1 (cross-attention).
 */
export function slotCount(config: ModelConfig): number {
  return config.numLayers + 2 * config.numDecoderLayers;
}

/**
 * The slots that a hypernetwork generates a kind of module for: adapters act once a layer, so those of cross-attention
 * sites are left out where they can be. Task files hold these slots in this order.
 */
export function generatedSlots(config: ModelConfig, name: AdaptationName): number[] {
  const { hint, numLayers } = config;
  const all = Array.from({ length: slotCount(config) }, (_, slot) => slot);
  const generatedTogether = hint?.perLayerGenerators || hint?.generator === 'static';
  if (generatedTogether || !name.startsWith('adapter')) return all;
  return all.filter((slot) => slot < numLayers || (slot - numLayers) % 2 === 0);
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

type Shapes = Map<string, readonly number[]>;

function addAttention(shapes: Shapes, config: ModelConfig, name: string): void {
  const width = attentionWidth(config);
  for (const projection of ['q', 'k', 'v'])
    shapes.set(`${name}.${projection}.weight`, [width, config.dModel]);
  shapes.set(`${name}.o.weight`, [config.dModel, width]);
}

function addFeedForward(shapes: Shapes, { dModel, dFf }: ModelConfig, name: string): void {
  shapes.set(`${name}.layer_norm.weight`, [dModel]);
  shapes.set(`${name}.DenseReluDense.wi_0.weight`, [dFf, dModel]);
  shapes.set(`${name}.DenseReluDense.wi_1.weight`, [dFf, dModel]);
  shapes.set(`${name}.DenseReluDense.wo.weight`, [dModel, dFf]);
}

/** An encoder has self-attention only, a decoder both, the decoder generator cross-attention only. */
function addStack(
  shapes: Shapes,
  config: ModelConfig,
  name: string,
  layers: number,
  attentions: readonly ('self' | 'cross')[],
): void {
  const hasSelf = attentions.includes('self');
  const hasCross = attentions.includes('cross');
  if (hasSelf) {
    shapes.set(`${name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`, [
      config.relativeAttentionNumBuckets,
      config.numHeads,
    ]);
  }
  for (let i = 0; i < layers; i++) {
    const layer = `${name}.block.${i}.layer`;
    if (hasSelf) {
      shapes.set(`${layer}.0.layer_norm.weight`, [config.dModel]);
      addAttention(shapes, config, `${layer}.0.SelfAttention`);
    }
    if (hasCross) {
      shapes.set(`${layer}.1.layer_norm.weight`, [config.dModel]);
      addAttention(shapes, config, `${layer}.1.EncDecAttention`);
    }
    addFeedForward(shapes, config, `${layer}.${hasCross ? 2 : 1}`);
  }
  shapes.set(`${name}.final_layer_norm.weight`, [config.dModel]);
}

function addHypernetwork(shapes: Shapes, config: ModelConfig, hint: HintConfig): void {
  const table = adaptationTable(config);
  const slots = slotCount(config);
  if (hint.generator === 'static') {
    for (const { name, shape } of table) shapes.set(`peft.${name}`, [slots, ...shape]);
    return;
  }
  if (hint.generator !== 'embedding' && !hint.tieHyperencoder) {
    addStack(shapes, config, 'hypernetwork.encoder', config.numLayers, ['self']);
  }
  if (table.length === 0) return;
  if (hint.generator !== 'hypter') {
    const rows = (hint.embeddingSlots || slots) * componentsPerSlot(config);
    shapes.set('hypernetwork.embedding.weight', [rows, config.dModel]);
  }
  if (hint.generator === 'cross_attention') addAttention(shapes, config, 'hypernetwork.attention');
  if (hint.generator === 'decoder') {
    addStack(shapes, config, 'hypernetwork.decoder', config.numDecoderLayers, ['cross']);
  }
  const width = generatorWidth(config);
  for (const adaptation of table) {
    const generator = `hypernetwork.${adaptation.name}`;
    shapes.set(`${generator}.wi.weight`, [config.dModel, width]);
    shapes.set(`${generator}.wo.weight`, [generatorOutputs(config, adaptation), config.dModel]);
    if (hint.generatorLayerNorm) shapes.set(`${generator}.layer_norm.weight`, [width]);
  }
}

/**
 * Every tensor of a checkpoint by its Hugging Face style name, with its shape; linear weights are [out, in].
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  checked(MODEL_CONFIG, config, 'config');
  const shapes: Shapes = new Map();
  shapes.set('shared.weight', [config.vocabSize, config.dModel]);
  shapes.set('lm_head.weight', [config.vocabSize, config.dModel]);
  addStack(shapes, config, 'encoder', config.numLayers, ['self']);
  addStack(shapes, config, 'decoder', config.numDecoderLayers, ['self', 'cross']);
  if (config.hint !== undefined) addHypernetwork(shapes, config, config.hint);
  return shapes;
}

/** Number of values in all parameters whose name starts with `prefix`. @throws HintError INVALID_ARGUMENT */
export function parameterCount(config: ModelConfig, prefix = ''): number {
  checked(text, prefix, 'prefix');
  let count = 0;
  for (const [name, shape] of parameterShapes(config)) if (name.startsWith(prefix)) count += sizeOf(shape);
  return count;
}

const normal = (variance: number): Initialisation => ({ kind: 'normal', scale: Math.sqrt(variance) });
const truncated = (fanIn: number): Initialisation => ({
  kind: 'truncated-normal',
  scale: Math.sqrt(1 / fanIn),
});

/**
 * Learned (not generated) modules, for which the original has no initialiser: they start without effect where a zero
 * factor allows it, and prefixes at the scale of a component embedding.
 */
function staticInitialisation(name: string, shape: readonly number[], dModel: number): Initialisation {
  if (name.startsWith('peft.prefix')) return normal(1 / dModel);
  if (name === 'peft.adapter_down' || name.endsWith('_a')) return truncated(shape[1]!);
  return { kind: 'constant', scale: 0 };
}

/**
 * How parameter `name` of the model is initialised when it is not loaded.
 *
 * @throws HintError INVALID_ARGUMENT if the model has no such parameter
 */
export function initialisation(config: ModelConfig, name: string): Initialisation {
  const shape = parameterShapes(config).get(name);
  if (shape === undefined) {
    throw new HintError('INVALID_ARGUMENT', `The model has no parameter ${JSON.stringify(name)}.`);
  }
  return initialisationOf(config, name, shape);
}

/** {@link initialisation} of every parameter, in the order of {@link parameterShapes}. */
export function initialisations(config: ModelConfig): Map<string, Initialisation> {
  const shapes = [...parameterShapes(config)];
  return new Map(shapes.map(([name, shape]) => [name, initialisationOf(config, name, shape)]));
}

function initialisationOf(config: ModelConfig, name: string, shape: readonly number[]): Initialisation {
  const { dModel, dKv } = config;
  if (name.startsWith('peft.')) return staticInitialisation(name, shape, dModel);
  if (name.endsWith('layer_norm.weight')) return { kind: 'constant', scale: 1 };
  if (name === 'shared.weight') return normal(1);
  if (name === 'hypernetwork.embedding.weight') return normal(1 / dModel);
  if (name.endsWith('relative_attention_bias.weight')) {
    return { kind: 'uniform', scale: Math.sqrt(6 / (shape[0]! + shape[1]!)) };
  }
  // The missing 1/sqrt(d_kv) of the attention scores is made up for here.
  if (name.endsWith('.q.weight')) return normal(1 / (dModel * dKv));
  if (/\.[kvo]\.weight$/.test(name)) return normal(1 / shape[1]!);
  return truncated(shape[1]!);
}
