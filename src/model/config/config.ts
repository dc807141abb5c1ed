import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import {
  boolean,
  checked,
  choice,
  integer,
  list,
  number,
  optional,
  path as pathKind,
  shaped,
  text,
  type Members,
} from '../../util/arguments.js';
import { parseSafely, valueAt } from '../../util/parse-safely.js';
import { showValue } from '../../util/show-value.js';
import {
  checkVariantFields,
  defaultsOf,
  serializeVariant,
  T5_VARIANT,
  VARIANT_FIELDS,
  variantFromFile,
  type T5Variant,
} from './variant.js';
import { endsFromFile, endsToFile, eosTokenIds } from './end-tokens.js';
import { readModelFile } from './model-file.js';

/** What feeds the generators: method §2.4, method §3.2 to method §3.4. */
export type GeneratorKind = (typeof GENERATORS)[number];
export const GENERATORS = ['cross_attention', 'decoder', 'hypter', 'embedding', 'static'] as const;

/** LoRA rank of each attention projection; 0 = not adapted. */
export interface LoraRanks {
  /** Rank beside the query projection. */
  readonly q: number;
  /** Rank beside the key projection. */
  readonly k: number;
  /** Rank beside the value projection. */
  readonly v: number;
  /** Rank beside the output projection. */
  readonly o: number;
}

/** The hypernetwork of a model: the "hint" object of config.json. */
export interface HintConfig {
  /** What the modules are made from. */
  readonly generator: GeneratorKind;
  /** Bottleneck width of the adapters; 0 = no adapters. */
  readonly adapterSize: number;
  /** Whether both matrices of an adapter have a generated bias. */
  readonly adapterBias: boolean;
  /** Prefix keys and values per attention; 0 = no prefixes. */
  readonly prefixLength: number;
  /** All 0: no LoRA is generated. */
  readonly loraRanks: LoraRanks;
  /** Cross-attention reads [encoded instruction; encoded input]. */
  readonly instructionFusion: boolean;
  /** The model's own encoder encodes the instruction. */
  readonly tieHyperencoder: boolean;
  /** False: the hyperencoder also attends to padding, as the original program does. */
  readonly instructionPaddingMask: boolean;
  /** RMS norm in front of every generator MLP. */
  readonly generatorLayerNorm: boolean;
  /** One generator output holds all slots. */
  readonly perLayerGenerators: boolean;
  /** Slots the embedding table has rows for; 0 = all of the model. */
  readonly embeddingSlots: number;
  /** Within the MLP that makes prefixes. */
  readonly prefixActivation: 'gelu' | 'tanh';
}

/** Whether a hypernetwork makes its modules from an instruction; else they are learned and the same for every task. */
export function readsInstruction({ generator }: HintConfig): boolean {
  return generator !== 'embedding' && generator !== 'static';
}

/** A model of the T5 family, with a hypernetwork or without. */
export interface ModelConfig {
  /** Rows of the token embedding. */
  readonly vocabSize: number;
  /** Width of the residual stream. */
  readonly dModel: number;
  /** Width of one attention head; numHeads × dKv may differ from dModel. */
  readonly dKv: number;
  /** Inner width of a feed-forward layer. */
  readonly dFf: number;
  /** Depth of the encoder. */
  readonly numLayers: number;
  /** Depth of the decoder, which may differ. */
  readonly numDecoderLayers: number;
  /** Per attention, in every layer. */
  readonly numHeads: number;
  /** Rows of the position bias table, at least 4. */
  readonly relativeAttentionNumBuckets: number;
  /** In tokens; all that is farther shares the last bucket. */
  readonly relativeAttentionMaxDistance: number;
  /** Added to the mean square under the root. */
  readonly layerNormEpsilon: number;
  /** From 0 to below 1, in training. */
  readonly dropoutRate: number;
  /** Never part of an input here, as nothing is padded. */
  readonly padTokenId: number;
  /** Ends inputs, targets and generation. */
  readonly eosTokenId: number;
  /** Tokens that end a sequence too, where there are several. */
  readonly moreEosTokenIds?: readonly number[];
  /** Fed to the decoder before its first token. */
  readonly decoderStartTokenId: number;
  /** What differs from T5 v1.1 (gated tanh-GELU, untied head, one bias table a stack); absent: nothing. */
  readonly variant?: T5Variant;
  /** The hypernetwork beside the T5; absent: none. */
  readonly hint?: HintConfig;
}

