import { platformReport, type Device } from '../../tensor/device.js';
import { releasePages } from '../../tensor/mapped-file.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../config/config.js';
import { headOf } from '../config/variant.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import { adaptationTable } from '../modules/adaptations.js';
import { asFloat32, isRounded } from '../parameters/dtypes.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { COMPONENT_ATTENTION, foldsOutputProjection, generatorScale } from './generator-folding.js';
import { InferenceWeights } from './inference-weights.js';
import type { Epilogue, GeneratorLayers, GeneratorWeights } from './weights.js';

/** How the two layers of a module's generator are held. */
interface PackedGenerator {
  /** `wi`, with the component attention's output projection folded in where nothing lies between the two. */
  readonly first: ops.PackedMatrix;
  readonly folded: boolean;
  /** `wo`, 1/√width included. */
  readonly second: ops.PackedMatrix;
}

/**
 * Weights as inference reads them on the CPU: matrices in the machine's order, so that a step of few rows is not spent
 * on rearranging them; products of weights alone multiplied out (method §2.4, "free optimisations").
 */
export class PackedWeights extends InferenceWeights {
  /** bf16 where matrices are narrower than f32 and the processor multiplies bf16: half the bytes move between ops. */
  readonly computeDtype: ops.FloatDType;
  readonly ofHypernetwork: GeneratorWeights;
  private readonly packed = new Map<string, ops.PackedMatrix>();
  /** Of quantised matrices, what the hypernetwork reads instead. */
  private readonly exact = new Map<string, ops.PackedMatrix>();
  private readonly generators = new Map<AdaptationName, PackedGenerator>();

  constructor(
    device: Device,
    config: ModelConfig,
    parameters: ParameterStore,
    /** What matrices are held in; see {@link dtypeOf} for what is never quantised. */
    readonly dtype: ops.WeightDType,
  ) {
    super(device, config, parameters);
    this.computeDtype = dtype !== 'f32' && platformReport().products.inferenceBf16 ? 'bf16' : 'f32';
    this.ofHypernetwork = dtype === 'int8' ? new ExactWeights(this) : this;
  }

  override get streamDtype(): ops.FloatDType {
    return 'f32';
  }

  make(): Sliced<void> {
    return this.device.tidied(this.packAll());
  }

  private *packAll(): Sliced<void> {
    for (const [name, weight] of this.parameters.storedEntries()) {
      if (isMatrix(name, this.config))
        this.packed.set(
          name,
          this.packOne(weight, () => weight, this.dtypeOf(name)),
        );
      // What attention reads is rounded now, so that the first answer takes no more memory than the next.
      else if (this.computeDtype === 'bf16' && name.endsWith('.relative_attention_bias.weight'))
        this.table(name);
      yield;
    }
    yield* this.packGenerators();
  }

  table(name: string): Tensor {
    const { parameters, computeDtype } = this;
    const stored = parameters.stored(name);
    if (!isRounded(stored)) return parameters.get(name);
    // A copy of the head, which only losses read as a table, would be as large as its packed matrix.
    const isKept = computeDtype === 'bf16' && name === `${headOf(this.config)}.weight`;
    return isKept ? stored : parameters.as(name, computeDtype);
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    const name = `${layer}.weight`;
    return this.product(x, name, this.packed.get(name), epilogue);
  }

  /** {@link multiply} by nothing quantised. */
  multiplyExactly(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    const name = `${layer}.weight`;
    return this.product(x, name, this.exactMatrix(name), epilogue);
  }

  /** A product with the packed matrix where there is one; packed kernels know no factor. */
  private product(
    x: Tensor,
    name: string,
    matrix: ops.PackedMatrix | undefined,
    epilogue: Epilogue = {},
  ): Tensor {
    if (!matrix || epilogue.alpha !== undefined) {
      const { parameters } = this;
      return ops.linear(
        x,
        x.dtype === 'bf16' ? parameters.as(name, 'bf16') : parameters.lend(name),
        epilogue,
      );
    }
    const { bias, activation, outputDType = addsToStream(name) ? this.streamDtype : undefined } = epilogue;
    return ops.packedLinear(x, matrix, { bias, outputDType, ...(activation ? { activation } : {}) });
  }

  generator(name: AdaptationName): GeneratorLayers {
    const generator = this.generators.get(name);
    if (!generator) throw new HintError('INTERNAL', `The generator of ${name} was not packed.`);
    const { first, second, folded } = generator;
    return {
      folded,
      first: (z, activation) => ops.packedLinear(z, first, { activation }),
      second: (hidden) => ops.packedLinear(hidden, second),
    };
  }

  private exactMatrix(name: string): ops.PackedMatrix | undefined {
    const stored = this.parameters.stored(name);
    const isReadInPlace = stored.dtype === 'f32' && this.computeDtype === 'f32';
    if (!this.packed.has(name) || isReadInPlace) return undefined;
    const dtype = exactDType(this.dtype);
    if (this.dtypeOf(name) === dtype) return this.packed.get(name);
    let matrix = this.exact.get(name);
    if (!matrix) {
      matrix = this.packOne(stored, () => stored, dtype);
      this.exact.set(name, matrix);
    }
    return matrix;
  }

