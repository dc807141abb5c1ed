import { readsInstruction, type ModelConfig } from '../model/config/config.js';
import { adaptationTable, attentionWidth, sizeOf } from '../model/modules/adaptations.js';
import { isMatrixModule, isPrefixModule } from '../model/modules/task-modules.js';
import { moduleDType, restingDTypeOf } from '../model/weights/packed-weights.js';
import type { WeightDType } from '../tensor/ops.js';
import { checkLengths } from './flops.js';
import { slotsOf } from '../model/modules/slots.js';
import { paperMemoryDecoderOnly, paperMemoryHint } from './paper-costs.js';
import { EVERYTHING, type Holding } from './weight-memory.js';

/** Values (not bytes) that a compiled task holds. */
export interface TaskValues {
  readonly adapters: number;
  /** Keys and values at every attention: one site an encoder layer, two a decoder layer. */
  readonly prefixes: number;
  readonly lora: number;
  /** The encoded instruction, d a token. */
  readonly instruction: number;
  /** Its cross-attention keys and values in every decoder layer. */
  readonly instructionKeys: number;
  readonly total: number;
}

/** Bytes that a compiled task of an engine on the CPU takes, by part. */
export interface TaskBytes {
  /** Matrices and biases; of matrices in 8 bits also scales, sums and factors. */
  readonly adapters: number;
  readonly prefixes: number;
  readonly lora: number;
  readonly instruction: number;
  readonly instructionKeys: number;
  /** Of a cached task. */
  readonly total: number;
  /** Of the values in its file, which needs no sums. */
  readonly file: number;
}

const BYTES = { f32: 4, bf16: 2, int8: 1 } as const;

/** A cost that grows with the instruction: `fixed` + `perToken` × tokens bytes. */
interface Line {
  readonly fixed: number;
  readonly perToken: number;
}

/** The memory of a task by one way of counting, compared with decoder-only caches of the same width. */
export interface MemoryRow {
  readonly name: string;
  readonly values: number;
  readonly bytes: number;
  /**
   * The number of instruction tokens from which the task takes less than a decoder-only cache with the layers of one
   * stack, or of both; null: never.
   */
  readonly crossover: { readonly oneStack: number | null; readonly bothStacks: number | null };
}

/** The memory of a task of `instruction` tokens, by the paper's formula and in the engine. */
export interface MemoryReport {
  readonly instruction: number;
  /** What the engine is opened with. */
  readonly dtype: WeightDType;
  /** Of the paper's formula and of decoder-only caches. */
  readonly bytesPerValue: number;
  readonly task: TaskValues;
  readonly taskBytes: TaskBytes;
  /** In this order: by the paper's formula; the least that a task needs; what the engine holds, and what a task file does. */
  readonly rows: readonly MemoryRow[];
  /** Bytes of a decoder-only key/value cache over the instruction, with the layers of one stack and of both. */
  readonly decoderOnly: { readonly oneStack: number; readonly bothStacks: number };
  /** Bytes per token that an input takes while it is answered, in f32: for a token read, and for a token generated. */
  readonly perInputToken: number;
  readonly perOutputToken: number;
}

