import type { FloatDType } from '../../tensor/ops.js';
import type { HintConfig, ModelConfig } from '../config/config.js';
import { feedForwardMatrices } from '../config/variant.js';
import { foldsWhileTraining } from '../weights/generator-folding.js';
import { attentionWidth, generatorWidth, sizeOf, type Adaptation } from '../modules/adaptations.js';

const F32 = 4;

/** Bytes the caching allocator hands out for a tensor: eight sizes per power of two. */
export function allocatedBytes(bytes: number): number {
  if (bytes <= 0) return 0;
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(5, Math.ceil(Math.log2(bytes / 16)));
  return Math.ceil(bytes / step) * step;
}

/** Sizes of the tensors of one model and dtype. */
export class Sizes {
  readonly d: number;
  readonly width: number;
  readonly ff: number;
  readonly heads: number;
  readonly value: number;
  readonly adapter: number;
  readonly hasPrefix: boolean;

  constructor(
    readonly config: ModelConfig,
    dtype: FloatDType,
    readonly hint: HintConfig | undefined = config.hint,
  ) {
    this.d = config.dModel;
    this.width = attentionWidth(config);
    this.ff = config.dFf;
    this.heads = config.numHeads;
    this.value = dtype === 'bf16' ? 2 : F32;
    this.adapter = hint?.adapterSize ?? 0;
    this.hasPrefix = (hint?.prefixLength ?? 0) > 0;
  }

  /** Activations [rows, columns]. */
  of(rows: number, columns: number): number {
    return allocatedBytes(rows * columns * this.value);
  }

  /** The residual stream and what is f32 like it. */
  wide(rows: number, columns = this.d): number {
    return allocatedBytes(rows * columns * F32);
  }

  /** Hidden units of a feed-forward block: what its activation reads, and what comes of it. */
  hidden(rows: number): number {
    return feedForwardMatrices(this.config) * this.of(rows, this.ff);
  }

  /** Residual stream, its norm, and the norm's factors. */
  norm(rows: number): number {
    return this.wide(rows) + this.of(rows, this.d) + this.wide(rows, 1);
  }
}

/** Rows that a decoder layer reads besides its own. */
export interface Read {
  readonly input: number;
  /** Fused instructions; else 0. */
  readonly instruction: number;
}

/** What a layer keeps. `sites`: what reads generated modules runs again by itself. */
export class LayerBytes {
  constructor(
    private readonly sizes: Sizes,
    private readonly hint: HintConfig | undefined,
    private readonly sites: boolean,
  ) {}

  encoder(rows: number): number {
    return this.selfAttention(rows) + this.feedForward(rows);
  }

  decoder(rows: number, { input, instruction }: Read): number {
    const { sizes } = this;
    const { width } = sizes;
    const keys = 2 * (sizes.of(input, width) + sizes.of(instruction, width));
    const own = sizes.norm(rows) + 2 * sizes.of(rows, width) + this.logSumExp(rows);
    const lora =
      this.lora(rows, ['q', 'o']) + this.lora(input, ['k', 'v']) + this.lora(instruction, ['k', 'v']);
    return this.selfAttention(rows) + own + keys + lora + this.feedForward(rows);
  }

  private selfAttention(rows: number): number {
    const { sizes } = this;
    return (
      sizes.norm(rows) +
      4 * sizes.of(rows, sizes.width) +
      this.logSumExp(rows) +
      this.lora(rows, ['q', 'k', 'v', 'o'])
    );
  }

  private logSumExp(rows: number): number {
    return this.sites && this.hint && this.sizes.hasPrefix ? 0 : this.sizes.wide(rows, this.sizes.heads);
  }

  feedForward(rows: number): number {
    const { sizes } = this;
    const a = this.hint ? sizes.adapter : 0;
    const adapter = a === 0 ? 0 : this.sites ? sizes.of(rows, sizes.d) : 2 * sizes.of(rows, a);
    return sizes.norm(rows) + sizes.hidden(rows) + adapter;
  }

  /** The low-rank rows, or, where these are made again, the product that they are added to. */
  private lora(rows: number, projections: readonly ('q' | 'k' | 'v' | 'o')[]): number {
    const { sizes } = this;
    return projections.reduce((sum, projection) => {
      const rank = this.hint?.loraRanks[projection] ?? 0;
      if (rank === 0) return sum;
      return sum + sizes.of(rows, this.sites ? (projection === 'o' ? sizes.d : sizes.width) : rank);
    }, 0);
  }
}

/** Modules of one kind for some slots of all tasks, and what making them keeps. */
export interface Generated {
  readonly modules: number;
  readonly activations: number;
  /** Gradients while the generator runs backward, those of the modules aside. */
  readonly passing: number;
}

/** @param given distinct tasks */
export function generatedMemory(
  sizes: Sizes,
  hint: HintConfig,
  adaptation: Adaptation,
  slots: number,
  given: number,
): Generated {
  const { config, d, width } = sizes;
  const { generator } = hint;
  const tasks = generator === 'embedding' ? 1 : given;
  const modules = sizes.of(tasks * slots, sizeOf(adaptation.shape));
  if (generator === 'static' || tasks === 0) return { modules: 0, activations: 0, passing: 0 };
  // Rows of the embedding table, and what is computed from them for every task.
  const side = hint.perLayerGenerators ? hint.embeddingSlots || 1 : 1;
  const own = generator === 'hypter' ? 1 : (hint.perLayerGenerators ? side : slots) * adaptation.components;
  const rows = tasks * own;
  const generated = rows / side;
  let activations = 0;
  let passing = 0;
  if (generator === 'cross_attention') {
    activations += sizes.of(own, d) + sizes.of(own, width) + sizes.of(rows, width);
    activations += sizes.wide(rows, sizes.heads);
    passing += sizes.of(rows, width);
  } else if (generator === 'decoder') {
    const layer =
      2 * sizes.norm(rows) + 2 * sizes.of(rows, width) + sizes.wide(rows, sizes.heads) + sizes.hidden(rows);
    activations += config.numDecoderLayers * layer + sizes.norm(rows) - sizes.of(rows, d);
    passing += sizes.hidden(rows) + sizes.wide(rows);
  }
  // Where the output projection is multiplied into the generator, nothing lies between it and the attention.
  const z = foldsWhileTraining(config, generated) ? 0 : generatorWidth(config);
  activations += sizes.of(generated, z) * (hint.generatorLayerNorm ? 2 : 1) + 2 * sizes.of(generated, d);
  passing += sizes.of(generated, z) + sizes.of(generated, d);
  return { modules, activations, passing };
}