  override dispose(): void {
    super.dispose();
    this.parameters.releaseCopies();
    const matrices = [...this.generators.values()].flatMap(({ first, second }) => [first, second]);
    for (const matrix of [...this.packed.values(), ...this.exact.values(), ...matrices])
      for (const tensor of ops.packedTensors(matrix)) tensor.dispose();
  }

  private *packGenerators(): Sliced<void> {
    const { config } = this;
    const { hint } = config;
    if (!hint || hint.generator === 'static') return;
    const folded = foldsOutputProjection(hint);
    for (const { name } of adaptationTable(config)) {
      const [wi, wo] = (['wi', 'wo'] as const).map((which) =>
        this.parameters.stored(`hypernetwork.${name}.${which}.weight`),
      ) as [Tensor, Tensor];
      const factor = generatorScale(config);
      this.generators.set(name, {
        first: this.packOne(wi, () => (folded ? this.withOutputProjection(wi) : wi), exactDType(this.dtype)),
        folded,
        second: this.packOne(wo, () => ops.scale(asFloat32(wo), factor), exactDType(this.dtype)),
      });
      yield;
    }
  }

  /** Packs what `make` makes of a parameter, whose place in its file is not needed from then on. */
  private packOne(parameter: Tensor, make: () => Tensor, dtype: ops.WeightDType): ops.PackedMatrix {
    const matrix = this.device.tidy(() => {
      const packed = ops.packWeight(make(), dtype);
      for (const tensor of ops.packedTensors(packed)) this.device.keep(tensor);
      return packed;
    });
    releasePages(parameter);
    return matrix;
  }

  moduleDType(name: AdaptationName): ops.WeightDType {
    return moduleDType(name, this.dtype);
  }

  get restingDType(): ops.FloatDType {
    return restingDTypeOf(this.dtype);
  }

  private dtypeOf(name: string): ops.WeightDType {
    return matrixDType(name, this.dtype);
  }
}

/**
 * What the hypernetwork reads of quantised weights: the same, but nothing quantised. It runs once a task, and its errors
 * would be every input's. Quantised matrices are packed in bf16, too, when the first task is compiled. Where the processor
 * has no products in bf16, those that are stored in f32 are read where they are.
 */
class ExactWeights implements GeneratorWeights {
  constructor(private readonly packed: PackedWeights) {}

  get computeDtype(): ops.FloatDType {
    return this.packed.computeDtype;
  }

  get streamDtype(): ops.FloatDType {
    return this.packed.streamDtype;
  }

  norm(layer: string): Tensor {
    return this.packed.norm(layer);
  }

  bias(layer: string): Tensor {
    return this.packed.bias(layer);
  }

  table(name: string): Tensor {
    return this.packed.table(name);
  }

  gather(ids: Tensor, name: string, dtype?: ops.FloatDType): Tensor {
    return this.packed.gather(ids, name, dtype);
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    return this.packed.multiplyExactly(x, layer, epilogue);
  }

  generator(name: AdaptationName): GeneratorLayers {
    return this.packed.generator(name);
  }

  componentQueries(name: AdaptationName, project: () => Tensor): Tensor {
    return this.packed.componentQueries(name, project);
  }
}

/** Whether a matrix makes what a block adds to the residual stream, which is not rounded on its way there. */
function addsToStream(name: string): boolean {
  return /\.block\.\d+\.layer\.\d+\.\w+\.(o|wo)\.weight$/.test(name);
}

/** What the hypernetwork's own matrices are packed in, and all that an engine of `dtype` does not quantise. */
export function exactDType(dtype: ops.WeightDType): ops.WeightDType {
  return dtype === 'int8' ? 'bf16' : dtype;
}

/**
 * What a matrix is packed in by an engine of `dtype`. int8 is for the encoder, where the work is, and for the keys and
 * values made of its output: a decoder whose every step is off by a percent soon says something else.
 */
export function matrixDType(name: string, dtype: ops.WeightDType): ops.WeightDType {
  const quantizable = name.startsWith('encoder.') || /\.EncDecAttention\.[kv]\./.test(name);
  return quantizable ? dtype : exactDType(dtype);
}

/** What a kind of generated matrix is packed in by an engine of `dtype`. LoRA's few columns are not worth 8 bits. */
export function moduleDType(name: AdaptationName, dtype: ops.WeightDType): ops.WeightDType {
  return name.startsWith('adapter') ? dtype : exactDType(dtype);
}

/** What tasks of an engine of `dtype` keep prefixes and keys in. */
export function restingDTypeOf(dtype: ops.WeightDType): ops.FloatDType {
  return dtype === 'f32' ? 'f32' : 'bf16';
}

/** What `linear` multiplies by: not norms, generators, which are packed in a form of their own, or tables but a tied head's. */
export function isMatrix(name: string, config: ModelConfig): boolean {
  return (
    name === `${headOf(config)}.weight` ||
    /\.(SelfAttention|EncDecAttention|DenseReluDense)\.(q|k|v|o|wi|wi_0|wi_1|wo)\.weight$/.test(name) ||
    (name.startsWith(`${COMPONENT_ATTENTION}.`) && name.endsWith('.weight'))
  );
}
