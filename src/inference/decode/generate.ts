import { concatenate } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import { anyModel } from '../../model/families/registry.js';
import { checked, options as optionsOf, type Members } from '../../util/arguments.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { familyOf } from '../families/registry.js';
import { decodeBatch } from './decode.js';
import { DECODING, defaultMaxTokens, resolveDecoding, type TokenDecodingOptions } from './decoding.js';
import { masksOf, type RowMasks } from './row-masks.js';
import type { GeneratedTokens, RowWatch } from './row-watch.js';
import { sampleStreams } from './sample-streams.js';
import {
  BATCHING,
  checkInputs,
  MIXED_INPUTS,
  pick,
  runByTask,
  runWithTask,
  TOKEN_BUDGET,
  type BatchRun,
  type MixedInputs,
  type TaskBatch,
} from './task-batches.js';

export type { DecodeStrategy, TokenDecodingOptions } from './decoding.js';
export type { GeneratedTokens } from './row-watch.js';

/** How inputs given as token ids are decoded and batched. */
export interface GenerateTokensOptions extends TokenDecodingOptions {
  /** Most inputs decoded together (default 128); a beam counts as one. */
  batchSize?: number;
  /**
   * Most input tokens encoded together (default 4,096); a longer input is encoded alone. Inputs beyond it are decoded together where what
   * is kept of them takes at most 1 GiB.
   */
  tokenBudget?: number;
  /** Ends the generation, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with the number of inputs answered, and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export const GENERATING: Members<GenerateTokensOptions> = { ...DECODING, ...BATCHING };

/** Inputs of one task or of several. */
export interface GenerateTokensRequest extends GenerateTokensOptions, MixedInputs {}

const generateRequest = optionsOf<GenerateTokensRequest>({ ...GENERATING, ...MIXED_INPUTS });

/** Inputs decoded together unless a caller says how many: a step with more rows takes hardly less time a row. */
const DECODED_TOGETHER = 128;

type WatchedOptions = GenerateTokensOptions & { watch?: RowWatch | undefined; masks?: RowMasks | undefined };

/**
 * Decodes inputs of one compiled task.
 *
 * @param options `watch` and `masks` are told of inputs by their number, not of rows of a batch
 * @throws HintError as {@link generateTokens}
 */
export async function generateWithTask(
  model: AnyModel,
  task: CompiledTasks,
  inputs: readonly Int32Array[],
  options: WatchedOptions = {},
): Promise<GeneratedTokens[]> {
  const { batches, results } = decoding(model, inputs, () => 0, options);
  await runWithTask(batches, task);
  return results;
}

/**
 * Decodes mixed-task inputs: each distinct instruction is compiled once, tasks with few inputs share a batch.
 *
 * @returns in the order of the inputs
 * @throws HintError INVALID_ARGUMENT (options, task index), INVALID_DATA (an empty input or instruction), INVALID_TOKEN,
 *   NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function generateTokens(
  model: AnyModel,
  request: GenerateTokensRequest,
): Promise<GeneratedTokens[]> {
  checked(anyModel, model, 'model');
  const { instructions = [], inputs, taskIndex, ...options } = checked(generateRequest, request, 'request');
  const taskOf = (input: number): number => (instructions.length > 0 ? (taskIndex?.[input] ?? 0) : 0);
  const { batches, results } = decoding(model, inputs, taskOf, options);
  await runByTask(batches, { instructions, ...(taskIndex ? { taskIndex } : {}) });
  return results;
}

/** How batches of these inputs are decoded, and where the results come to lie. */
function decoding(
  model: AnyModel,
  inputs: readonly Int32Array[],
  taskOf: (input: number) => number,
  options: WatchedOptions,
): { batches: BatchRun; results: GeneratedTokens[] } {
  const resolved = resolveDecoding(options);
  const { maxTokens = defaultMaxTokens(options), logProbs, watch, masks, signal, onProgress } = options;
  checkInputs(inputs);
  const streams = resolved.kind === 'sample' ? sampleStreams(inputs, taskOf) : undefined;
  const results = new Array<GeneratedTokens>(inputs.length);
  let done = 0;
  const run = async ({ tasks, inputs: batch, taskIndex }: TaskBatch): Promise<void> => {
    const generated = await decodeBatch(model, tasks, concatenate(pick(inputs, batch)), taskIndex, {
      decoding: resolved,
      maxTokens,
      logProbs: logProbs === true,
      streams: Int32Array.from(
        batch.flatMap((input) => [streams?.[2 * input] ?? 0, streams?.[2 * input + 1] ?? 0]),
      ),
      watch: watch && watchOf(watch, batch),
      masks: masks && masksOf(masks, batch),
      tokenBudget: options.tokenBudget ?? TOKEN_BUDGET,
      signal,
    });
    batch.forEach((input, i) => {
      results[input] = generated[i] as GeneratedTokens;
      onProgress?.(++done, inputs.length);
    });
  };
  const rowsPerInput = resolved.kind === 'beam' ? resolved.numBeams : 1;
  const { batchSize = DECODED_TOGETHER } = options;
  const keptPerToken = familyOf(model).keptPerToken?.(model);
  return { batches: { ...options, batchSize, model, inputs, rowsPerInput, keptPerToken, run }, results };
}

/** A watch of a batch's rows that tells of inputs. */
function watchOf(watch: RowWatch, batch: readonly number[]): RowWatch {
  return {
    eager: watch.eager === true,
    token: (row, token, logProb) => watch.token(batch[row] as number, token, logProb),
    end: (row, generated) => watch.end(batch[row] as number, generated),
  };
}
