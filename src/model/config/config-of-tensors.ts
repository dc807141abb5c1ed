import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';

/** The original pads the table of component embeddings of a hypernetwork with a decoder to a multiple of so many rows (method §3.4). */
export const TABLE_MULTIPLE = 16;

/** Sizes of tensors by name, with a sentence for those that are not there. */
class Shapes {
  constructor(private readonly file: WeightFile) {}

  has(name: string): boolean {
    return this.file.tensors.has(name);
  }

  names(): string[] {
    return [...this.file.tensors.keys()];
  }

  /** Rows and columns of a matrix. */
  matrix(name: string): readonly [number, number] {
    const shape = this.file.tensors.get(name)?.shape;
    const [rows, columns] = shape ?? [];
    if (shape?.length === 2 && rows !== undefined && columns !== undefined) return [rows, columns];
    throw this.unclear(
      shape ? `its tensor ${name} has the shape ${showValue(shape)}` : `it has no tensor ${name}`,
    );
  }

  unclear(fault: string): HintError {
    return new HintError(
      'NOT_SUPPORTED',
      `${this.file.path} has no config.json, and its tensors do not say what model it is: ${fault}; write a config.json beside it (docs/method.md, 13.1).`,
    );
  }
}

/**
 * What a config.json would say of a T5, or of one with a hypernetwork, as far as tensors tell: all sizes, gates, a tied head,
 * bias tables. What they do not tell is as T5X and the original HINT program have it: GELU in gates, ReLU without; the
 * encoded instruction is read by the decoder.
 *
 * @throws HintError NOT_SUPPORTED naming what is missing or has two readings
 */
export function configOfTensors(file: WeightFile): Record<string, unknown> {
  const shapes = new Shapes(file);
  const [vocabSize, dModel] = shapes.matrix('shared.weight');
  const bias = 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight';
  const [buckets, heads] = shapes.matrix(bias);
  const [width] = shapes.matrix('encoder.block.0.layer.0.SelfAttention.q.weight');
  if (heads === 0 || width % heads !== 0) throw shapes.unclear(`${heads} heads share a width of ${width}`);
  const block = 'encoder.block.0.layer.1.DenseReluDense';
  const isGated = shapes.has(`${block}.wi_0.weight`);
  const [dFf] = shapes.matrix(`${block}.${isGated ? 'wi_0' : 'wi'}.weight`);
  const isTied = !shapes.has('lm_head.weight');
  const [encoderLayers, decoderLayers] = [layersOf(shapes, 'encoder'), layersOf(shapes, 'decoder')];
  const hasTables = shapes.has(bias.replace('block.0', 'block.1'));
  const hint = hintOf(shapes, { slots: encoderLayers + 2 * decoderLayers, dModel });
  return {
    model_type: hasTables ? 'umt5' : 't5',
    architectures: [hasTables ? 'UMT5ForConditionalGeneration' : 'T5ForConditionalGeneration'],
    vocab_size: vocabSize,
    d_model: dModel,
    d_kv: width / heads,
    d_ff: dFf,
    num_layers: encoderLayers,
    num_decoder_layers: decoderLayers,
    num_heads: heads,
    relative_attention_num_buckets: buckets,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
    feed_forward_proj: isGated ? 'gated-gelu' : 'relu',
    is_encoder_decoder: true,
    tie_word_embeddings: isTied,
    dropout_rate: 0.1,
    pad_token_id: 0,
    eos_token_id: 1,
    decoder_start_token_id: 0,
    ...(hint && { hint }),
  };
}

function layersOf(shapes: Shapes, stack: string): number {
  let layers = 0;
  while (shapes.has(`${stack}.block.${layers}.layer.0.layer_norm.weight`)) layers++;
  return layers;
}

