import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { check } from '../../util/check.js';
import { ACTIVATION_OF_NAME, NAME_OF_ACTIVATION, type FeedForwardActivation } from '../config/activations.js';
import { endsFromFile, endsToFile, eosTokenIds } from '../config/end-tokens.js';

/** The decoder-only families of the paper's baselines (method §3.5). */
export type DecoderOnlyFamily = 'gpt2' | 'opt';

/** A decoder-only model: GPT-2 or OPT. */
export interface DecoderOnlyConfig {
  readonly family: DecoderOnlyFamily;
  readonly vocabSize: number;
  readonly dModel: number;
  readonly dFf: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Most tokens of a sequence. */
  readonly maxPositions: number;
  /** Rows of the position table in front of that of position 0; 2 in OPT. */
  readonly positionOffset: number;
  /** Width of token embeddings; projected where it is not dModel (OPT-350m). */
  readonly embeddingSize: number;
  /** Norms in front of attention and feed-forward; false: behind the residual addition (OPT-350m). */
  readonly normBefore: boolean;
  readonly finalNorm: boolean;
  readonly activation: FeedForwardActivation;
  readonly layerNormEpsilon: number;
  /** Scores are divided by sqrt(head width). */
  readonly scaleAttention: boolean;
  /** Scores of layer i are also divided by i + 1. */
  readonly scaleAttentionByLayer: boolean;
  readonly dropoutRate: number;
  readonly attentionDropout: boolean;
  readonly embeddingDropout: boolean;
  /** The head's weights are the token embeddings. */
  readonly tiedHead: boolean;
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  /** Tokens that end a sequence too, where there are several. */
  readonly moreEosTokenIds?: readonly number[];
  readonly padTokenId: number;
  /** Every sequence begins with bosTokenId, as OPT's were. */
  readonly prependBos: boolean;
}

const size = (max: number) => z.int().min(1).max(max);
const MAX_WIDTH = 1 << 18;
const rate = (value: number) => z.number().min(0).lt(1).default(value);
const id = () => z.int().min(0);
const common = { vocab_size: size(1 << 24), tie_word_embeddings: z.boolean().default(true) };
const activation = (name: string) =>
  z.enum(Object.keys(ACTIVATION_OF_NAME)).default(name) as z.ZodType<string, string | undefined>;

// Defaults are those of Hugging Face's classes, which leave them out of the files they write.
const gpt2Schema = z.object({
  ...common,
  model_type: z.literal('gpt2'),
  n_embd: size(MAX_WIDTH).default(768),
  n_layer: size(1024).default(12),
  n_head: size(1 << 16).default(12),
  n_inner: size(MAX_WIDTH).nullish(),
  n_positions: size(1 << 24).default(1024),
  activation_function: activation('gelu_new'),
  resid_pdrop: rate(0.1),
  attn_pdrop: rate(0.1),
  embd_pdrop: rate(0.1),
  layer_norm_epsilon: z.number().positive().max(1).default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  add_cross_attention: z.literal(false).default(false),
  bos_token_id: id().default(50256),
  eos_token_id: eosTokenIds.default(50256),
  pad_token_id: id().nullish(),
});

const optSchema = z.object({
  ...common,
  model_type: z.literal('opt'),
  hidden_size: size(MAX_WIDTH).default(768),
  num_hidden_layers: size(1024).default(12),
  num_attention_heads: size(1 << 16).default(12),
  ffn_dim: size(MAX_WIDTH).default(3072),
  max_position_embeddings: size(1 << 24).default(2048),
  word_embed_proj_dim: size(MAX_WIDTH).nullish(),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  activation_function: activation('relu'),
  dropout: rate(0.1),
  attention_dropout: rate(0),
  enable_bias: z.literal(true).default(true),
  layer_norm_elementwise_affine: z.literal(true).default(true),
  bos_token_id: id().default(2),
  eos_token_id: eosTokenIds.default(2),
  pad_token_id: id().nullish(),
});

const fileSchema = z.discriminatedUnion('model_type', [gpt2Schema, optSchema]);

/**
 * Checks the object of a GPT-2 or OPT config.json and fills in Hugging Face's defaults.
 *
 * @param source names the file in errors
 * @throws HintError INVALID_CONFIG naming every field at fault
 */
export function parseDecoderOnlyConfig(json: unknown, source = 'config.json'): DecoderOnlyConfig {
  const { data, faults: found } = check(fileSchema, json);
  if (found) {
    const faults = found.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
    throw new HintError('INVALID_CONFIG', `${source} does not describe a GPT-2 or OPT model: ${faults}.`);
  }
  const config = data.model_type === 'gpt2' ? fromGpt2(data) : fromOpt(data);
  checkConsistency(config, source);
  return config;
}

