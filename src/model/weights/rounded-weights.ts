import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import { adaptationTable } from '../modules/adaptations.js';
import { isRounded } from '../parameters/dtypes.js';
import { foldsOutputProjection, generatorScale } from './generator-folding.js';
import { InferenceWeights } from './inference-weights.js';
import type { Epilogue, GeneratorLayers, GeneratorWeights } from './weights.js';

/**
 * Weights of inference in bf16 where the device reads them as they are, which is on CUDA. What is multiplied or looked
 * up is in bf16, and so are the rows it meets; norms, sums and logits are f32. Parameters that are held in bf16 are read
 * where they are, of the others a copy is made: once, here.
 */
export class RoundedWeights extends InferenceWeights {
  readonly dtype = 'bf16';
  readonly computeDtype = 'bf16';
  readonly restingDType = 'bf16';
  /** Per kind of module the first layer of its generator with the attention's output projection folded in. */
  private readonly folded = new Map<AdaptationName, Tensor>();

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
      this.folded.set(name, this.device.keep(this.fold(name)));
      yield;
    }
  }

  get ofHypernetwork(): GeneratorWeights {
    return this;
  }

  moduleDType(): undefined {
    return undefined;
  }

  table(name: string): Tensor {
    return isRounded(this.parameters.stored(name))
      ? this.parameters.as(name, 'bf16')
      : this.parameters.get(name);
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    return ops.linear(x, this.table(`${layer}.weight`), epilogue);
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

  override dispose(): void {
    super.dispose();
    this.parameters.releaseCopies();
    for (const tensor of this.folded.values()) tensor.dispose();
  }

  /** A generator's first layer with the output projection, rounded once. */
  private fold(name: AdaptationName): Tensor {
    return this.device.tidy(() => {
      const wi = this.parameters.stored(`hypernetwork.${name}.wi.weight`);
      return ops.cast(this.withOutputProjection(wi), 'bf16');
    });
  }
}
