import { HintError } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Activation, FloatDType, PackedMatrix, WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { HintConfig, ModelConfig } from '../config/config.js';
import { generatorWidth, type AdaptationName } from '../parameters/parameter-shapes.js';
import { asFloat32, type Parameters } from '../parameters/parameter-store.js';

/** The one cross-attention of the component embeddings (method §2.4). */
export const COMPONENT_ATTENTION = 'hypernetwork.attention';

/** What a part of the model reads in inference instead of parameters. */
export interface WeightReader {
  /** False as soon as a parameter was changed. */
  readonly isCurrent: boolean;
  /** What rows are rounded to before products and attention read them; storage of keys, values and modules. */
  readonly computeDtype: FloatDType;
  /** A parameter whose name ends in `.weight`, packed; undefined for one that is read as {@link table}. */
  matrix(name: string): PackedMatrix | undefined;
  /** A parameter in the dtype of the rows that are computed with it. */
  table(name: string): Tensor;
  /** Undefined where a generator's parameters are read as they are. */
  generator(name: AdaptationName): GeneratorLayers | undefined;
  /** The component queries of a kind of module, which depend on nothing but weights: made by `project` once. */
  componentQueries(name: AdaptationName, project: () => Tensor): Tensor;
}

/** The two layers of a module's generator as inference computes them. */
export interface GeneratorLayers {
  /** Whether {@link first} takes what the attention gathered, before its output projection. */
  readonly folded: boolean;
  first(z: Tensor, activation: Activation): Tensor;
  /** 1/√width included. */
  second(hidden: Tensor): Tensor;
}

/** All that inference reads, made from the parameters once. A model has one at a time. */
export interface InferenceWeights extends WeightReader {
  /** What the engine was asked to hold matrices in. */
  readonly dtype: WeightDType;
  /** What generated modules are packed in; undefined where they are read as they are generated. */
  readonly moduleDType: WeightDType | undefined;
  /** What the hypernetwork reads, which may be more exact. */
  readonly ofHypernetwork: WeightReader;
  /** Enqueues the making of them all; to be run once, before anything reads them. */
  make(): Sliced<void>;
  dispose(): void;
}

/** What both ways of making {@link InferenceWeights} do alike. */
export abstract class MadeWeights {
  private readonly queries = new Map<AdaptationName, Tensor>();
  private changed = false;

  constructor(
    protected readonly device: Device,
    protected readonly config: ModelConfig,
    protected readonly parameters: Parameters,
  ) {
    parameters.watch(() => {
      this.changed = true;
    });
  }

  get isCurrent(): boolean {
    return !this.changed;
  }

  componentQueries(name: AdaptationName, project: () => Tensor): Tensor {
    let queries = this.queries.get(name);
    if (!queries) {
      queries = this.device.keep(this.device.tidy(project));
      this.queries.set(name, queries);
    }
    return queries;
  }

  dispose(): void {
    this.parameters.watch(undefined);
    for (const queries of this.queries.values()) queries.dispose();
  }

  /** wi · o in f32, so that wi (o a) is one product. */
  protected withOutputProjection(wi: Tensor): Tensor {
    const o = this.parameters.lend(`${COMPONENT_ATTENTION}.o.weight`);
    return ops.groupedLinear(asFloat32(wi), o.reshape([1, 1, ...o.shape]));
  }
}

/** Whether the component attention's output projection can be multiplied into the generators: nothing lies between. */
export function foldsOutputProjection(hint: HintConfig): boolean {
  return hint.generator === 'cross_attention' && !hint.generatorLayerNorm && !hint.perLayerGenerators;
}

/** What a generator's second layer is multiplied by (method §2.5). */
export function generatorScale(config: ModelConfig): number {
  return 1 / Math.sqrt(generatorWidth(config));
}

/** @throws HintError NOT_SUPPORTED for weights that the device has no products in */
export function checkWeightDType(device: Device, dtype: WeightDType): void {
  if (device.packsWeights || dtype !== 'int8') return;
  throw new HintError(
    'NOT_SUPPORTED',
    `Weights in int8 are for the CPU; ${device.kind} holds them in f32 or bf16: give one of these.`,
  );
}
