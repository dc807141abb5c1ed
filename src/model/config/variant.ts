import { z } from 'zod';
import { boolean, choice, shaped } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import {
  ACTIVATION_OF_NAME,
  FEED_FORWARD_ACTIVATIONS,
  NAME_OF_ACTIVATION,
  type FeedForwardActivation,
} from './activations.js';

/** Kinds of T5 by the model_type of config.json. */
const MODEL_TYPES = ['t5', 'mt5', 'umt5'] as const;
export type T5ModelType = (typeof MODEL_TYPES)[number];

/** In what kinds of T5 differ from each other. */
export interface T5Variant {
  /** `umt5`: every layer of a stack has a relative bias table of its own; else that of the first serves all. */
  readonly modelType: T5ModelType;
  /** Between the matrices of a feed-forward layer. */
  readonly activation: FeedForwardActivation;
  /** The activated units are multiplied by a second projection. */
  readonly gated: boolean;
  /** The final projection is the table of token embeddings. */
  readonly tiedHead: boolean;
  /** Rows are multiplied by 1/√dModel in front of the final projection. */
  readonly scaledHead: boolean;
}

export const T5_VARIANT = shaped<T5Variant>(
  {
    modelType: choice(...MODEL_TYPES),
    activation: choice(...FEED_FORWARD_ACTIVATIONS),
    gated: boolean,
    tiedHead: boolean,
    scaledHead: boolean,
  },
  'an object { modelType, activation, gated, tiedHead, scaledHead }',
);

/** T5 v1.1, whose configurations have no variant. */
const T5_V1_1: T5Variant = {
  modelType: 't5',
  activation: 'gelu',
  gated: true,
  tiedHead: false,
  scaledHead: false,
};

/** In what a model differs from others. */
export function variantOf({ variant = T5_V1_1 }: { readonly variant?: T5Variant }): T5Variant {
  return variant;
}

/** The same model with another head. */
export function withHead<C extends { readonly variant?: T5Variant }>(config: C, tiedHead: boolean): C {
  const { variant: present = T5_V1_1, ...rest } = config;
  const variant = unlessV1_1({ ...present, tiedHead });
  return { ...rest, ...(variant && { variant }) } as C;
}

/** Whether every layer has a relative bias table of its own. */
export function hasBiasPerLayer(config: { readonly variant?: T5Variant }): boolean {
  return variantOf(config).modelType === 'umt5';
}

/** The map that makes logits of rows. */
export function headOf(config: { readonly variant?: T5Variant }): 'shared' | 'lm_head' {
  return variantOf(config).tiedHead ? 'shared' : 'lm_head';
}

/** Matrices of a feed-forward block. */
export function feedForwardMatrices(config: { readonly variant?: T5Variant }): number {
  return variantOf(config).gated ? 3 : 2;
}

const TYPE = z.enum(MODEL_TYPES);
/** The fields of config.json that tell variants apart. */
export const VARIANT_FIELDS = {
  model_type: TYPE.nullish(),
  feed_forward_proj: z.string().nullish(),
  dense_act_fn: z.string().nullish(),
  is_gated_act: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  scale_decoder_outputs: z.boolean().nullish(),
};
type VariantFields = z.infer<z.ZodObject<typeof VARIANT_FIELDS>>;

// What a file without model_type leaves out, as configurations of training runs do that say sizes only.
const SHORT_FORM = { feed_forward_proj: 'gated-gelu', tie_word_embeddings: false };
// What Hugging Face's classes take a field to be that the file leaves out.
const T5_SIZES = { vocab_size: 32128, d_model: 512, d_kv: 64, d_ff: 2048, num_layers: 6, num_heads: 8 };
const MT5_SIZES = { ...T5_SIZES, vocab_size: 250112, d_ff: 1024, num_layers: 8, num_heads: 6 };
const SIZES: Readonly<Record<T5ModelType, typeof T5_SIZES>> = {
  t5: T5_SIZES,
  mt5: MT5_SIZES,
  umt5: MT5_SIZES,
};

/** What other relatives of T5 compute that is not done here, by model_type. */
const RELATIVES: Readonly<Record<string, string>> = {
  longt5: 'LongT5, whose encoder attends to neighbouring blocks only',
  switch_transformers: 'Switch Transformers, whose feed-forward blocks choose among experts',
  pop2piano: 'Pop2Piano, which reads sound',
  udop: 'UDOP, which reads images',
};

/**
 * The fields of a file that it may leave out.
 *
 * @throws HintError INVALID_CONFIG for a model_type that is not of this family, by its name
 */
export function defaultsOf(file: Record<string, unknown>, source: string): Record<string, unknown> {
  const type = file['model_type'] ?? undefined;
  if (type === undefined) return SHORT_FORM;
  const known = TYPE.safeParse(type);
  if (known.success) return SIZES[known.data];
  const relative = typeof type === 'string' && Object.hasOwn(RELATIVES, type) ? RELATIVES[type] : undefined;
  const builtIn = `Built in are ${MODEL_TYPES.join(', ')}, gpt2 and opt`;
  const why = relative
    ? `its model_type ${showValue(type)} is ${relative}, and that is not computed here. ${builtIn}; take a model of one of these.`
    : `no family recognises its model_type ${showValue(type)}; call registerFamily for one of your own first. ${builtIn}.`;
  throw new HintError('INVALID_CONFIG', `${source} cannot be opened: ${why}`);
}