// Far above any published model, far below what would overflow a size computation: a typing slip, not a model.
const size = (max: number) => z.int().min(1).max(max);
const optionalSize = (max: number) => z.int().min(0).max(max).default(0);
const MAX_WIDTH = 1 << 18;
/** Of counts such as heads and the widths of modules. */
export const MAX_COUNT = 1 << 16;
const MAX_LAYERS = 1024;

const LORA_RANKS: Members<LoraRanks> = {
  q: integer(0, MAX_COUNT),
  k: integer(0, MAX_COUNT),
  v: integer(0, MAX_COUNT),
  o: integer(0, MAX_COUNT),
};

/** A hypernetwork as TypeScript has it, field by field; what fields must be together is a matter of config.json. */
export const HINT_CONFIG = shaped<HintConfig>(
  {
    generator: choice(...GENERATORS),
    adapterSize: integer(0, MAX_COUNT),
    adapterBias: boolean,
    prefixLength: integer(0, MAX_COUNT),
    loraRanks: shaped<LoraRanks>(LORA_RANKS, 'an object { q, k, v, o }'),
    instructionFusion: boolean,
    tieHyperencoder: boolean,
    instructionPaddingMask: boolean,
    generatorLayerNorm: boolean,
    perLayerGenerators: boolean,
    embeddingSlots: integer(0, MAX_COUNT),
    prefixActivation: choice('gelu', 'tanh'),
  },
  'a HintConfig, such as that of parseModelConfig(json)',
);

export const MODEL_CONFIG = shaped<ModelConfig>(
  {
    vocabSize: integer(1, 1 << 24),
    dModel: integer(1, MAX_WIDTH),
    dKv: integer(1, MAX_COUNT),
    dFf: integer(1, MAX_WIDTH),
    numLayers: integer(1, MAX_LAYERS),
    numDecoderLayers: integer(1, MAX_LAYERS),
    numHeads: integer(1, MAX_COUNT),
    relativeAttentionNumBuckets: integer(4, MAX_COUNT),
    relativeAttentionMaxDistance: integer(1, 1 << 24),
    layerNormEpsilon: number(0, 1, { above: true }),
    dropoutRate: number(0, 1, { below: true }),
    padTokenId: integer(0),
    // −1: no token ends a sequence, as where lengths are measured.
    eosTokenId: integer(-1),
    moreEosTokenIds: optional(list(integer(0))),
    decoderStartTokenId: integer(0),
    variant: optional(T5_VARIANT),
    hint: optional(HINT_CONFIG),
  },
  'a ModelConfig, such as await readModelConfig(directory)',
);

const hintSchema = z
  .strictObject({
    generator: z.enum(GENERATORS).default('cross_attention'),
    adapter_size: optionalSize(MAX_COUNT),
    adapter_bias: z.boolean().default(true),
    prefix_length: optionalSize(MAX_COUNT),
    lora_ranks: z.array(z.int().min(0).max(MAX_COUNT)).length(4).default([0, 0, 0, 0]),
    instruction_fusion: z.boolean().default(true),
    tie_hyperencoder: z.boolean().default(true),
    instruction_padding_mask: z.boolean().default(true),
    generator_layer_norm: z.boolean().default(false),
    per_layer_generators: z.boolean().default(false),
    embedding_slots: optionalSize(MAX_COUNT),
    prefix_activation: z.enum(['gelu', 'tanh']).default('gelu'),
  })
  .superRefine((hint, context) => {
    const reject = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    const isHypter = hint.generator === 'hypter';
    const isLearned = hint.generator === 'embedding' || hint.generator === 'static';
    if (hint.instruction_fusion && (isHypter || isLearned)) {
      reject('instruction_fusion', `must be false with generator "${hint.generator}"`);
    }
    if (isHypter && hint.prefix_length > 0) reject('prefix_length', 'must be 0 with generator "hypter"');
    if (isHypter && hint.lora_ranks.some((rank) => rank > 0)) {
      reject('lora_ranks', 'must be all 0 with generator "hypter"');
    }
    if (isHypter && !hint.per_layer_generators) {
      reject('per_layer_generators', 'must be true with generator "hypter"');
    }
    const ownsTable = hint.generator !== 'hypter' && hint.generator !== 'static';
    if (ownsTable && hint.per_layer_generators && hint.embedding_slots === 0) {
      reject(
        'embedding_slots',
        `must be at least 1 with per_layer_generators and generator "${hint.generator}"`,
      );
    }
    if (hint.embedding_slots > 0 && !(ownsTable && hint.per_layer_generators)) {
      reject(
        'embedding_slots',
        'must be 0 unless per_layer_generators is true and there is an embedding table',
      );
    }
  });