function fromGpt2(file: z.infer<typeof gpt2Schema>): DecoderOnlyConfig {
  return {
    family: 'gpt2',
    vocabSize: file.vocab_size,
    dModel: file.n_embd,
    dFf: file.n_inner ?? 4 * file.n_embd,
    numLayers: file.n_layer,
    numHeads: file.n_head,
    maxPositions: file.n_positions,
    positionOffset: 0,
    embeddingSize: file.n_embd,
    normBefore: true,
    finalNorm: true,
    activation: ACTIVATION_OF_NAME[file.activation_function] as FeedForwardActivation,
    layerNormEpsilon: file.layer_norm_epsilon,
    scaleAttention: file.scale_attn_weights,
    scaleAttentionByLayer: file.scale_attn_by_inverse_layer_idx,
    dropoutRate: file.resid_pdrop,
    attentionDropout: file.attn_pdrop > 0,
    embeddingDropout: file.embd_pdrop > 0,
    tiedHead: file.tie_word_embeddings,
    bosTokenId: file.bos_token_id,
    ...endsFromFile(file.eos_token_id),
    padTokenId: file.pad_token_id ?? endsFromFile(file.eos_token_id).eosTokenId,
    prependBos: false,
  };
}

function fromOpt(file: z.infer<typeof optSchema>): DecoderOnlyConfig {
  return {
    family: 'opt',
    vocabSize: file.vocab_size,
    dModel: file.hidden_size,
    dFf: file.ffn_dim,
    numLayers: file.num_hidden_layers,
    numHeads: file.num_attention_heads,
    maxPositions: file.max_position_embeddings,
    positionOffset: 2,
    embeddingSize: file.word_embed_proj_dim ?? file.hidden_size,
    normBefore: file.do_layer_norm_before,
    finalNorm: file.do_layer_norm_before && !file._remove_final_layer_norm,
    activation: ACTIVATION_OF_NAME[file.activation_function] as FeedForwardActivation,
    layerNormEpsilon: 1e-5,
    scaleAttention: true,
    scaleAttentionByLayer: false,
    dropoutRate: file.dropout,
    attentionDropout: file.attention_dropout > 0,
    embeddingDropout: false,
    tiedHead: file.tie_word_embeddings,
    bosTokenId: file.bos_token_id,
    ...endsFromFile(file.eos_token_id),
    padTokenId: file.pad_token_id ?? 1,
    prependBos: true,
  };
}

function checkConsistency(config: DecoderOnlyConfig, source: string): void {
  const { dModel, numHeads, vocabSize } = config;
  if (dModel % numHeads !== 0) {
    throw new HintError(
      'INVALID_CONFIG',
      `${source} has ${numHeads} attention heads for a width of ${dModel}; the heads must divide the width.`,
    );
  }
  const ids = [
    ['bosTokenId', config.bosTokenId],
    ...[config.eosTokenId, ...(config.moreEosTokenIds ?? [])].map((id) => ['eosTokenId', id] as const),
  ] as const;
  for (const [name, id] of ids) {
    if (id < vocabSize) continue;
    throw new HintError(
      'INVALID_CONFIG',
      `${source} has the ${name} ${id}, but only ${vocabSize} tokens; set it below vocab_size.`,
    );
  }
}

/** The config.json object of a model: what {@link parseDecoderOnlyConfig} reads back, and Hugging Face too. */
export function serializeDecoderOnlyConfig(config: DecoderOnlyConfig): Record<string, unknown> {
  const shared = {
    model_type: config.family,
    vocab_size: config.vocabSize,
    bos_token_id: config.bosTokenId,
    eos_token_id: endsToFile(config),
    pad_token_id: config.padTokenId,
    tie_word_embeddings: config.tiedHead,
  };
  const { dropoutRate: dropout } = config;
  if (config.family === 'gpt2') {
    return {
      ...shared,
      architectures: ['GPT2LMHeadModel'],
      n_embd: config.dModel,
      n_layer: config.numLayers,
      n_head: config.numHeads,
      n_inner: config.dFf,
      n_positions: config.maxPositions,
      activation_function: NAME_OF_ACTIVATION[config.activation],
      resid_pdrop: dropout,
      attn_pdrop: config.attentionDropout ? dropout : 0,
      embd_pdrop: config.embeddingDropout ? dropout : 0,
      layer_norm_epsilon: config.layerNormEpsilon,
      scale_attn_weights: config.scaleAttention,
      scale_attn_by_inverse_layer_idx: config.scaleAttentionByLayer,
    };
  }
  return {
    ...shared,
    architectures: ['OPTForCausalLM'],
    hidden_size: config.dModel,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    ffn_dim: config.dFf,
    max_position_embeddings: config.maxPositions,
    word_embed_proj_dim: config.embeddingSize,
    do_layer_norm_before: config.normBefore,
    _remove_final_layer_norm: config.normBefore && !config.finalNorm,
    activation_function: NAME_OF_ACTIVATION[config.activation],
    dropout,
    attention_dropout: config.attentionDropout ? dropout : 0,
  };
}