/**
 * Values that a compiled task of `instruction` tokens holds. Learned modules belong to the model and are not counted.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function taskValues(config: ModelConfig, instruction: number): TaskValues {
  checkLengths({ instruction });
  const { hint, dModel, numDecoderLayers } = config;
  const held = { adapters: 0, prefixes: 0, lora: 0 };
  if (hint && hint.generator !== 'static') {
    for (const { name, shape } of adaptationTable(config)) {
      const kind = name.startsWith('adapter') ? 'adapters' : name.startsWith('prefix') ? 'prefixes' : 'lora';
      held[kind] += slotsOf(config, name).length * sizeOf(shape);
    }
  }
  const encoded = hint && readsInstruction(hint) ? instruction * dModel : 0;
  const instructionKeys = hint?.instructionFusion
    ? 2 * numDecoderLayers * instruction * attentionWidth(config)
    : 0;
  const total = held.adapters + held.prefixes + held.lora + encoded + instructionKeys;
  return { ...held, instruction: encoded, instructionKeys, total };
}

/**
 * Bytes that a compiled task of `instruction` tokens takes while it rests in an engine on the CPU, and in a file. Padding is
 * not counted: matrices whose sides are no multiples of 64 take a little more. Where the processor has no products in bf16, prefixes
 * and keys are there once more while inputs are answered, in f32.
 *
 * @param dtype the dtype that the engine is opened with
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function taskBytes(
  config: ModelConfig,
  instruction: number,
  dtype: WeightDType,
  machine: Holding = EVERYTHING,
): TaskBytes {
  const values = taskValues(config, instruction);
  const resting = BYTES[restingDTypeOf(dtype)];
  const generated = BYTES[machine.generated(dtype)];
  const held = { adapters: 0, prefixes: 0, lora: 0 };
  // Sums of 8 bits are needed for products, and follow from the steps.
  let sums = 0;
  // In a file, matrices are as the engine is to hold them where the machine can.
  let wider = 0;
  if (values.adapters + values.prefixes + values.lora > 0) {
    for (const { name, shape } of adaptationTable(config)) {
      const slots = slotsOf(config, name).length;
      const count = slots * sizeOf(shape);
      if (isPrefixModule(name)) {
        held.prefixes += count * resting;
        continue;
      }
      const kind = name.startsWith('adapter') ? 'adapters' : 'lora';
      if (!isMatrixModule(name)) {
        held[kind] += count * generated;
        wider += count * (generated - BYTES.f32);
        continue;
      }
      const matrix = machine.matrices(moduleDType(name, dtype));
      held[kind] += count * BYTES[matrix];
      if (matrix !== 'int8') {
        const stored = dtype === 'f32' ? BYTES.f32 : BYTES.bf16;
        wider += count * (BYTES[matrix] - stored);
        continue;
      }
      const [dIn, dOut] = shape as [number, number];
      held[kind] += slots * (2 * dOut + dIn) * BYTES.f32;
      sums += slots * dOut * BYTES.f32;
    }
  }
  const encoded = values.instruction * generated;
  wider += values.instruction * (generated - BYTES.f32);
  const instructionKeys = values.instructionKeys * resting;
  const total = held.adapters + held.prefixes + held.lora + encoded + instructionKeys;
  return { ...held, instruction: encoded, instructionKeys, total, file: total - sums - wider };
}

/**
 * Memory of a compiled task by the formula of paper §C.2 and in the engine, compared with key/value caches of
 * decoder-only models.
 *
 * @param instruction tokens, s
 * @param dtype the dtype that the engine is opened with; caches of decoder-only models and the formula are counted in f32 for
 *   f32, else in bf16
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function memoryReport(
  config: ModelConfig,
  instruction: number,
  dtype: WeightDType,
  machine?: Holding,
): MemoryReport {
  const bytesPerValue = BYTES[restingDTypeOf(dtype)];
  const { dModel, dKv, numHeads, numLayers, numDecoderLayers } = config;
  const cache = (layers: number, tokens: number): number =>
    paperMemoryDecoderOnly({ layers, heads: numHeads, headWidth: dKv, instruction: tokens });
  const paper = (tokens: number): number =>
    paperMemoryHint({
      ...{ width: dModel, layers: numLayers, heads: numHeads, headWidth: dKv },
      instruction: tokens,
    });
  const bytesOf = (tokens: number): TaskBytes => taskBytes(config, tokens, dtype, machine);
  const task = taskValues(config, instruction);
  const bothStacks = numLayers + numDecoderLayers;
  const row = (name: string, values: number, bytesAt: (tokens: number) => number): MemoryRow => ({
    name,
    values,
    bytes: bytesAt(instruction),
    crossover: {
      oneStack: crossover(lineOf(bytesAt), bytesPerValue * cache(numLayers, 1)),
      bothStacks: crossover(lineOf(bytesAt), bytesPerValue * cache(bothStacks, 1)),
    },
  });
  const perToken = BYTES.f32 * 2 * numDecoderLayers * attentionWidth(config);
  return {
    instruction,
    dtype,
    bytesPerValue,
    task,
    taskBytes: bytesOf(instruction),
    rows: [
      row('paper §C.2', paper(instruction), (tokens) => bytesPerValue * paper(tokens)),
      row('modules and encoded instruction', task.total - task.instructionKeys, (tokens) => {
        const { total, instructionKeys } = bytesOf(tokens);
        return total - instructionKeys;
      }),
      row('held by the task cache', task.total, (tokens) => bytesOf(tokens).total),
      row('held in a file', task.total, (tokens) => bytesOf(tokens).file),
    ],
    decoderOnly: {
      oneStack: bytesPerValue * cache(numLayers, instruction),
      bothStacks: bytesPerValue * cache(bothStacks, instruction),
    },
    perInputToken: perToken,
    perOutputToken: perToken,
  };
}

function lineOf(bytesAt: (tokens: number) => number): Line {
  return { fixed: bytesAt(0), perToken: bytesAt(1) - bytesAt(0) };
}

/** The smallest number of tokens at which the line is below a cache of `cachePerToken` bytes per token. */
function crossover({ fixed, perToken }: Line, cachePerToken: number): number | null {
  const gained = cachePerToken - perToken;
  return gained <= 0 ? null : Math.floor(fixed / gained) + 1;
}
