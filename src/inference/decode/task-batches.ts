import { concatenate } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import { balanced } from '../../distributed/shares.js';
import {
  callback,
  ids,
  integer,
  list,
  numberedTasks,
  optional,
  shaped,
  signal,
} from '../../util/arguments.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { compileTasks } from '../compile/compiled-tasks.js';
import { disposeTasks, type CompiledTasks } from '../contract/compiled-tasks.js';
import { familyOf } from '../families/registry.js';

/** How inputs are batched. */
export interface BatchingOptions {
  /** Most inputs run together (default 64). */
  batchSize?: number;
  /** Most tokens run together (default 4,096); a longer input runs alone. */
  tokenBudget?: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Runs one of several parts of the batches, which are those of the whole; the others' inputs have no result. */
  part?: BatchPart | undefined;
}

/** A part of the work that several processes share. */
export interface BatchPart {
  /** Of this process, from 0. */
  readonly index: number;
  readonly count: number;
}

/** Tokens that run together unless a caller says how many. */
export const TOKEN_BUDGET = 4096;

/** The most rows of a batch, tokens of an answer and the like. */
export const MOST_COUNT = 1 << 20;

/** Counts of tokens, rows and the like. */
export const count = integer(1, MOST_COUNT);

export const BATCHING = {
  batchSize: optional(count),
  tokenBudget: optional(count),
  signal: optional(signal),
  onProgress: optional(callback<(done: number, total: number) => void>()),
  part: optional(shaped<BatchPart>({ index: integer(0), count: integer(1) }, 'an object { index, count }')),
};

/** Inputs of one task or of several. */
export interface MixedInputs {
  /** The distinct instructions, end of sequence included; none for models that read no instruction. */
  instructions?: readonly Int32Array[];
  /** At least one token each. */
  inputs: readonly Int32Array[];
  /** Per input the number of its instruction (default 0). */
  taskIndex?: ArrayLike<number>;
}

export const MIXED_INPUTS = {
  instructions: optional(list(ids)),
  inputs: list(ids),
  taskIndex: optional(numberedTasks),
};

/** Inputs that are run together, ordered by task. */
export interface TaskBatch {
  readonly tasks: CompiledTasks;
  /** Numbers of the inputs. */
  readonly inputs: readonly number[];
  /** Per input its place among `tasks`, nondecreasing. */
  readonly taskIndex: Int32Array;
}

/** How {@link runByTask} and {@link runWithTask} form batches, and what they do with one. */
export interface BatchRun extends BatchingOptions {
  readonly model: AnyModel;
  readonly inputs: readonly Int32Array[];
  /** Tokens of an input with all that is run for it (default: the input's own). */
  readonly costOf?: (input: number) => number;
  /** Rows that an input is run in (default 1). */
  readonly rowsPerInput?: number;
  /** Bytes that are kept of a token of an input, where a batch may be read in parts of `tokenBudget` tokens. */
  readonly keptPerToken?: number | undefined;
  run(batch: TaskBatch): Promise<void>;
}

/**
 * Runs inputs of any tasks in batches: each distinct instruction is compiled once, tasks with few inputs share a batch.
 *
 * @throws HintError INVALID_ARGUMENT for a task index that fits no input or no task; ABORTED; what compiling and running
 *   throw
 */
export async function runByTask(
  batches: BatchRun,
  { instructions = [], taskIndex }: Pick<MixedInputs, 'instructions' | 'taskIndex'>,
): Promise<void> {
  const { model, inputs } = batches;
  await familyOf(model).prepare?.(model);
  if (instructions.length === 0) {
    const { part } = batches;
    const isOwn = (batch: number): boolean => !part || batch % part.count === part.index;
    await withTasks(model, [], (tasks) => runOrdered(batches, tasks, [...inputs.keys()], () => 0, isOwn));
    return;
  }
  const inputsOf = groupByTask(inputs.length, instructions.length, taskIndex);
  const groups = groupTasks(model, instructions, inputsOf, limitsOf(batches));
  for (const group of ownGroups(batches, groups, inputsOf)) {
    throwIfAborted(batches.signal);
    const order = group.flatMap((task) => inputsOf[task] as number[]);
    const places = new Map(
      group.flatMap((task, place) => (inputsOf[task] as number[]).map((input) => [input, place])),
    );
    await withTasks(
      model,
      group.map((task) => instructions[task] as Int32Array),
      (tasks) => runOrdered(batches, tasks, order, (input) => places.get(input) as number),
    );
  }
}

