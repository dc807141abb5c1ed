import { exactDType, isMatrix, matrixDType } from '../model/weights/packed-weights.js';
import { readsInstruction, type ModelConfig } from '../model/config/config.js';
import { foldsOutputProjection } from '../model/weights/generator-folding.js';
import { adaptationTable, attentionWidth, sizeOf, type Adaptation } from '../model/modules/adaptations.js';
import { parameterShapes } from '../model/parameters/parameter-shapes.js';
import { isRounded } from '../model/parameters/dtypes.js';
import { platformReport } from '../tensor/device.js';
import type { FloatDType, WeightDType } from '../tensor/ops.js';
import { slotsOf } from '../model/modules/slots.js';

/** Bytes of a model's weights in an engine. */
export interface WeightMemory {
  /** The parameters in f32 or bf16. When a checkpoint is mapped, they are in its file. */
  readonly parameters: { readonly f32: number; readonly bf16: number };
  /** The packed copies that inference reads in addition. */
  readonly packed: {
    readonly matrices: number;
    /** The generators' matrices, which no engine quantises. */
    readonly generators: number;
    /** What the hypernetwork reads of quantised matrices, packed in bf16 with the first task. */
    readonly exact: number;
    /** The component embeddings as queries, computed with the first task. */
    readonly componentQueries: number;
    readonly total: number;
  };
}

const BYTES = { f32: 4, bf16: 2, int8: 1 } as const;
// A quantised matrix has a scale and a sum for each of its outputs.
const BYTES_OF_QUANTISED_OUTPUT = 8;

/**
 * Bytes of the weights of an engine. Padding is not counted: matrices whose sides are no multiples of 64 take a little
 * more.
 *
 * @param dtype the dtype that the engine is opened with
 */
export function weightMemory(
  config: ModelConfig,
  dtype: WeightDType,
  machine: Holding = EVERYTHING,
): WeightMemory {
  const shapes = parameterShapes(config);
  let values = 0;
  let matrices = 0;
  let exact = 0;
  const { hint } = config;
  const readsEncoder =
    hint && readsInstruction(hint) && hint.tieHyperencoder && machine.generated(dtype) === 'bf16';
  for (const [name, shape] of shapes) {
    values += sizeOf(shape);
    if (!isMatrix(name, config)) continue;
    const held = machine.matrices(matrixDType(name, dtype));
    matrices += sizeOf(shape) * BYTES[held];
    if (held !== 'int8') continue;
    matrices += (shape[0] as number) * BYTES_OF_QUANTISED_OUTPUT;
    if (readsEncoder && name.startsWith('encoder.')) exact += sizeOf(shape) * BYTES.bf16;
  }
  let generators = 0;
  let componentQueries = 0;
  if (hint && hint.generator !== 'static') {
    const folded = foldsOutputProjection(hint);
    for (const adaptation of adaptationTable(config)) {
      const [wi, wo] = ['wi', 'wo'].map(
        (which) => shapes.get(`hypernetwork.${adaptation.name}.${which}.weight`) ?? [],
      ) as [readonly number[], readonly number[]];
      const held = BYTES[machine.matrices(exactDType(dtype))];
      generators += (folded ? (wi[0] ?? 0) * attentionWidth(config) : sizeOf(wi)) * held;
      generators += sizeOf(wo) * held;
      componentQueries += queryValues(config, adaptation) * BYTES[machine.generated(dtype)];
    }
  }
  return {
    parameters: { f32: values * BYTES.f32, bf16: values * BYTES.bf16 },
    packed: {
      ...{ matrices, generators, exact, componentQueries },
      total: matrices + generators + exact + componentQueries,
    },
  };
}

/**
 * Bytes of the weights of an engine on CUDA, which does not pack them: parameters in f32, or matrices and tables in
 * bf16 with the values that inference derives from them.
 */
export function unpackedWeightMemory(config: ModelConfig, dtype: 'f32' | 'bf16'): number {
  const shapes = [...parameterShapes(config)];
  if (dtype === 'f32') return shapes.reduce((total, [, shape]) => total + sizeOf(shape) * BYTES.f32, 0);
  let bytes = 0;
  for (const [, shape] of shapes) bytes += sizeOf(shape) * BYTES[isRounded({ shape }) ? 'bf16' : 'f32'];
  const { hint } = config;
  if (!hint || !readsInstruction(hint)) return bytes;
  const widths = new Map(shapes.map(([name, [rows = 0]]) => [name, rows]));
  for (const adaptation of adaptationTable(config)) {
    if (foldsOutputProjection(hint)) {
      const rows = widths.get(`hypernetwork.${adaptation.name}.wi.weight`) ?? 0;
      bytes += rows * attentionWidth(config) * BYTES.bf16;
    }
    bytes += queryValues(config, adaptation) * BYTES.bf16;
  }
  return bytes;
}

/** Values of the component queries of one kind of module; 0 where the generator has no attention of its own. */
function queryValues(config: ModelConfig, adaptation: Adaptation): number {
  const { hint } = config;
  if (hint?.generator !== 'cross_attention') return 0;
  const slots = hint.perLayerGenerators ? hint.embeddingSlots || 1 : slotsOf(config, adaptation.name).length;
  return slots * adaptation.components * attentionWidth(config);
}

/** What a machine's CPU holds in which dtype, by that which an engine is opened with. */
export interface Holding {
  /** Matrices that are to be held in `dtype`. */
  matrices(dtype: WeightDType): WeightDType;
  /** What the hypernetwork computes in an engine of `dtype`, but for matrices. */
  generated(dtype: WeightDType): FloatDType;
}

/** A machine that multiplies every dtype. */
export const EVERYTHING: Holding = {
  matrices: (dtype) => dtype,
  generated: (dtype) => (dtype === 'f32' ? 'f32' : 'bf16'),
};

/**
 * What a machine holds in which dtype. With AVX-512, bf16 and int8 matrices are multiplied directly or widened in registers; without
 * it, all are f32. Between products in bf16, rows are bf16, too.
 *
 * @param isa as platformReport gives it
 */
export function heldOn(isa: readonly string[]): Holding {
  return {
    matrices: (dtype) => (isa.includes('avx512f') ? dtype : 'f32'),
    generated: (dtype) =>
      isa.includes('avx512bf16') || isa.includes('amx-bf16') ? EVERYTHING.generated(dtype) : 'f32',
  };
}

/** {@link heldOn} this machine. */
export function heldHere(): Holding {
  return heldOn(platformReport().isa);
}

/** Bytes of a model's weights in an engine of this machine, by what it is opened with. */
export interface EngineWeights {
  readonly f32: WeightMemory;
  readonly bf16: WeightMemory;
  readonly int8: WeightMemory;
  /** All that is held on a GPU. */
  readonly cuda: { readonly f32: number; readonly bf16: number };
}

/** Bytes of a model's weights in the engines of this machine. */
export function engineWeights(config: ModelConfig): EngineWeights {
  const held = heldHere();
  const of = (dtype: WeightDType): WeightMemory => weightMemory(config, dtype, held);
  const cuda = { f32: unpackedWeightMemory(config, 'f32'), bf16: unpackedWeightMemory(config, 'bf16') };
  return { f32: of('f32'), bf16: of('bf16'), int8: of('int8'), cuda };
}
