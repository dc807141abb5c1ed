import { readsInstruction, type ModelConfig } from '../model/config/config.js';
import { adaptationTable, attentionWidth, sizeOf } from '../model/modules/adaptations.js';
import { checkLengths } from './flops.js';
import { slotsOf } from '../model/modules/slots.js';
import { paperMemoryDecoderOnly, paperMemoryHint } from './paper-costs.js';

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

/** A cost that grows with the instruction: `fixed` + `perToken` × tokens values. */
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
  readonly bytesPerValue: number;
  readonly task: TaskValues;
  /** In this order: by the paper's formula; the least that a task needs; what the engine holds, on the device and in a task file. */
  readonly rows: readonly MemoryRow[];
  /** Bytes of a decoder-only key/value cache over the instruction, with the layers of one stack and of both. */
  readonly decoderOnly: { readonly oneStack: number; readonly bothStacks: number };
  /** Bytes per token that an input takes while it is answered: for a token read, and for a token generated. */
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
 * Memory of a compiled task by the formula of paper §C.2 and in the engine, compared with key/value caches of
 * decoder-only models.
 *
 * @param instruction tokens, s
 * @param bytesPerValue 4 for f32, 2 for bf16
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function memoryReport(config: ModelConfig, instruction: number, bytesPerValue: number): MemoryReport {
  const { dModel, dKv, numHeads, numLayers, numDecoderLayers } = config;
  const cache = (layers: number, tokens: number): number =>
    paperMemoryDecoderOnly({ layers, heads: numHeads, headWidth: dKv, instruction: tokens });
  const paper = (tokens: number): number =>
    paperMemoryHint({
      ...{ width: dModel, layers: numLayers, heads: numHeads, headWidth: dKv },
      instruction: tokens,
    });
  const held = (tokens: number): number => taskValues(config, tokens).total;
  const withoutKeys = (tokens: number): number => {
    const { total, instructionKeys } = taskValues(config, tokens);
    return total - instructionKeys;
  };
  const bothStacks = numLayers + numDecoderLayers;
  const row = (name: string, valuesOf: (tokens: number) => number): MemoryRow => ({
    name,
    values: valuesOf(instruction),
    bytes: bytesPerValue * valuesOf(instruction),
    crossover: {
      oneStack: crossover(lineOf(valuesOf), cache(numLayers, 1)),
      bothStacks: crossover(lineOf(valuesOf), cache(bothStacks, 1)),
    },
  });
  const perToken = bytesPerValue * 2 * numDecoderLayers * attentionWidth(config);
  return {
    instruction,
    bytesPerValue,
    task: taskValues(config, instruction),
    rows: [
      row('paper §C.2', paper),
      row('modules and encoded instruction', withoutKeys),
      row('held on the device, or in a file', held),
    ],
    decoderOnly: {
      oneStack: bytesPerValue * cache(numLayers, instruction),
      bothStacks: bytesPerValue * cache(bothStacks, instruction),
    },
    perInputToken: perToken,
    perOutputToken: perToken,
  };
}

function lineOf(valuesOf: (tokens: number) => number): Line {
  return { fixed: valuesOf(0), perToken: valuesOf(1) - valuesOf(0) };
}

/** The smallest number of tokens at which the line is below a cache of `cachePerToken` values per token. */
function crossover({ fixed, perToken }: Line, cachePerToken: number): number | null {
  const gained = cachePerToken - perToken;
  return gained <= 0 ? null : Math.floor(fixed / gained) + 1;
}
