import { concatenate } from '../../data/batch.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { anyModel, isDecoderOnly, type AnyModel } from '../../model/families/open-model.js';
import { adaptationTable, sizeOf } from '../../model/modules/adaptations.js';
import { slotCount } from '../../model/modules/slots.js';
import { compileTasks, disposeTasks, type CompiledTasks } from '../compile/compiled-tasks.js';
import { decodeBatch } from './decode.js';
import {
  DECODING,
  defaultMaxTokens,
  resolveDecoding,
  type Decoding,
  type DecodingOptions,
} from './decoding.js';
import type { GeneratedTokens, RowWatch } from './row-watch.js';
import { sampleStreams } from './sample-streams.js';
import {
  callback,
  checked,
  ids,
  integer,
  list,
  numberedTasks,
  optional,
  options as optionsOf,
  signal,
  type Members,
} from '../../util/arguments.js';

export type { DecodeStrategy, DecodingOptions } from './decoding.js';
export type { GeneratedTokens } from './row-watch.js';

/** How inputs are batched and decoded. */
export interface GenerateOptions extends DecodingOptions {
  /** Most tokens generated per input, end of sequence included (default 128; 256 for `t5x-beam1`). */
  maxTokens?: number;
  /** Most inputs decoded together (default 64); a beam counts as one. */
  batchSize?: number;
  /** Most input tokens encoded together (default 4,096); a longer input runs alone. */
  tokenBudget?: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Counts of tokens, rows and the like. */
export const count = integer(1, 1 << 20);

export const BATCHING = {
  batchSize: optional(count),
  tokenBudget: optional(count),
  signal: optional(signal),
  onProgress: optional(callback<(done: number, total: number) => void>()),
};

export const GENERATING: Members<GenerateOptions> = { ...DECODING, ...BATCHING, maxTokens: optional(count) };

/** Inputs of one task or of several. */
export interface GenerateRequest extends GenerateOptions {
  /** The distinct instructions, end of sequence included; none for models that read no instruction. */
  instructions?: readonly Int32Array[];
  /** At least one token each. */
  inputs: readonly Int32Array[];
  /** Per input the number of its instruction (default 0). */
  taskIndex?: ArrayLike<number>;
}

const generateRequest = optionsOf<GenerateRequest>({
  ...GENERATING,
  instructions: optional(list(ids)),
  inputs: list(ids),
  taskIndex: optional(numberedTasks),
});

// Generated parameters that may lie in memory at once: 256 MB.
const GENERATED_VALUES = 64 * 1024 * 1024;

interface Limits {
  maxTokens: number;
  batchSize: number;
  tokenBudget: number;
}

/** Fills in what options leave open. */
export function limitsOf(options: GenerateOptions): Limits {
  const { maxTokens = defaultMaxTokens(options), batchSize = 64, tokenBudget = 4096 } = options;
  return { maxTokens, batchSize, tokenBudget };
}

/** Inputs to decode, with what is the same for all of them. */
interface Run {
  model: AnyModel;
  inputs: readonly Int32Array[];
  limits: Limits;
  decoding: Decoding;
  logProbs: boolean;
  /** Two numbers per input, where they are drawn from. */
  streams: Int32Array | undefined;
  watch: RowWatch | undefined;
  signal: AbortSignal | undefined;
  give: (input: number, generated: GeneratedTokens) => void;
}

function createRun(
  model: AnyModel,
  inputs: readonly Int32Array[],
  taskOf: (input: number) => number,
  options: GenerateOptions & { watch?: RowWatch | undefined },
): Run & { results: GeneratedTokens[] } {
  const decoding = resolveDecoding(options);
  const limits = limitsOf(options);
  checkInputs(inputs);
  const results = new Array<GeneratedTokens>(inputs.length);
  let done = 0;
  return {
    model,
    inputs,
    limits,
    decoding,
    logProbs: options.logProbs === true,
    streams: decoding.kind === 'sample' ? sampleStreams(inputs, taskOf) : undefined,
    watch: options.watch,
    signal: options.signal,
    results,
    give: (input, generated) => {
      results[input] = generated;
      options.onProgress?.(++done, inputs.length);
    },
  };
}

/** Decodes `order`, some of a run's inputs, with tasks that are compiled already; `taskOf` is nondecreasing within it. */
async function decodeOrdered(
  run: Run,
  tasks: CompiledTasks,
  order: readonly number[],
  taskOf: (input: number) => number,
): Promise<void> {
  const { inputs, limits, decoding, streams } = run;
  const most =
    decoding.kind === 'beam'
      ? Math.max(1, Math.floor(limits.batchSize / decoding.numBeams))
      : limits.batchSize;
  for (let begin = 0; begin < order.length;) {
    throwIfAborted(run.signal);
    let end = begin;
    for (let tokens = 0; end < order.length && end - begin < most; end++) {
      tokens += (inputs[order[end] as number] as Int32Array).length;
      if (tokens > limits.tokenBudget && end > begin) break;
    }
    const batch = order.slice(begin, end);
    const generated = await decodeBatch(
      run.model,
      tasks,
      concatenate(batch.map((input) => inputs[input] as Int32Array)),
      Int32Array.from(batch, taskOf),
      {
        decoding,
        maxTokens: limits.maxTokens,
        logProbs: run.logProbs,
        streams: Int32Array.from(
          batch.flatMap((input) => [streams?.[2 * input] ?? 0, streams?.[2 * input + 1] ?? 0]),
        ),
        watch: run.watch && watchOf(run.watch, batch),
        signal: run.signal,
      },
    );
    batch.forEach((input, i) => run.give(input, generated[i] as GeneratedTokens));
    begin = end;
  }
}

/** A watch of a batch's rows that tells of inputs. */
function watchOf(watch: RowWatch, batch: readonly number[]): RowWatch {
  return {
    eager: watch.eager === true,
    token: (row, token, logProb) => watch.token(batch[row] as number, token, logProb),
    end: (row, generated) => watch.end(batch[row] as number, generated),
  };
}

/**
 * Decodes inputs of one compiled task.
 *
 * @param options `watch` is told of inputs by their number, not of rows of a batch
 * @throws HintError as {@link generateTokens}
 */
export async function generateWithTask(
  model: AnyModel,
  task: CompiledTasks,
  inputs: readonly Int32Array[],
  options: GenerateOptions & { watch?: RowWatch | undefined } = {},
): Promise<GeneratedTokens[]> {
  const run = createRun(model, inputs, () => 0, options);
  if (!isDecoderOnly(model)) await model.prepareInference();
  await decodeOrdered(run, task, [...inputs.keys()], () => 0);
  return run.results;
}

/**
 * Decodes mixed-task inputs: each distinct instruction is compiled once, tasks with few inputs share a batch.
 *
 * @returns in the order of the inputs
 * @throws HintError INVALID_ARGUMENT (options, task index), INVALID_DATA (an empty input or instruction), INVALID_TOKEN,
 *   NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function generateTokens(model: AnyModel, request: GenerateRequest): Promise<GeneratedTokens[]> {
  checked(anyModel, model, 'model');
  const { instructions = [], inputs, taskIndex, ...options } = checked(generateRequest, request, 'request');
  if (!isDecoderOnly(model)) await model.prepareInference();
  if (instructions.length === 0) {
    const task = await compileTasks(model, concatenate([]));
    try {
      return await generateWithTask(model, task, inputs, options);
    } finally {
      disposeTasks(task);
    }
  }
  const run = createRun(model, inputs, (input) => taskIndex?.[input] ?? 0, options);
  const inputsOf = groupByTask(inputs.length, instructions.length, taskIndex);
  for (const group of groupTasks(model, instructions, inputsOf, run.limits)) {
    throwIfAborted(options.signal);
    const tasks = await compileTasks(
      model,
      concatenate(group.map((task) => instructions[task] as Int32Array)),
    );
    try {
      const order = group.flatMap((task) => inputsOf[task] as number[]);
      const local = new Map(
        group.flatMap((task, i) => (inputsOf[task] as number[]).map((input) => [input, i])),
      );
      await decodeOrdered(run, tasks, order, (input) => local.get(input) as number);
    } finally {
      disposeTasks(tasks);
    }
  }
  return run.results;
}

/** @throws HintError INVALID_DATA for an input without tokens */
export function checkInputs(inputs: readonly Int32Array[]): void {
  const empty = inputs.findIndex((input) => input.length === 0);
  if (empty < 0) return;
  throw new HintError(
    'INVALID_DATA',
    `Input number ${empty} has no token; give every input at least one, such as the end-of-sequence token.`,
  );
}

/** The inputs of each task. @throws HintError INVALID_ARGUMENT for an index that fits no input or no task */
export function groupByTask(
  count: number,
  tasks: number,
  taskIndex: ArrayLike<number> | undefined,
): number[][] {
  if (taskIndex && taskIndex.length !== count) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `taskIndex has ${taskIndex.length} entries for ${count} inputs; give one per input, or none.`,
    );
  }
  const inputsOf = Array.from({ length: tasks }, (): number[] => []);
  for (let input = 0; input < count; input++) {
    const task = taskIndex?.[input] ?? 0;
    const list = inputsOf[task];
    if (!list) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `taskIndex[${input}] is ${task}; there are ${tasks} instructions, numbered from 0.`,
      );
    }
    list.push(input);
  }
  return inputsOf;
}

/** Values generated for one task; a decoder-only model generates none. */
function generatedValues(model: AnyModel): number {
  if (isDecoderOnly(model)) return 0;
  const perSlot = adaptationTable(model.config).reduce((total, { shape }) => total + sizeOf(shape), 0);
  return perSlot * slotCount(model.config);
}

/** Whole tasks that fit one batch together; a task of many inputs is alone. Tasks without inputs are left out. */
export function groupTasks(
  model: AnyModel,
  instructions: readonly Int32Array[],
  inputsOf: readonly number[][],
  { batchSize, tokenBudget }: Limits,
): number[][] {
  const most = Math.max(1, Math.floor(GENERATED_VALUES / Math.max(1, generatedValues(model))));
  const groups: number[][] = [];
  let rows = Infinity;
  let tokens = 0;
  inputsOf.forEach((list, task) => {
    if (list.length === 0) return;
    rows += list.length;
    tokens += (instructions[task] as Int32Array).length;
    const last = groups.at(-1);
    if (!last || rows > batchSize || tokens > tokenBudget || last.length >= most) {
      groups.push([task]);
      rows = list.length;
      tokens = (instructions[task] as Int32Array).length;
    } else {
      last.push(task);
    }
  });
  return groups;
}