const fileSchema = z
  .object({
    ...VARIANT_FIELDS,
    vocab_size: size(1 << 24),
    d_model: size(MAX_WIDTH),
    d_kv: size(MAX_COUNT),
    d_ff: size(MAX_WIDTH),
    num_layers: size(MAX_LAYERS),
    num_decoder_layers: size(MAX_LAYERS).nullish(),
    num_heads: size(MAX_COUNT),
    relative_attention_num_buckets: z.int().min(4).max(MAX_COUNT).default(32),
    relative_attention_max_distance: z
      .int()
      .min(1)
      .max(1 << 24)
      .default(128),
    layer_norm_epsilon: z.number().positive().max(1).default(1e-6),
    dropout_rate: z.number().min(0).lt(1).default(0.1),
    pad_token_id: z.int().min(0).nullish(),
    eos_token_id: eosTokenIds.default(1),
    decoder_start_token_id: z.int().min(0).nullish(),
    hint: hintSchema.optional(),
  })
  .superRefine((file, context) => {
    const reject = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    checkVariantFields(file, reject);
    for (const key of ['pad_token_id', 'eos_token_id', 'decoder_start_token_id'] as const) {
      if ([file[key] ?? 0].flat().some((id) => id >= file.vocab_size))
        reject(key, `must be below vocab_size ${file.vocab_size}`);
    }
    // Buckets beyond the exact half are spaced logarithmically up to the maximum distance.
    if (file.relative_attention_max_distance <= file.relative_attention_num_buckets / 2) {
      reject(
        'relative_attention_max_distance',
        `must be above half of relative_attention_num_buckets ${file.relative_attention_num_buckets}`,
      );
    }
  });

function describe(issue: z.core.$ZodIssue, json: unknown): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return `${path}.${issue.keys.join(`, ${path}.`)} is unknown; keys are ${Object.keys(hintSchema.shape).join(', ')}`;
  }
  const value = valueAt(json, issue.path);
  if (issue.code === 'custom') {
    return `${path} ${issue.message}, it is ${value === undefined ? 'left at its default' : showValue(value)}`;
  }
  if (value === undefined) return `${path} is missing`;
  return `${path} is ${showValue(value)}: ${issue.message}`;
}

function hintFromFile(hint: z.infer<typeof hintSchema>): HintConfig {
  const [q, k, v, o] = hint.lora_ranks as [number, number, number, number];
  return {
    generator: hint.generator,
    adapterSize: hint.adapter_size,
    adapterBias: hint.adapter_bias,
    prefixLength: hint.prefix_length,
    loraRanks: { q, k, v, o },
    instructionFusion: hint.instruction_fusion,
    tieHyperencoder: hint.tie_hyperencoder,
    instructionPaddingMask: hint.instruction_padding_mask,
    generatorLayerNorm: hint.generator_layer_norm,
    perLayerGenerators: hint.per_layer_generators,
    embeddingSlots: hint.embedding_slots,
    prefixActivation: hint.prefix_activation,
  };
}

