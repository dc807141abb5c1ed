import { objectOf, outputOf, run } from './run-op.js';
import { tensorOf, type Tensor } from './tensor.js';

export * from './decoding-ops.js';
export * from './optimizer-ops.js';

/**
 * The typed face of every native op: names and types for what `native/ops/<op>/<op>.cc` declares. Shapes are checked
 * there; all errors are HintError. Sequences are never padded: a batch is rows plus offsets.
 */

/** `gelu` is the tanh approximation, `gelu_erf` the exact function. */
export type Activation = 'none' | 'gelu' | 'gelu_erf' | 'silu' | 'tanh' | 'relu';

/** A place where dropout happens: the same (seed, site) draws the same mask, forward, backward and recomputed. */
export interface DropoutSite {
  /** Probability with which a unit is dropped, from 0 to below 1. */
  rate: number;
  /** Integer below 2^53; changes every step. */
  seed: number;
  /** Tells the places of one model apart. */
  site: number;
}

/** Undefined where nothing is dropped. */
function activeSite(dropout: DropoutSite | undefined): DropoutSite | undefined {
  return dropout === undefined || objectOf(dropout, 'dropout').rate === 0 ? undefined : dropout;
}

// Attributes below are written out by name: joining objects costs more than the call. What an op does not know is in
// `others`, and is refused.

/** Whether values for a backward pass have to be kept: only while a tape records. */
function training(x: Tensor): boolean {
  return tensorOf(x, 'x').device.tape !== undefined;
}

/**
 * Storage of activations and of the weights they are multiplied with, which is one and the same within an op; sums,
 * norms and losses are computed in f32.
 */
export type FloatDType = 'f32' | 'bf16';

/**
 * activation(alpha * (x weightᵀ + bias)). x [rows, dIn], weight [dOut, dIn], bias f32 [dOut] → [rows, dOut], stored as
 * x unless `outputDType` says otherwise.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  options: {
    bias?: Tensor | undefined;
    activation?: Activation;
    alpha?: number;
    outputDType?: FloatDType;
  } = {},
): Tensor {
  const { bias, activation, alpha, outputDType, ...others } = objectOf(options, 'options');
  const attributes = { activation, alpha, outputDType, training: training(x), ...others };
  return outputOf(run('linear', { x, weight, bias }, attributes), 'y');
}

/** What {@link groupedLinear} multiplies, adds and applies, beside x and the weights. */
export interface GroupedLinearOptions {
  /** Offsets of each group's rows, groups + 1 entries; absent: one group has all rows. */
  rowOffsets?: Int32Array | undefined;
  /** Which slot of the weights. */
  slot?: number;
  /** [groups, slots, dOut]. */
  bias?: Tensor | undefined;
  /** Added to the result. */
  residual?: Tensor | undefined;
  /** Of the product and the bias (default: none). */
  activation?: Activation;
  /** Factor of x (default 1). */
  alpha?: number;
}

/**
 * residual + activation(alpha * x weight[group, slot] + bias). weight [groups, slots, dIn, dOut], as generated; stored as
 * x unless `outputDType` says otherwise.
 */
export function groupedLinear(
  x: Tensor,
  weight: Tensor,
  options: GroupedLinearOptions & { outputDType?: FloatDType | undefined } = {},
): Tensor {
  const { bias, residual, rowOffsets, slot, activation, alpha, outputDType, ...others } = objectOf(
    options,
    'options',
  );
  const attributes = { rowOffsets, slot, activation, alpha, outputDType, training: training(x), ...others };
  return outputOf(run('grouped_linear', { x, weight, bias, residual }, attributes), 'y');
}

/** A matrix in the order in which this machine's kernels read it; see {@link packWeight}. */
export interface PackedMatrix {
  /** [groups, slots, values]. */
  readonly tensor: Tensor;
  /** Columns of the result. */
  readonly dOut: number;
  /** i8 only, [groups, slots, dOut] each. */
  readonly scale?: Tensor | undefined;
  /** What is taken off for the zero point of quantised rows. */
  readonly columnSum?: Tensor | undefined;
  /** i8 only, [groups, slots, dIn]: what rows are multiplied by before they are quantised; see native/math/quantize.h. */
  readonly rowFactor?: Tensor | undefined;
}

/** What packed weights are held in. int8: a scale per column, and rows quantised as they come. */
export type WeightDType = 'f32' | 'bf16' | 'int8';

/**
 * Weights for {@link packedLinear}: [dOut, dIn] as `linear` takes them, or [groups, slots, dIn, dOut] as `groupedLinear`
 * does. Only this process on this machine can read them. With `finite`, values that are no finite numbers make reading
 * the result fail with NUMERIC.
 */
