import { checked, text } from '../../util/arguments.js';
import { MODEL_CONFIG, type HintConfig, type ModelConfig } from '../config/config.js';
import { hasBiasPerLayer, variantOf } from '../config/variant.js';
import {
  adaptationTable,
  attentionWidth,
  componentsPerSlot,
  generatorOutputs,
  generatorWidth,
  sizeOf,
} from '../modules/adaptations.js';
import { slotCount } from '../modules/slots.js';

type Shapes = Map<string, readonly number[]>;

function addAttention(shapes: Shapes, config: ModelConfig, name: string): void {
  const width = attentionWidth(config);
  for (const projection of ['q', 'k', 'v'])
    shapes.set(`${name}.${projection}.weight`, [width, config.dModel]);
  shapes.set(`${name}.o.weight`, [config.dModel, width]);
}

function addFeedForward(shapes: Shapes, config: ModelConfig, name: string): void {
  const { dModel, dFf } = config;
  shapes.set(`${name}.layer_norm.weight`, [dModel]);
  for (const wi of variantOf(config).gated ? ['wi_0', 'wi_1'] : ['wi'])
    shapes.set(`${name}.DenseReluDense.${wi}.weight`, [dFf, dModel]);
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
  const tables = !hasSelf ? 0 : hasBiasPerLayer(config) ? layers : 1;
  for (let i = 0; i < tables; i++) {
    shapes.set(`${name}.block.${i}.layer.0.SelfAttention.relative_attention_bias.weight`, [
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
  if (!variantOf(config).tiedHead) shapes.set('lm_head.weight', [config.vocabSize, config.dModel]);
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
