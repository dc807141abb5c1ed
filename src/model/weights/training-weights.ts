import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import type { ModelConfig } from '../config/config.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { COMPONENT_ATTENTION, foldsWhileTraining, generatorScale } from './generator-folding.js';
import type { Epilogue, GeneratorLayers, GeneratorWeights, Weights } from './weights.js';

/**
 * The parameters themselves, whose gradients a tape records: what training reads, and inference until it has made weights
 * of its own.
 */
export class TrainingWeights implements Weights {
  /** Training adds up from unrounded rows. */
  readonly streamDtype = 'f32';

  constructor(private readonly parameters: ParameterStore) {}

  get computeDtype(): ops.FloatDType {
    return this.parameters.computeDtype;
  }

  norm(layer: string): Tensor {
    return this.parameters.get(`${layer}.weight`);
  }

  bias(layer: string): Tensor {
    return this.parameters.get(`${layer}.bias`);
  }

  table(name: string): Tensor {
    return this.parameters.as(name, this.computeDtype);
  }

  gather(ids: Tensor, name: string, dtype = this.computeDtype): Tensor {
    return ops.embedding(ids, this.parameters.stored(name), { outputDType: dtype });
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    return ops.linear(x, this.matrix(`${layer}.weight`), epilogue);
  }

  /** {@link table} of what is too large to stay widened where it is stored in bf16 and not trained. */
  protected matrix(name: string): Tensor {
    return this.computeDtype === 'f32' ? this.parameters.lend(name) : this.table(name);
  }
}

/** {@link TrainingWeights} of a model with a hypernetwork. */
export class GeneratorTrainingWeights extends TrainingWeights implements GeneratorWeights {
  constructor(
    parameters: ParameterStore,
    private readonly config: ModelConfig,
  ) {
    super(parameters);
  }

  generator(name: AdaptationName, rows: number): GeneratorLayers {
    const layer = `hypernetwork.${name}`;
    const alpha = generatorScale(this.config);
    const folded = foldsWhileTraining(this.config, rows)
      ? this.withOutputProjection(`${layer}.wi.weight`)
      : undefined;
    return {
      folded: folded !== undefined,
      first: (z, activation) =>
        folded ? ops.linear(z, folded, { activation }) : this.multiply(z, `${layer}.wi`, { activation }),
      second: (hidden) => this.multiply(hidden, `${layer}.wo`, { alpha }),
    };
  }

  /** wi · o, so that wi (o a) is one product, whose gradient reaches both. */
  private withOutputProjection(wi: string): Tensor {
    const o = this.matrix(`${COMPONENT_ATTENTION}.o.weight`);
    return ops.groupedLinear(this.matrix(wi), o.reshape([1, 1, ...o.shape]));
  }

  componentQueries(_name: AdaptationName, project: () => Tensor): Tensor {
    return project();
  }
}
