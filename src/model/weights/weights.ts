import type { Activation, FloatDType } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptationName } from '../modules/adaptation-name.js';

/** What a product does to its result before storing it: activation(alpha * (x weightᵀ + bias)). */
export interface Epilogue {
  /** f32 [outputs]. */
  bias?: Tensor | undefined;
  activation?: Activation;
  alpha?: number;
  /** Absent: as the rows are stored. */
  outputDType?: FloatDType;
}

/**
 * The weights of a model as its layers read them. A `layer` names a map or a norm, whose tensors are LAYER.weight and
 * LAYER.bias; a `name` names a tensor. Whether the numbers are parameters that a tape watches, matrices packed for the CPU
 * or copies rounded for the GPU, and in which dtype, is the implementation's to decide.
 *
 * Every method throws HintError INVALID_CHECKPOINT when the model has no such tensor.
 */
export interface Weights {
  /** What rows are rounded to before products and attention read them; storage of keys and values. */
  readonly computeDtype: FloatDType;
  /** Storage of the rows that a residual stream starts from. */
  readonly streamDtype: FloatDType;
  /** The factors of a norm, f32 [width]. */
  norm(layer: string): Tensor;
  /** What is added behind a product or a norm, f32 [outputs]. */
  bias(layer: string): Tensor;
  /** A tensor that an op reads as a whole, in the dtype of the rows that it meets. */
  table(name: string): Tensor;
  /** Rows of a table by number, [ids, width], rounded from what is stored to `dtype`; absent: {@link computeDtype}. */
  gather(ids: Tensor, name: string, dtype?: FloatDType): Tensor;
  /** x [rows, inputs] times the transpose of a matrix [outputs, inputs]: [rows, outputs]. */
  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor;
}

/** {@link Weights} with what the generators of a hypernetwork read besides. */
export interface GeneratorWeights extends Weights {
  /**
   * The two layers of the MLP that generates a kind of module (method §2.5).
   *
   * @param rows that they are to read now
   */
  generator(name: AdaptationName, rows: number): GeneratorLayers;
  /**
   * The component embeddings of a kind as queries. They depend on nothing but weights (method §2.4): where these do not
   * change, `project` is called once.
   */
  componentQueries(name: AdaptationName, project: () => Tensor): Tensor;
}

/** The two layers of a module's generator. */
export interface GeneratorLayers {
  /** Whether {@link first} takes what the attention gathered, before its output projection. */
  readonly folded: boolean;
  first(z: Tensor, activation: Activation): Tensor;
  /** 1/√width included. */
  second(hidden: Tensor): Tensor;
}
