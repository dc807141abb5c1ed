import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { FloatDType, WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../config/config.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import { asFloat32 } from '../parameters/dtypes.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { COMPONENT_ATTENTION } from './generator-folding.js';
import type { Epilogue, GeneratorLayers, GeneratorWeights } from './weights.js';

/** All that inference reads, made from the parameters once. A model has one at a time. */
export abstract class InferenceWeights implements GeneratorWeights {
  abstract readonly computeDtype: FloatDType;
  /** What the engine was asked to hold matrices in. */
  abstract readonly dtype: WeightDType;
  /** What a kind of generated matrix is packed in; undefined where it is read as it is generated. */
  abstract moduleDType(name: AdaptationName): WeightDType | undefined;
  /** What a task holds prefixes and keys in until they are used, in {@link computeDtype}. */
  abstract readonly restingDType: FloatDType;
  /** What the hypernetwork reads, which may be more exact. */
  abstract readonly ofHypernetwork: GeneratorWeights;
  private readonly queries = new Map<AdaptationName, Tensor>();
  private changed = false;

  constructor(
    protected readonly device: Device,
    protected readonly config: ModelConfig,
    protected readonly parameters: ParameterStore,
  ) {
    parameters.watch(() => {
      this.changed = true;
    });
  }

  /** Enqueues the making of them all; to be run once, before anything reads them. */
  abstract make(): Sliced<void>;
  abstract table(name: string): Tensor;
  abstract multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor;
  abstract generator(name: AdaptationName): GeneratorLayers;

  /** False as soon as a parameter was changed. */
  get isCurrent(): boolean {
    return !this.changed;
  }

  get streamDtype(): FloatDType {
    return this.computeDtype;
  }

  norm(layer: string): Tensor {
    return this.parameters.get(`${layer}.weight`);
  }

  bias(layer: string): Tensor {
    return this.parameters.get(`${layer}.bias`);
  }

  gather(ids: Tensor, name: string, dtype = this.computeDtype): Tensor {
    return ops.embedding(ids, this.parameters.stored(name), { outputDType: dtype });
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

/** @throws HintError NOT_SUPPORTED for weights that the device has no products in */
export function checkWeightDType(device: Device, dtype: WeightDType): void {
  if (device.packsWeights || dtype !== 'int8') return;
  throw new HintError(
    'NOT_SUPPORTED',
    `Weights in int8 are for the CPU; ${device.kind} holds them in f32 or bf16: give one of these.`,
  );
}