export function packWeight(
  weight: Tensor,
  dtype: WeightDType = 'f32',
  options: { finite?: boolean } = {},
): PackedMatrix {
  const plain = tensorOf(weight, 'weight').shape.length === 2;
  const matrices = plain ? weight.reshape([1, 1, ...weight.shape]) : weight;
  const outputs = run(
    'pack_weight',
    { weight: matrices },
    { transposed: plain, dtype: dtype === 'int8' ? 'i8' : dtype, ...options },
  );
  const dOut = weight.shape[plain ? 0 : 3] as number;
  return {
    tensor: outputOf(outputs, 'packed'),
    dOut,
    scale: outputs.find('scale'),
    columnSum: outputs.find('columnSum'),
    rowFactor: outputs.find('rowFactor'),
  };
}

/** Every tensor of a packed matrix. */
export function packedTensors({ tensor, scale, columnSum, rowFactor }: PackedMatrix): Tensor[] {
  return [tensor, scale, columnSum, rowFactor].filter((part) => part !== undefined);
}

/** residual + activation(x W[group, slot] + bias): linear and groupedLinear of inference. It has no gradient. */
export function packedLinear(
  x: Tensor,
  matrix: PackedMatrix,
  options: Omit<GroupedLinearOptions, 'alpha'> & { outputDType?: FloatDType | undefined } = {},
): Tensor {
  const { tensor, dOut, scale, columnSum, rowFactor } = objectOf(matrix, 'matrix');
  const { bias, residual, ...attributes } = objectOf(options, 'options');
  const inputs = { x, packed: tensor, scale, columnSum, bias, residual, rowFactor };
  return outputOf(run('packed_linear', inputs, { ...attributes, dOut }), 'y');
}

/**
 * RMS norm: weight * x / sqrt(mean(x²) + epsilon), no mean subtraction (method §1.1). weight is f32; the result is stored
 * as x unless `outputDType` says otherwise.
 */
export function rmsNorm(
  x: Tensor,
  weight: Tensor,
  epsilon: number,
  options: { outputDType?: FloatDType } = {},
): Tensor {
  return outputOf(run('rms_norm', { x, weight }, { epsilon, ...options }), 'y');
}

/**
 * The residual add of one block and the norm of the next in one pass: sum = x + dropout(delta), which is f32 whatever
 * x and delta are, y = norm(sum).
 */
export function addRmsNorm(
  x: Tensor,
  delta: Tensor,
  weight: Tensor,
  epsilon: number,
  options: { seqOffsets?: Int32Array; dropout?: DropoutSite | undefined; outputDType?: FloatDType } = {},
): { y: Tensor; sum: Tensor } {
  const { seqOffsets, dropout, outputDType } = objectOf(options, 'options');
  const site = activeSite(dropout);
  const outputs = run(
    'rms_norm',
    { x, delta, weight },
    {
      epsilon,
      outputDType,
      seqOffsets: dropout && seqOffsets,
      dropoutRate: site?.rate,
      dropoutSeed: site?.seed,
      dropoutSite: site?.site,
    },
  );
  return { y: outputOf(outputs, 'y'), sum: outputOf(outputs, 'sum') };
}

/** Layer norm: weight * (x - mean) / sqrt(variance + epsilon) + bias, of each row. Dtypes as those of {@link rmsNorm}. */
export function layerNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  epsilon: number,
  options: { outputDType?: FloatDType } = {},
): Tensor {
  return outputOf(run('layer_norm', { x, weight, bias }, { epsilon, ...options }), 'y');
}

/** {@link addRmsNorm} with a layer norm. */
export function addLayerNorm(
  x: Tensor,
  delta: Tensor,
  weight: Tensor,
  bias: Tensor,
  epsilon: number,
  options: { dropout?: DropoutSite | undefined; outputDType?: FloatDType } = {},
): { y: Tensor; sum: Tensor } {
  const { outputDType, dropout } = objectOf(options, 'options');
  const site = activeSite(dropout);
  const outputs = run(
    'layer_norm',
    { x, delta, weight, bias },
    {
      epsilon,
      outputDType,
      dropoutRate: site?.rate,
      dropoutSeed: site?.seed,
      dropoutSite: site?.site,
    },
  );
  return { y: outputOf(outputs, 'y'), sum: outputOf(outputs, 'sum') };
}

/** x = min(x + by, limit) in place, for i32 counters of a recorded step. */
export function increment(x: Tensor, options: { by?: number; limit?: number } = {}): void {
  run('increment', { x }, options);
}

/**
 * Rows of a table. ids i32 [rows], table [vocab, d] → [rows, d], stored as the table unless `outputDType` says otherwise.
 * Ids out of range fail with INVALID_TOKEN.
 */
