import { concatenate, type Ragged } from '../../data/batch.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { anyModel, isDecoderOnly, type AnyModel } from '../../model/families/open-model.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { compileTasks, disposeTasks, type CompiledTasks } from '../compile/compiled-tasks.js';
import { decoderOnlyChoiceLosses, type ChoiceBatch } from '../decoder-only/choices.js';
import {
  boolean,
  checked,
  ids,
  list,
  numberedTasks,
  optional,
  options as optionsOf,
  type Members,
} from '../../util/arguments.js';
import { BATCHING, checkInputs, groupByTask, groupTasks, limitsOf } from './generate.js';

/** How choices are scored. */
export interface ScoreChoicesOptions {
  /** Mean instead of sum over the tokens of a choice (default false, as the paper; method §8.5). */
  lengthNormalised?: boolean;
  /** Most inputs scored together (default 64). */
  batchSize?: number;
  /** Most tokens of inputs and choices scored together (default 4,096); an input with more runs alone. */
  tokenBudget?: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export const SCORING: Members<ScoreChoicesOptions> = { ...BATCHING, lengthNormalised: optional(boolean) };

/** The choices of one input, scored. */
export interface ChoiceScores {
  /** Log probability of each choice given the input, EOS included. */
  scores: number[];
  /** Number of the most probable choice, the first of equal ones. */
  best: number;
}

/** Inputs of one task or of several, with what each chooses from. */
export interface ScoreChoicesRequest extends ScoreChoicesOptions {
  /** The distinct instructions; none for models that read no instruction. */
  instructions?: readonly Int32Array[];
  /** At least one token each. */
  inputs: readonly Int32Array[];
  /** Per input its choices: at least one, each of at least one token, EOS included. */
  choices: readonly (readonly Int32Array[])[];
  /** Per input the number of its instruction (default 0). */
  taskIndex?: ArrayLike<number>;
}

const scoreRequest = optionsOf<ScoreChoicesRequest>({
  ...SCORING,
  instructions: optional(list(ids)),
  inputs: list(ids),
  choices: list(list(ids)),
  taskIndex: optional(numberedTasks),
});

/**
 * Rank classification (method §8.5) of mixed-task inputs: each distinct instruction is compiled once, each input is
 * encoded once, and all choices of a batch go through the decoder together, without z-loss and dropout.
 *
 * @returns in the order of the inputs
 * @throws HintError INVALID_ARGUMENT (options, task index, number of choice lists), INVALID_DATA (no choices; an empty
 *   input, choice or instruction), INVALID_TOKEN, NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function scoreChoices(model: AnyModel, request: ScoreChoicesRequest): Promise<ChoiceScores[]> {
  checked(anyModel, model, 'model');
  const {
    instructions = [],
    inputs,
    choices,
    taskIndex,
    ...options
  } = checked(scoreRequest, request, 'request');
  if (!isDecoderOnly(model)) await model.prepareInference();
  if (instructions.length === 0) {
    const task = await compileTasks(model, concatenate([]));
    try {
      return await scoreChoicesWithTask(model, task, inputs, choices, options);
    } finally {
      disposeTasks(task);
    }
  }
  checkRequest(inputs, choices);
  const limits = limitsOf(options);
  const inputsOf = groupByTask(inputs.length, instructions.length, taskIndex);
  const results = new Array<ChoiceScores>(inputs.length);
  let done = 0;
  for (const group of groupTasks(model, instructions, inputsOf, limits)) {
    throwIfAborted(options.signal);
    const tasks = await compileTasks(
      model,
      concatenate(group.map((task) => instructions[task] as Int32Array)),
    );
    try {
      const order = group.flatMap((task) => inputsOf[task] as number[]);
      const local = new Map(group.flatMap((task, i) => (inputsOf[task] ?? []).map((input) => [input, i])));
      for (const batch of batches(order, inputs, choices, limits)) {
        throwIfAborted(options.signal);
        const taskOf = Int32Array.from(batch, (input) => local.get(input) as number);
        const scored = await scoreBatch(
          model,
          tasks,
          pick(inputs, batch),
          pick(choices, batch),
          taskOf,
          options,
        );
        batch.forEach((input, i) => (results[input] = scored[i] as ChoiceScores));
        options.onProgress?.((done += batch.length), inputs.length);
      }
    } finally {
      disposeTasks(tasks);
    }
  }
  return results;
}

/**
 * {@link scoreChoices} for inputs of one compiled task.
 *
 * @throws HintError as {@link scoreChoices}
 */
export async function scoreChoicesWithTask(
  model: AnyModel,
  task: CompiledTasks,
  inputs: readonly Int32Array[],
  choices: readonly (readonly Int32Array[])[],
  options: ScoreChoicesOptions = {},
): Promise<ChoiceScores[]> {
  checkRequest(inputs, choices);
  const limits = limitsOf(options);
  if (!isDecoderOnly(model)) await model.prepareInference();
  const results: ChoiceScores[] = [];
  for (const batch of batches([...inputs.keys()], inputs, choices, limits)) {
    throwIfAborted(options.signal);
    const taskOf = new Int32Array(batch.length);
    results.push(
      ...(await scoreBatch(model, task, pick(inputs, batch), pick(choices, batch), taskOf, options)),
    );
    options.onProgress?.(results.length, inputs.length);
  }
  return results;
}

/** One ragged pass over the inputs and all their choices; `taskOf` is nondecreasing. */
async function scoreBatch(
  model: AnyModel,
  tasks: CompiledTasks,
  inputs: readonly Int32Array[],
  choices: readonly (readonly Int32Array[])[],
  taskOf: Int32Array,
  { lengthNormalised = false }: ScoreChoicesOptions,
): Promise<ChoiceScores[]> {
  const { device } = model;
  const targets = concatenate(choices.flat());
  const loss = await device.inSlices(
    device.tidied(
      isDecoderOnly(model)
        ? decoderOnlyChoiceLosses(model, tasks, { inputs, choices, taskOf })
        : choiceLosses(model, tasks, { inputs, choices, taskOf, targets }),
    ),
  );
  let losses: Float32Array;
  try {
    losses = await loss.read();
  } finally {
    loss.dispose();
  }
  let choice = 0;
  return choices.map((own) => {
    const scores: number[] = [];
    // Products may round a row by its place among others: equal choices get the score of the first.
    const known = new Map<string, number>();
    for (const ids of own) {
      const begin = targets.offsets[choice++] as number;
      let sum = 0;
      for (let at = begin; at < begin + ids.length; at++) sum -= losses[at] as number;
      const key = ids.join();
      const score = known.get(key) ?? (lengthNormalised ? sum / ids.length : sum);
      known.set(key, score);
      scores.push(score);
    }
    return { scores, best: argmax(scores) };
  });
}

/** −log p of every token of every choice, [target rows]: encoder over the inputs, decoder over all their choices. */
function* choiceLosses(
  model: EncoderDecoderModel,
  tasks: CompiledTasks,
  batch: ChoiceBatch & { targets: Ragged },
): Sliced<Tensor> {
  const { inputs, choices, taskOf, targets } = batch;
  const readers = new Int32Array(inputs.length + 1);
  choices.forEach((own, i) => {
    readers[i + 1] = (readers[i] as number) + own.reduce((sum, { length }) => sum + length, 0);
  });
  const taskOfChoice = Int32Array.from(choices.flatMap((own, i) => own.map(() => taskOf[i] as number)));
  const memory = yield* model.encodeInputs(concatenate(inputs), tasks.encoded, taskOf);
  const read = { ...memory, readers, shared: tasks.shared };
  const hidden = yield* model.decode(targets, read, tasks.encoded, taskOfChoice);
  const ids = model.device.tensor(targets.ids, [targets.ids.length]);
  return ops.crossEntropy(hidden, model.t5.head, ids).loss;
}

function argmax(scores: readonly number[]): number {
  if (scores.some(Number.isNaN))
    throw new HintError(
      'NUMERIC',
      'The model gives a choice the score NaN; its weights are damaged or diverged.',
    );
  return scores.indexOf(scores.reduce((best, score) => Math.max(best, score), -Infinity));
}

/** Runs of inputs that fit together. */
function* batches(
  order: readonly number[],
  inputs: readonly Int32Array[],
  choices: readonly (readonly Int32Array[])[],
  { batchSize, tokenBudget }: { batchSize: number; tokenBudget: number },
): Generator<number[]> {
  let batch: number[] = [];
  let tokens = 0;
  for (const input of order) {
    const own = choices[input] as readonly Int32Array[];
    const cost = own.reduce((sum, { length }) => sum + length, (inputs[input] as Int32Array).length);
    if (batch.length > 0 && (batch.length === batchSize || tokens + cost > tokenBudget)) {
      yield batch;
      batch = [];
      tokens = 0;
    }
    batch.push(input);
    tokens += cost;
  }
  if (batch.length > 0) yield batch;
}

function pick<T>(from: readonly T[], numbers: readonly number[]): T[] {
  return numbers.map((number) => from[number] as T);
}

function checkRequest(inputs: readonly Int32Array[], choices: readonly (readonly Int32Array[])[]): void {
  checkInputs(inputs);
  if (choices.length !== inputs.length)
    throw new HintError(
      'INVALID_ARGUMENT',
      `There are ${choices.length} lists of choices for ${inputs.length} inputs; give one per input.`,
    );
  choices.forEach((own, input) => {
    if (own.length === 0)
      throw new HintError('INVALID_DATA', `Input number ${input} has 0 choices; give at least one to score.`);
    const empty = own.findIndex(({ length }) => length === 0);
    if (empty >= 0)
      throw new HintError(
        'INVALID_DATA',
        `Choice number ${empty} of input number ${input} has no token; give it at least the end-of-sequence token.`,
      );
  });
}
