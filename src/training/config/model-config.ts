import { z } from 'zod';
import { MODEL_SIZES } from '../../model/config/sizes.js';
import { recordOf } from '../../util/record-schema.js';
import { count, text } from './fields.js';

export const hintOptionsSchema = z.strictObject({
  generator: z.enum(['cross_attention', 'decoder', 'hypter', 'embedding', 'static']).optional(),
  adapterSize: count(0).optional(),
  adapterBias: z.boolean().optional(),
  prefixLength: count(0).optional(),
  /** A number: that rank for queries and values, as in the paper. */
  loraRanks: z
    .union(
      [
        count(0).transform((rank) => ({ q: rank, k: 0, v: rank, o: 0 })),
        z.strictObject({ q: count(0), k: count(0), v: count(0), o: count(0) }),
      ],
      { error: 'must be a rank for queries and values, or {"q": 0, "k": 0, "v": 0, "o": 0} with ranks' },
    )
    .optional(),
  instructionFusion: z.boolean().optional(),
  tieHyperencoder: z.boolean().optional(),
  instructionPaddingMask: z.boolean().optional(),
  generatorLayerNorm: z.boolean().optional(),
  perLayerGenerators: z.boolean().optional(),
  embeddingSlots: count(0).optional(),
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
      z.strictObject({ size: z.enum(MODEL_SIZES) }),
      z.strictObject({ config: recordOf(z.unknown()) }),
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
  model: modelSchema,
});
export type ModelSettings = z.infer<typeof modelPart>;