export function embedding(ids: Tensor, table: Tensor, options: { outputDType?: FloatDType } = {}): Tensor {
  return outputOf(run('embedding', { ids, table }, options), 'y');
}

/** activation(gate) * value, with dropout of hidden units per sequence; absent: `gelu`. */
export function gatedActivation(
  gate: Tensor,
  value: Tensor,
  options: { activation?: Activation; seqOffsets?: Int32Array; dropout?: DropoutSite | undefined } = {},
): Tensor {
  const { activation, seqOffsets, dropout } = objectOf(options, 'options');
  const site = activeSite(dropout);
  const outputs = run(
    'gated_activation',
    { gate, linear: value },
    {
      activation,
      seqOffsets: dropout && seqOffsets,
      dropoutRate: site?.rate,
      dropoutSeed: site?.seed,
      dropoutSite: site?.site,
    },
  );
  return outputOf(outputs, 'y');
}

/** Dropout whose mask is shared by all rows of a sequence, or, without offsets, drawn for each row. */
export function dropout(x: Tensor, site: DropoutSite | undefined, seqOffsets?: Int32Array): Tensor {
  if (!site || objectOf(site, 'site').rate === 0) return tensorOf(x, 'x');
  const { rate: dropoutRate, seed: dropoutSeed, site: dropoutSite } = site;
  return outputOf(run('dropout', { x }, { seqOffsets, dropoutRate, dropoutSeed, dropoutSite }), 'y');
}

/** What queries read, beside q, k and v. */
export interface AttentionOptions {
  /** Of which width is a multiple. */
  numHeads: number;
  /** Offsets of each sequence's queries; absent with sharedQueries. */
  qOffsets?: Int32Array;
  /** Offsets of each sequence's keys, sequences + 1 entries. */
  kOffsets: Int32Array;
  /** Per sequence: its task, which chooses prefix and shared segment; absent: task 0. */
  taskIndex?: Int32Array | undefined;
  /** Generated prefixes [tasks, slots, P, width], in front of all keys, without position bias or mask. */
  prefixKey?: Tensor | undefined;
  /** Of the same shape as prefixKey, and given with it. */
  prefixValue?: Tensor | undefined;
  /** Which slot of the prefixes is read (default 0). */
  slot?: number | undefined;
  /** Keys and values of a segment per task, read by all its sequences: the encoded instruction of fusion. */
  sharedKey?: Tensor | undefined;
  /** Of the same shape as sharedKey, and given with it. */
  sharedValue?: Tensor | undefined;
  /** Offsets of each task's shared segment, tasks + 1 entries. */
  sharedOffsets?: Int32Array | undefined;
  /** Relative position table [buckets, heads]; own keys only. */
  bias?: Tensor | undefined;
  /** Tokens from which on all positions share the last bucket (default 128). */
  maxDistance?: number;
  /** Whether a query reads only keys up to its own place (default false). */
  causal?: boolean;
  /** Every sequence is asked by all rows of q; the output is sequence-major. */
  sharedQueries?: boolean;
  /** Of attention's weights; absent: none is dropped. */
  dropout?: DropoutSite | undefined;
}

/** Ragged attention, scores not scaled (method §1.1, method §2.7). q [Tq, width], k and v [Tk, width] → [Tq, width]. */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const {
    prefixKey,
    prefixValue,
    sharedKey,
    sharedValue,
    bias,
    dropout,
    numHeads,
    qOffsets,
    kOffsets,
    taskIndex,
    slot,
    sharedOffsets,
    maxDistance,
    causal,
    sharedQueries,
    ...others
  } = objectOf(options, 'options');
  const site = activeSite(dropout);
  const outputs = run(
    'attention',
    { q, k, v, prefixKey, prefixValue, sharedKey, sharedValue, bias },
    {
      numHeads,
      qOffsets,
      kOffsets,
      taskIndex,
      slot,
      sharedOffsets,
      maxDistance,
      causal,
      sharedQueries,
      training: training(q),
      dropoutRate: site?.rate,
      dropoutSeed: site?.seed,
      dropoutSite: site?.site,
      ...others,
    },
  );
  return outputOf(outputs, 'o');
}

