import type { Device } from '../../tensor/device.js';
import type { FloatDType, WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelConfig } from '../config/config.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { checkWeightDType, type InferenceWeights } from './inference-weights.js';
import { PackedWeights } from './packed-weights.js';
import { RoundedWeights } from './rounded-weights.js';
import { GeneratorTrainingWeights } from './training-weights.js';
import type { Epilogue, GeneratorLayers, GeneratorWeights, Weights } from './weights.js';

/**
 * The weights of one model: the parameters, and beside them what inference has made of them. This is the one place that
 * decides which of the two is read: the parameters while a tape records and after one of them has changed.
 */
export class ModelWeights {
  /** What encoder and decoder read. */
  readonly ofModel: Weights;
  /** What the hypernetwork reads, its use of the encoder included. */
  readonly ofHypernetwork: GeneratorWeights;
  private made: InferenceWeights | undefined;
  private preparing: Promise<void> | undefined;

  constructor(
    private readonly device: Device,
    private readonly config: ModelConfig,
    private readonly parameters: ParameterStore,
  ) {
    const training = new GeneratorTrainingWeights(parameters, config);
    this.ofModel = new ChosenWeights(() => this.reading ?? training);
    this.ofHypernetwork = new ChosenWeights(() => this.reading?.ofHypernetwork ?? training);
  }

  /** What inference has made, if no parameter has changed since. */
  get inference(): InferenceWeights | undefined {
    return this.made?.isCurrent ? this.made : undefined;
  }

  private get reading(): InferenceWeights | undefined {
    return this.device.tape ? undefined : this.inference;
  }

  /**
   * Makes the weights of inference unless they are there and current. Resolves when all is enqueued, which is done in
   * slices; does nothing where the device reads f32 weights as they are.
   *
   * @param dtype what matrices are held in
   * @throws HintError NOT_SUPPORTED for a dtype that the device has no products in
   */
  async prepare(dtype: WeightDType): Promise<void> {
    checkWeightDType(this.device, dtype);
    if (!this.device.packsWeights && dtype === 'f32') {
      this.release();
      return;
    }
    if (this.inference?.dtype === dtype) return;
    // Callers that come while they are being made share one making.
    this.preparing ??= this.device.inSlices(this.make(dtype)).finally(() => {
      this.preparing = undefined;
    });
    await this.preparing;
  }

  /** Gives the memory of {@link prepare} back. */
  release(): void {
    this.made?.dispose();
    this.made = undefined;
  }

  private *make(dtype: WeightDType): Sliced<void> {
    this.release();
    const { device, config, parameters } = this;
    const weights = device.packsWeights
      ? new PackedWeights(device, config, parameters, dtype)
      : new RoundedWeights(device, config, parameters);
    try {
      yield* weights.make();
    } catch (error) {
      weights.dispose();
      throw error;
    }
    this.made = weights;
  }
}

/** Asks for each weight anew whose it is, so that weights may be made or given back between two layers. */
class ChosenWeights implements GeneratorWeights {
  constructor(private readonly choose: () => GeneratorWeights) {}

  get computeDtype(): FloatDType {
    return this.choose().computeDtype;
  }

  get streamDtype(): FloatDType {
    return this.choose().streamDtype;
  }

  norm(layer: string): Tensor {
    return this.choose().norm(layer);
  }

  bias(layer: string): Tensor {
    return this.choose().bias(layer);
  }

  table(name: string): Tensor {
    return this.choose().table(name);
  }

  gather(ids: Tensor, name: string, dtype?: FloatDType): Tensor {
    return this.choose().gather(ids, name, dtype);
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    return this.choose().multiply(x, layer, epilogue);
  }

  generator(name: AdaptationName, rows: number): GeneratorLayers {
    return this.choose().generator(name, rows);
  }

  componentQueries(name: AdaptationName, project: () => Tensor): Tensor {
    return this.choose().componentQueries(name, project);
  }
}