/** The "hint" object, from the generators that there are; undefined for plain T5, which may own an idle table. */
function hintOf(
  shapes: Shapes,
  { slots, dModel }: { slots: number; dModel: number },
): Record<string, unknown> | undefined {
  const generators = new Set(
    shapes.names().flatMap((name) => /^hypernetwork\.(\w+)\.wo\.weight$/.exec(name)?.[1] ?? []),
  );
  const hasEncoder = shapes.names().some((name) => name.startsWith('hypernetwork.encoder.'));
  if (generators.size === 0 && !hasEncoder) return undefined;
  const base = { tie_hyperencoder: !hasEncoder };
  if (generators.size === 0) return base;
  const [first = ''] = generators;
  const [, width] = shapes.matrix(`hypernetwork.${first}.wi.weight`);
  const hasDecoder = shapes.names().some((name) => name.startsWith('hypernetwork.decoder.'));
  const hasAttention = shapes.has('hypernetwork.attention.q.weight');
  if (hasDecoder === hasAttention || width % dModel !== 0 || (hasAttention && width !== dModel))
    throw shapes.unclear('its hypernetwork is neither one of component cross-attention nor a decoder');
  // Outputs for all slots at once are made of several embeddings side by side.
  const embeddingSlots = width === dModel ? 0 : width / dModel;
  const modules = modulesOf(shapes, generators, { slots, embeddingSlots, isPadded: hasDecoder });
  const isOfPrefixes = modules.adapter_size === 0 && modules.lora_ranks.every((rank) => rank === 0);
  if (hasDecoder && embeddingSlots === 0 && !isOfPrefixes)
    throw shapes.unclear(
      'a hypernetwork with a decoder that makes more than prefixes may fuse the instruction or not (hint.instruction_fusion)',
    );
  return {
    ...base,
    generator: hasDecoder ? 'decoder' : 'cross_attention',
    ...modules,
    generator_layer_norm: shapes.has(`hypernetwork.${first}.layer_norm.weight`),
    // Of the original's two configurations with a decoder (method §3.4), the one of HyperTune is without fusion.
    ...(hasDecoder && {
      instruction_fusion: embeddingSlots > 0,
      per_layer_generators: embeddingSlots > 0,
      embedding_slots: embeddingSlots,
    }),
  };
}

interface ModuleSizes {
  readonly adapter_size: number;
  readonly adapter_bias: boolean;
  readonly prefix_length: number;
  readonly lora_ranks: readonly number[];
}

/** The sizes of modules, from the rows of the table of component embeddings and what generators there are. */
function modulesOf(
  shapes: Shapes,
  generators: ReadonlySet<string>,
  { slots, embeddingSlots, isPadded }: { slots: number; embeddingSlots: number; isPadded: boolean },
): ModuleSizes {
  const [rows] = shapes.matrix('hypernetwork.embedding.weight');
  const tables = embeddingSlots || slots;
  const hasAdapter = generators.has('adapter_down');
  const hasBias = generators.has('adapter_bias_down');
  const projections = ['q', 'k', 'v', 'o'].filter((projection) => generators.has(`lora_${projection}_a`));
  const hasPrefix = generators.has('prefix_key');
  const kinds = [hasAdapter && !hasBias, hasPrefix, projections.length > 0].filter(Boolean).length;
  const [outputs] = hasBias ? shapes.matrix('hypernetwork.adapter_bias_down.wo.weight') : [0];
  const biased = embeddingSlots > 0 ? outputs / slots : outputs;
  // Component embeddings of a slot: all that fill the table, but for the rows that pad it.
  const least = isPadded ? Math.ceil((rows - TABLE_MULTIPLE + 1) / tables) : rows / tables;
  const shares: number[] = [];
  for (let components = least; components <= rows / tables; components++) {
    const left = components - (hasBias ? 2 * biased + 2 : 0);
    const share = kinds === 0 ? left : left / (2 * Math.max(1, projections.length));
    if (Number.isInteger(components) && (kinds === 0 ? left === 0 : Number.isInteger(share) && share > 0))
      shares.push(share);
  }
  if (kinds > 1 || shares.length > 1 || !Number.isInteger(rows / (isPadded ? TABLE_MULTIPLE : tables)))
    throw shapes.unclear(
      `the ${rows} rows of its component embeddings for ${slots} slots can be shared among its generators in several ways`,
    );
  const [share] = shares;
  if (share === undefined)
    throw shapes.unclear(
      `a slot has ${Math.floor(rows / tables)} component embeddings, which its generators do not add up to`,
    );
  const rank = (projection: string): number => (projections.includes(projection) ? share : 0);
  return {
    adapter_size: hasBias ? biased : hasAdapter ? share : 0,
    adapter_bias: hasBias || !hasAdapter,
    prefix_length: hasPrefix ? share : 0,
    lora_ranks: ['q', 'k', 'v', 'o'].map(rank),
  };
}
