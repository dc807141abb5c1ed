import type { Device } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { Sliced } from '../tensor/slices.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ModelConfig } from './config.js';
import {
  COMPONENT_ATTENTION,
  foldsOutputProjection,
  generatorScale,
  type GeneratorLayers,
  type InferenceWeights,
  type WeightReader,
} from './inference-weights.js';
import { adaptationTable, type AdaptationName } from './parameter-shapes.js';
import { asFloat32, isRounded, type Parameters } from './parameters.js';

/**
 * Weights of inference in bf16 where the device reads them as they are, which is on CUDA. What is multiplied or looked
 * up is in bf16, and so are the rows it meets; norms, sums and logits are f32. Parameters that are held in bf16 are read
 * where they are, of the others a copy is made: once, here.
 */
export class RoundedWeights implements InferenceWeights {
  readonly dtype = 'bf16';
  readonly computeDtype = 'bf16';
  readonly moduleDType = undefined;
  /** Per kind of module the first layer of its generator with the attention's output projection folded in. */
  private readonly folded = new Map<AdaptationName, Tensor>();
  private readonly queries = new Map<AdaptationName, Tensor>();
  private changed = false;

  constructor(
    private readonly device: Device,
    private readonly config: ModelConfig,
    private readonly parameters: Parameters,
  ) {
    parameters.watch(() => {
      this.changed = true;
    });
  }

  make(): Sliced<void> {
    return this.device.tidied(this.makeAll());
  }

  private *makeAll(): Sliced<void> {
    for (const name of this.parameters.names()) {
      this.table(name);
      yield;
    }
    const { hint } = this.config;
    if (!hint || !foldsOutputProjection(hint)) return;
    for (const { name } of adaptationTable(this.config)) {
      this.folded.set(name, this.device.keep(this.withOutputProjection(name)));
      yield;
    }
  }

  get isCurrent(): boolean {
    return !this.changed;
  }

  get ofHypernetwork(): WeightReader {
    return this;
  }

  matrix(): undefined {
    return undefined;
  }

  table(name: string): Tensor {
    return isRounded(this.parameters.stored(name))
      ? this.parameters.as(name, 'bf16')
      : this.parameters.get(name);
  }

  generator(name: AdaptationName): GeneratorLayers {
    const folded = this.folded.get(name);
    const [wi, wo] = (['wi', 'wo'] as const).map((which) =>
      this.table(`hypernetwork.${name}.${which}.weight`),
    ) as [Tensor, Tensor];
    return {
      folded: folded !== undefined,
      first: (z, activation) => ops.linear(z, folded ?? wi, { activation }),
      second: (hidden) => ops.linear(hidden, wo, { alpha: generatorScale(this.config) }),
    };
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
    this.parameters.releaseCopies();
    for (const tensor of [...this.folded.values(), ...this.queries.values()]) tensor.dispose();
  }

  /** wi · o, so that wi (o a) is one product, rounded once. */
  private withOutputProjection(name: AdaptationName): Tensor {
    return this.device.tidy(() => {
      const [wi, o] = [`hypernetwork.${name}.wi.weight`, `${COMPONENT_ATTENTION}.o.weight`].map((parameter) =>
        asFloat32(this.parameters.stored(parameter)),
      ) as [Tensor, Tensor];
      return ops.cast(ops.groupedLinear(wi, o.reshape([1, 1, ...o.shape])), 'bf16');
    });
  }
}
