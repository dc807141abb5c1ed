import { HintError } from '../../util/errors.js';
import { openWeights } from '../../formats/checkpoint/open-weights.js';
import { sameTensor } from '../../formats/weights/compare.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';
import { readModelConfig, serializeModelConfig, type ModelConfig } from '../config/config.js';
import { hasBiasPerLayer, variantOf, withHead } from '../config/variant.js';
import type { ModelContents } from './model-contents.js';
import { withoutPadding } from './padded-table.js';
import { slotCount } from '../modules/slots.js';
import { parameterCount, parameterShapes } from '../parameters/parameter-shapes.js';

/**
 * The configuration of a checkpoint, with the head that its tensors have: config.json alone does not say whether it is
 * tied, because some versions of transformers write `tie_word_embeddings: true` for every model, and others leave a
 * tied head out of a file whose config.json says `false`, which for T5 means "not scaled".
 *
 * @throws HintError INVALID_CHECKPOINT for tensors that belong to another kind of T5 than config.json names, IO, ABORTED
 */
export async function withStoredHead(
  config: ModelConfig,
  file: WeightFile,
  signal?: AbortSignal,
): Promise<ModelConfig> {
  checkFeedForward(config, file);
  checkBiasTables(config, file);
  const { tiedHead } = variantOf(config);
  const hasHead = file.tensors.has('lm_head.weight');
  // As Hugging Face: a file without a head is that of a tied one, whatever config.json says of scaling.
  if (!tiedHead && !hasHead && storedName('shared.weight', file, false) !== undefined)
    return withHead(config, true);
  if (!tiedHead || !hasHead) return config;
  const isTied = await sameTensor({ file, name: 'lm_head.weight' }, { file, name: tableOf(file) }, signal);
  return withHead(config, isTied);
}

function checkFeedForward(config: ModelConfig, { path, tensors }: WeightFile): void {
  const { gated } = variantOf(config);
  const [own, other] = gated ? ['wi_0', 'wi'] : ['wi', 'wi_0'];
  const block = 'encoder.block.0.layer.1.DenseReluDense';
  if (tensors.has(`${block}.${own}.weight`) || !tensors.has(`${block}.${other}.weight`)) return;
  throw new HintError(
    'INVALID_CHECKPOINT',
    `${path} has feed-forward blocks ${gated ? 'without a gate (wi)' : 'with a gate (wi_0, wi_1)'}, but its config.json says ${gated ? 'with' : 'without'} one; set feed_forward_proj to what the model was trained with, such as ${gated ? '"relu"' : '"gated-gelu"'}.`,
  );
}

/** Tables of later layers change the function, so that they must not be left aside. */
function checkBiasTables(config: ModelConfig, { path, tensors }: WeightFile): void {
  if (hasBiasPerLayer(config)) return;
  for (const name of tensors.keys()) {
    if (
      !/^(encoder|decoder)\.block\.[1-9]\d*\.layer\.0\.SelfAttention\.relative_attention_bias\.weight$/.test(
        name,
      )
    )
      continue;
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} has the tensor ${name}, a relative bias table of a later layer, but the model_type ${variantOf(config).modelType} has one table a stack; if it is a umT5, set model_type to "umt5" in config.json.`,
    );
  }
}

function tableOf(file: WeightFile): string {
  return storedName('shared.weight', file, false) ?? 'lm_head.weight';
}

/**
 * The name under which a file has a tensor: its own, or, of the table of embeddings, that of a copy.
 *
 * @param tied whether the final projection is such a copy
 */
export function storedName(name: string, { tensors }: WeightFile, tied: boolean): string | undefined {
  const copies = [
    'encoder.embed_tokens.weight',
    'decoder.embed_tokens.weight',
    ...(tied ? ['lm_head.weight'] : []),
  ];
  return [name, ...(name === 'shared.weight' ? copies : [])].find((one) => tensors.has(one));
}

/** What a checkpoint directory of the T5 family holds; see `ModelFamily.examine`. */
export async function examineCheckpoint(directory: string, signal?: AbortSignal): Promise<ModelContents> {
  const described = await readModelConfig(directory);
  await using opened = await openWeights(directory);
  const file = withoutPadding(opened, described);
  const config = await withStoredHead(described, file, signal);
  const { tiedHead } = variantOf(config);
  const count = (prefix: string): number => parameterCount(config, prefix);
  return {
    config: serializeModelConfig(config),
    parameters: {
      total: count(''),
      encoder: count('encoder.'),
      decoder: count('decoder.'),
      hypernetwork: count('hypernetwork.') + count('peft.'),
    },
    slots: slotCount(config),
    ...summaryOf(file),
    missingTensors: [...parameterShapes(config)].flatMap(([name, shape]) =>
      missing(file, storedName(name, file, tiedHead), name, shape),
    ),
  };
}

/** What is stored, whatever it is for. */
export function summaryOf({ tensors }: WeightFile): Pick<ModelContents, 'dtypes' | 'tensors'> {
  return { dtypes: [...new Set([...tensors.values()].map(({ dtype }) => dtype))], tensors: tensors.size };
}

/** The sentence about tensors that a checkpoint should have, of which a few are named. */
export function missingTensors(where: string, missing: readonly string[]): string {
  const lacks = (stack: string): boolean => missing.includes(`${stack}.final_layer_norm.weight`);
  if (lacks('decoder') && !lacks('encoder'))
    return `${where} holds an encoder alone, without a decoder; take the whole model, whose class in its config.json ends in ForConditionalGeneration.`;
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
  return `${where} has no tensor ${missing.slice(0, 3).join(', ')}${more}, which its config.json asks for.`;
}

/** A tensor that a file does not have, or has with another shape, in words; else nothing. */
export function missing(
  { tensors }: WeightFile,
  stored: string | undefined,
  name: string,
  shape: readonly number[],
): string[] {
  const found = stored === undefined ? undefined : tensors.get(stored)?.shape;
  if (!found) return [name];
  if (`${found}` === `${shape}`) return [];
  return [`${name} ([${shape.join(', ')}], but the file's is [${found.join(', ')}])`];
}