/** Those that this process runs, of which each has about as many tokens. */
function ownGroups(
  { part, inputs }: BatchRun,
  groups: readonly number[][],
  inputsOf: readonly number[][],
): readonly number[][] {
  if (!part) return groups;
  const tokensOf = (task: number): number =>
    (inputsOf[task] as number[]).reduce((sum, input) => sum + (inputs[input] as Int32Array).length, 0);
  const owners = balanced(
    groups.map((group) => group.reduce((sum, task) => sum + tokensOf(task), 0)),
    part.count,
  );
  return groups.filter((_, i) => owners[i] === part.index);
}

/** {@link runByTask} for inputs of one task that is compiled already. */
export async function runWithTask(batches: BatchRun, task: CompiledTasks): Promise<void> {
  const { model, inputs } = batches;
  await familyOf(model).prepare?.(model);
  await runOrdered(batches, task, [...inputs.keys()], () => 0);
}

async function withTasks(
  model: AnyModel,
  instructions: readonly Int32Array[],
  work: (tasks: CompiledTasks) => Promise<void>,
): Promise<void> {
  const tasks = await compileTasks(model, concatenate(instructions));
  try {
    await work(tasks);
  } finally {
    disposeTasks(tasks);
  }
}

/** Runs `order`, some of the inputs, in batches that fit; `taskOf` is nondecreasing within it. */
async function runOrdered(
  batches: BatchRun,
  tasks: CompiledTasks,
  order: readonly number[],
  taskOf: (input: number) => number,
  isOwn: (batch: number) => boolean = () => true,
): Promise<void> {
  const { inputs, rowsPerInput = 1, costOf = (input) => (inputs[input] as Int32Array).length } = batches;
  const { batchSize } = limitsOf(batches);
  const mostTokens = tokensTogether(batches);
  const most = Math.max(1, Math.floor(batchSize / rowsPerInput));
  for (let begin = 0, number = 0; begin < order.length; number++) {
    throwIfAborted(batches.signal);
    let end = begin;
    for (let tokens = 0; end < order.length && end - begin < most; end++) {
      tokens += costOf(order[end] as number);
      if (tokens > mostTokens && end > begin) break;
    }
    const batch = order.slice(begin, end);
    if (isOwn(number)) await batches.run({ tasks, inputs: batch, taskIndex: Int32Array.from(batch, taskOf) });
    begin = end;
  }
}

/** Some members of a list, by number. */
export function pick<T>(from: readonly T[], numbers: readonly number[]): T[] {
  return numbers.map((number) => from[number] as T);
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

/** Most bytes that are kept of the inputs of a batch that is read in parts. */
const KEPT_BYTES = 2 ** 30;

function tokensTogether(batches: BatchRun): number {
  const { keptPerToken } = batches;
  const { tokenBudget } = limitsOf(batches);
  return keptPerToken ? Math.max(tokenBudget, Math.floor(KEPT_BYTES / keptPerToken)) : tokenBudget;
}

function limitsOf({ batchSize = 64, tokenBudget = TOKEN_BUDGET }: BatchingOptions): {
  batchSize: number;
  tokenBudget: number;
} {
  return { batchSize, tokenBudget };
}

/** The inputs of each task. @throws HintError INVALID_ARGUMENT for an index that fits no input or no task */
function groupByTask(count: number, tasks: number, taskIndex: ArrayLike<number> | undefined): number[][] {
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

// Most generated parameters in memory at once: 256 MB.
const GENERATED_VALUES = 64 * 1024 * 1024;

/** Whole tasks that fit one batch together; a task of many inputs is alone. Tasks without inputs are left out. */
function groupTasks(
  model: AnyModel,
  instructions: readonly Int32Array[],
  inputsOf: readonly number[][],
  { batchSize, tokenBudget }: { batchSize: number; tokenBudget: number },
): number[][] {
  const valuesPerTask = familyOf(model).valuesPerTask?.(model) ?? 0;
  const most = Math.max(1, Math.floor(GENERATED_VALUES / Math.max(1, valuesPerTask)));
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