/** What the new token of each row reads, beside the caches. */
export interface DecodeAttentionOptions {
  /** Of which width is a multiple. */
  numHeads: number;
  /** Per row: its task, which chooses prefix and shared segment; absent: task 0. */
  taskIndex?: Int32Array | undefined;
  /** Generated prefixes [tasks, slots, P, width], in front of all keys. */
  prefixKey?: Tensor | undefined;
  /** Of the same shape as prefixKey, and given with it. */
  prefixValue?: Tensor | undefined;
  /** Which slot of the prefixes is read (default 0). */
  slot?: number;
  /** Relative position table [buckets, heads], for the keys of the caches alone. */
  bias?: Tensor | undefined;
  /** Tokens from which on all positions share the last bucket (default 128). */
  maxDistance?: number;
  /** Keys and values of a segment per task, read by all its rows: the instruction of a decoder-only model. */
  sharedKey?: Tensor | undefined;
  /** Of the same shape as sharedKey, and given with it. */
  sharedValue?: Tensor | undefined;
  /** Offsets of each task's shared segment, tasks + 1 entries. */
  sharedOffsets?: Int32Array | undefined;
  /** Keys and values that were there before decoding began: row i reads sequence contextIndex[i] of them. */
  contextKey?: Tensor | undefined;
  /** Of the same shape as contextKey, and given with it. */
  contextValue?: Tensor | undefined;
  /** Offsets of each sequence of the context. */
  contextOffsets?: Int32Array | undefined;
  /** Per row the sequence of the context that it reads. */
  contextIndex?: Int32Array | undefined;
}

/**
 * One step of causal self-attention: writes k and v at `position` of the caches [rows, capacity, width] and attends
 * over prefix, shared segment, context and cache. For recorded decode loops, where the position is a tensor.
 */
export function decodeAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cache: { key: Tensor; value: Tensor; position: Tensor },
  options: DecodeAttentionOptions,
): Tensor {
  const { prefixKey, prefixValue, bias, sharedKey, sharedValue, contextKey, contextValue, ...attributes } =
    objectOf(options, 'options');
  const { key: keyCache, value: valueCache, position } = objectOf(cache, 'cache');
  // One literal: joining two objects costs more than the call.
  const inputs = {
    q,
    k,
    v,
    keyCache,
    valueCache,
    position,
    prefixKey,
    prefixValue,
    bias,
    sharedKey,
    sharedValue,
    contextKey,
    contextValue,
  };
  return outputOf(run('decode_attention', inputs, attributes), 'o');
}

/**
 * Final projection, log-softmax, cross entropy and z-loss per row, in chunks: the logits never exist as a whole.
 * hidden [rows, d], weight [vocab, d], targets i32 [rows].
 */
export function crossEntropy(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: { zLoss?: number } = {},
): { loss: Tensor; zTerm: Tensor } {
  const outputs = run('cross_entropy', { hidden, weight, targets }, options);
  return { loss: outputOf(outputs, 'loss'), zTerm: outputOf(outputs, 'zTerm') };
}

/** Mean of the rows of each segment: [rows, d] → [segments, d]. */
export function segmentMean(x: Tensor, offsets: Int32Array): Tensor {
  return outputOf(run('segment_mean', { x }, { offsets }), 'y');
}

/** [m, d] above [n, d] → [m + n, d], for equal d and dtype. */
export function concatRows(a: Tensor, b: Tensor): Tensor {
  return outputOf(run('concat_rows', { a, b }), 'y');
}

/** a + b, stored as a unless `outputDType` says otherwise. */
export function add(a: Tensor, b: Tensor, options: { outputDType?: FloatDType } = {}): Tensor {
  return outputOf(run('add', { a, b }, options), 'y');
}

/** x multiplied by a constant, in the dtype of x. */
export function scale(x: Tensor, factor: number): Tensor {
  return outputOf(run('scale', { x }, { factor }), 'y');
}

/** factor * sum of all elements → [1]. */
export function sum(x: Tensor, factor = 1): Tensor {
  return outputOf(run('sum', { x }, { factor }), 'y');
}

/** Adds the sum of squares of x to the one-element tensor `total`. */
export function addSquareNorm(x: Tensor, total: Tensor): void {
  run('square_norm', { x, total });
}

/** x in another floating-point dtype; to bf16 rounds to the nearest, ties to even. */
export function cast(x: Tensor, to: FloatDType): Tensor {
  return outputOf(run('cast', { x }, { to }), 'y');
}

/** The values in memory of their own. */
export function copy(x: Tensor): Tensor {
  return outputOf(run('copy', { x }), 'y');
}

/** Overwrites every element of a tensor in place. */
export function fill(destination: Tensor, value: number): void {
  run('fill', { destination }, { value });
}

/** What {@link randomFill} draws; a truncated normal is cut at two deviations. */
export type RandomDistribution = 'uniform' | 'normal' | 'truncated-normal';

/**
 * destination = scale × random numbers: uniform in (−1, 1), or standard normal. Element i is a function of
 * (seed, stream, i) alone, the same on every back end.
 *
 * @param options.seed integer from 0 to 2^53 − 1
 * @param options.stream unsigned 32-bit integer that names the numbers within the seed
 */
export function randomFill(
  destination: Tensor,
  distribution: RandomDistribution,
  options: { scale: number; seed: number; stream: number },
): void {
  run('random_fill', { destination }, { distribution, ...options });
}