/** Finds fields that contradict each other, or say what is not computed here. */
export function checkVariantFields(
  file: VariantFields,
  reject: (key: string, message: string) => void,
): void {
  const { feed_forward_proj: projection, dense_act_fn: name, is_gated_act: gated } = file;
  const known = `use ${Object.keys(ACTIVATION_OF_NAME).join(', ')}`;
  if (name && !Object.hasOwn(ACTIVATION_OF_NAME, name))
    reject('dense_act_fn', `must be a function computed here: ${known}`);
  if (projection) {
    const said = projectionOf(projection);
    if (!said)
      reject('feed_forward_proj', `must be a function computed here, alone or behind "gated-": ${known}`);
    else if (
      name &&
      Object.hasOwn(ACTIVATION_OF_NAME, name) &&
      !agree(said.activation, ACTIVATION_OF_NAME[name] as FeedForwardActivation)
    )
      reject(
        'dense_act_fn',
        `contradicts feed_forward_proj ${showValue(projection)}; leave one of the two out`,
      );
    // Of the first Flan-T5s, whose "gelu" says nothing of the gate that is_gated_act states.
    else if (typeof gated === 'boolean' && gated !== said.gated && !(gated && isGelu(said.activation)))
      reject(
        'is_gated_act',
        `contradicts feed_forward_proj ${showValue(projection)}; leave one of the two out`,
      );
  }
  if ((file.model_type ?? 't5') !== 't5') return;
  if (file.tie_word_embeddings === false && file.scale_decoder_outputs === true)
    reject(
      'scale_decoder_outputs',
      'contradicts tie_word_embeddings false: only a head that is tied to the embeddings, or was, is scaled; leave one of the two out',
    );
}

/** Undefined for T5 v1.1. */
export function variantFromFile(file: VariantFields): T5Variant | undefined {
  const modelType = file.model_type ?? 't5';
  const said = projectionOf(file.feed_forward_proj ?? (modelType === 't5' ? 'relu' : 'gated-gelu'));
  const named = file.dense_act_fn ? ACTIVATION_OF_NAME[file.dense_act_fn] : undefined;
  const isTied = file.tie_word_embeddings !== false;
  // As Hugging Face: mT5 never scales, umT5 always does, T5 unless it says untied or not scaled.
  const scaledHead = { t5: file.scale_decoder_outputs ?? isTied, mt5: false, umt5: true }[modelType];
  return unlessV1_1({
    modelType,
    activation: named ?? said?.activation ?? 'relu',
    gated: file.is_gated_act ?? said?.gated ?? false,
    // Some versions write this of every model. What is stored decides in the end.
    tiedHead: isTied,
    scaledHead,
  });
}

/** The fields of config.json that say what a variant is, in the order of the file. */
export function serializeVariant(variant: T5Variant = T5_V1_1): Record<string, unknown> {
  const { modelType, activation, gated, tiedHead, scaledHead } = variant;
  const architecture = { t5: 'T5', mt5: 'MT5', umt5: 'UMT5' }[modelType];
  const name = NAME_OF_ACTIVATION[activation];
  const word = gated && activation === 'gelu' ? 'gelu' : name;
  const head =
    modelType === 't5'
      ? // Untied and not scaled is what every version takes tie_word_embeddings false to be.
        tiedHead || scaledHead
        ? { tie_word_embeddings: true, scale_decoder_outputs: scaledHead }
        : { tie_word_embeddings: false }
      : { tie_word_embeddings: tiedHead };
  return {
    model_type: modelType,
    architectures: [`${architecture}ForConditionalGeneration`],
    feed_forward_proj: gated ? `gated-${word}` : word,
    ...(isV1_1(variant) ? {} : { dense_act_fn: name, is_gated_act: gated }),
    is_encoder_decoder: true,
    ...head,
  };
}

function projectionOf(
  projection: string,
): { readonly activation: FeedForwardActivation; readonly gated: boolean } | undefined {
  const gated = projection.startsWith('gated-');
  const word = gated ? projection.slice('gated-'.length) : projection;
  // As in Hugging Face: behind "gated-", gelu means its approximation.
  const name = gated && word === 'gelu' ? 'gelu_new' : word;
  const activation = Object.hasOwn(ACTIVATION_OF_NAME, name) ? ACTIVATION_OF_NAME[name] : undefined;
  return activation && { activation, gated };
}

function isGelu(activation: FeedForwardActivation): boolean {
  return activation.startsWith('gelu');
}

/** Whether two fields can name one function: what dense_act_fn says of a gelu is more exact than feed_forward_proj. */
function agree(a: FeedForwardActivation, b: FeedForwardActivation): boolean {
  return a === b || (isGelu(a) && isGelu(b));
}

function isV1_1(variant: T5Variant): boolean {
  return (Object.keys(T5_V1_1) as (keyof T5Variant)[]).every((key) => variant[key] === T5_V1_1[key]);
}

function unlessV1_1(variant: T5Variant): T5Variant | undefined {
  return isV1_1(variant) ? undefined : variant;
}