/**
 * Checks a parsed config.json and fills in defaults: Hugging Face's for its `model_type`, or those of T5 v1.1 where it has
 * none, which is how training configurations name a model in short. Unknown T5 fields are ignored, unknown "hint" keys
 * are not.
 *
 * @param source names the file in errors
 * @throws HintError INVALID_CONFIG for another model_type, or naming every field at fault, its value and what it may be
 */
export function parseModelConfig(json: unknown, source = 'config.json'): ModelConfig {
  checked(text, source, 'source');
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
  const schema = z.preprocess(
    (file) =>
      isObject
        ? { ...defaultsOf(file as Record<string, unknown>, source), ...(file as Record<string, unknown>) }
        : file,
    fileSchema,
  );
  const { data: file, faults: found } = parseSafely(schema, json, source);
  if (found) {
    const faults = isObject
      ? found.map((issue) => describe(issue, json)).join('; ')
      : 'it is not a JSON object';
    throw new HintError('INVALID_CONFIG', `${source} does not describe a T5 or HINT model: ${faults}.`);
  }
  const variant = variantFromFile(file);
  const padTokenId = file.pad_token_id ?? 0;
  return {
    vocabSize: file.vocab_size,
    dModel: file.d_model,
    dKv: file.d_kv,
    dFf: file.d_ff,
    numLayers: file.num_layers,
    numDecoderLayers: file.num_decoder_layers ?? file.num_layers,
    numHeads: file.num_heads,
    relativeAttentionNumBuckets: file.relative_attention_num_buckets,
    relativeAttentionMaxDistance: file.relative_attention_max_distance,
    layerNormEpsilon: file.layer_norm_epsilon,
    dropoutRate: file.dropout_rate,
    padTokenId,
    ...endsFromFile(file.eos_token_id),
    decoderStartTokenId: file.decoder_start_token_id ?? padTokenId,
    ...(variant && { variant }),
    ...(file.hint && { hint: hintFromFile(file.hint) }),
  };
}

/**
 * Reads DIRECTORY/config.json, or what the tensors of a T5X checkpoint without one say, and the files beside it that say
 * how sequences begin and end.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, or INVALID_CONFIG as {@link parseModelConfig}
 */
export async function readModelConfig(directory: string): Promise<ModelConfig> {
  checked(pathKind, directory, 'directory');
  const { config, path } = await readModelFile(directory);
  return parseModelConfig(config, path);
}

/**
 * The config.json object of a model: what {@link parseModelConfig} reads back, and Hugging Face's T5Config too.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function serializeModelConfig(config: ModelConfig): Record<string, unknown> {
  checked(MODEL_CONFIG, config, 'config');
  const { hint } = config;
  const { model_type, architectures, ...differing } = serializeVariant(config.variant);
  return {
    model_type,
    architectures,
    vocab_size: config.vocabSize,
    d_model: config.dModel,
    d_kv: config.dKv,
    d_ff: config.dFf,
    num_layers: config.numLayers,
    num_decoder_layers: config.numDecoderLayers,
    num_heads: config.numHeads,
    relative_attention_num_buckets: config.relativeAttentionNumBuckets,
    relative_attention_max_distance: config.relativeAttentionMaxDistance,
    layer_norm_epsilon: config.layerNormEpsilon,
    ...differing,
    dropout_rate: config.dropoutRate,
    pad_token_id: config.padTokenId,
    eos_token_id: endsToFile(config),
    decoder_start_token_id: config.decoderStartTokenId,
    ...(hint && {
      hint: {
        generator: hint.generator,
        adapter_size: hint.adapterSize,
        adapter_bias: hint.adapterBias,
        prefix_length: hint.prefixLength,
        lora_ranks: [hint.loraRanks.q, hint.loraRanks.k, hint.loraRanks.v, hint.loraRanks.o],
        instruction_fusion: hint.instructionFusion,
        tie_hyperencoder: hint.tieHyperencoder,
        instruction_padding_mask: hint.instructionPaddingMask,
        generator_layer_norm: hint.generatorLayerNorm,
        per_layer_generators: hint.perLayerGenerators,
        embedding_slots: hint.embeddingSlots,
        prefix_activation: hint.prefixActivation,
      },
    }),
  };
}
