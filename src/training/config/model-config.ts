import { z } from 'zod';
import { MAX_COUNT } from '../../model/config/config.js';
import { MODEL_SIZES } from '../../model/config/sizes.js';
import { recordOf } from '../../util/record-schema.js';
import { count, text } from './fields.js';

export const hintOptionsSchema = z.strictObject({
  /** What makes modules of an encoded instruction; `embedding` and `static` read none. */
  generator: z.enum(['cross_attention', 'decoder', 'hypter', 'embedding', 'static']).optional(),
  /** Width of an adapter; 0: none. */
  adapterSize: count(0, MAX_COUNT).optional(),
  /** Whether both matrices of an adapter have a generated bias. */
  adapterBias: z.boolean().optional(),
  /** Keys and values in front of those of an attention; 0: none. */
  prefixLength: count(0, MAX_COUNT).optional(),
  /** Ranks of LoRA by projection; a number: that rank for queries and values, as in the paper. */
  loraRanks: z
    .union(
      [
        count(0, MAX_COUNT).transform((rank) => ({ q: rank, k: 0, v: rank, o: 0 })),
        z.strictObject({
          /** Rank beside the query projection; 0: none. */
          q: count(0, MAX_COUNT),
          /** Rank beside the key projection; 0: none. */
          k: count(0, MAX_COUNT),
          /** Rank beside the value projection; 0: none. */
          v: count(0, MAX_COUNT),
          /** Rank beside the output projection; 0: none. */
          o: count(0, MAX_COUNT),
        }),
      ],
      { error: 'must be a rank for queries and values, or {"q": 0, "k": 0, "v": 0, "o": 0} with ranks' },
    )
    .optional(),
  /** Whether the decoder also reads the encoded instruction. */
  instructionFusion: z.boolean().optional(),
  /** Whether the model's own encoder reads instructions, in place of a second one. */
  tieHyperencoder: z.boolean().optional(),
  /** False: the hyperencoder also attends to padding, as the original program does. */
  instructionPaddingMask: z.boolean().optional(),
  /** Whether an RMS norm stands in front of the layers of every generator. */
  generatorLayerNorm: z.boolean().optional(),
  /** Whether one product of a generator makes the modules of all slots. */
  perLayerGenerators: z.boolean().optional(),
  /** Slots that the table of component embeddings has rows for; 0: all of the model. */
  embeddingSlots: count(0, MAX_COUNT).optional(),
  /** Activation within the layers that make prefixes. */
  prefixActivation: z.enum(['gelu', 'tanh']).optional(),
});

export const modelSchema = z.strictObject({
  /**
   * A model directory to start from; to start from nothing, `{"size": "base"}` for a published size or
   * `{"config": {...}}` with the fields of a T5 config.json.
   */
  init: z.union(
    [
      text(),
      z.strictObject({
        /** A published size of T5 v1.1, in place of `config`. */
        size: z.enum(MODEL_SIZES),
      }),
      z.strictObject({
        /** Fields of a T5 config.json, in place of `size`. */
        config: recordOf(z.unknown()),
      }),
    ],
    {
      error: `must be a model directory, {"size": ...} with one of ${MODEL_SIZES.join(', ')}, or {"config": {...}} with the fields of a T5 config.json`,
    },
  ),
  /** Folder or file of the tokenizer.json; the default is the one in the directory of `init`. */
  tokenizer: text().optional(),
  /** What the hypernetwork has differently from its system's. */
  hint: hintOptionsSchema.prefault({}),
  /** How a separate hyperencoder (and decoder generator) starts: as a copy of T5's (the default) or random. */
  hyperencoderInit: z.enum(['pretrained', 'random']).optional(),
});

/** Which system of the paper a run trains, and the model that it starts from. */
export const modelPart = z.strictObject({
  /** A system by its name, as `hint systems` lists them. */
  system: text().default('hint'),
  /** What the run starts from. */
  model: modelSchema,
});
export type ModelSettings = z.infer<typeof modelPart>;
