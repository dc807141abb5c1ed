import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
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
  /** @param scale of what a generator's second layer makes */
  constructor(
    parameters: ParameterStore,
    private readonly scale: number,
  ) {
    super(parameters);
  }

  generator(name: AdaptationName): GeneratorLayers {
    const layer = `hypernetwork.${name}`;
    return {
      folded: false,
      first: (z, activation) => this.multiply(z, `${layer}.wi`, { activation }),
      second: (hidden) => this.multiply(hidden, `${layer}.wo`, { alpha: this.scale }),
    };
  }

  componentQueries(_name: AdaptationName, project: () => Tensor): Tensor {
    return project();
  }
}
