import { concatenate } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import { anyModel } from '../../model/families/registry.js';
import {
  boolean,
  checked,
  ids,
  list,
  optional,
  options as optionsOf,
  type Members,
} from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import type { ChoiceBatch } from '../contract/family.js';
import { familyOf } from '../families/registry.js';
import {
  BATCHING,
  checkInputs,
  MIXED_INPUTS,
  pick,
  runByTask,
  runWithTask,
  type BatchRun,
  type MixedInputs,
  type TaskBatch,
} from './task-batches.js';

/** How choices are scored. */
export interface ScoreChoicesOptions {
  /** Mean instead of sum over the tokens of a choice (default false, as the paper; method §8.5). */
  lengthNormalised?: boolean;
  /** Most inputs scored together (default 64). */
  batchSize?: number;
  /** Most tokens of inputs and choices scored together (default 4,096); an input with more runs alone. */
  tokenBudget?: number;
  /** Ends the scoring, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with the number of inputs scored, and of all. */
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
export interface ScoreChoicesRequest extends ScoreChoicesOptions, MixedInputs {
  /** Per input its choices: at least one, each of at least one token, EOS included. */
  choices: readonly (readonly Int32Array[])[];
}

const scoreRequest = optionsOf<ScoreChoicesRequest>({
  ...SCORING,
  ...MIXED_INPUTS,
  choices: list(list(ids)),
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
  const { batches, results } = scoring(model, inputs, choices, options);
  await runByTask(batches, { instructions, ...(taskIndex ? { taskIndex } : {}) });
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
  const { batches, results } = scoring(model, inputs, choices, options);
  await runWithTask(batches, task);
  return results;
}

/** How batches of these inputs are scored, and where the results come to lie. */
function scoring(
  model: AnyModel,
  inputs: readonly Int32Array[],
  choices: readonly (readonly Int32Array[])[],
  options: ScoreChoicesOptions,
): { batches: BatchRun; results: ChoiceScores[] } {
  checkRequest(inputs, choices);
  const results = new Array<ChoiceScores>(inputs.length);
  let done = 0;
  const costOf = (input: number): number => {
    const own = choices[input] as readonly Int32Array[];
    return own.reduce((sum, { length }) => sum + length, (inputs[input] as Int32Array).length);
  };
  const run = async ({ tasks, inputs: batch, taskIndex: taskOf }: TaskBatch): Promise<void> => {
    const scored = await scoreBatch(
      model,
      tasks,
      { inputs: pick(inputs, batch), choices: pick(choices, batch), taskOf },
      options.lengthNormalised === true,
    );
    batch.forEach((input, i) => (results[input] = scored[i] as ChoiceScores));
    options.onProgress?.((done += batch.length), inputs.length);
  };
  return { batches: { ...options, model, inputs, costOf, run }, results };
}

/** One ragged pass over the inputs and all their choices. */
async function scoreBatch(
  model: AnyModel,
  tasks: CompiledTasks,
  batch: ChoiceBatch,
  lengthNormalised: boolean,
): Promise<ChoiceScores[]> {
  const { device } = model;
  const loss = await device.inSlices(device.tidied(familyOf(model).choiceLosses(model, tasks, batch)));
  let losses: Float32Array;
  try {
    losses = await loss.read();
  } finally {
    loss.dispose();
  }
  const { offsets } = concatenate(batch.choices.flat());
  let choice = 0;
  return batch.choices.map((own) => {
    const scores: number[] = [];
    // The rounding of a row may depend on its place in the batch, so equal choices get the score of the first of them.
    const known = new Map<string, number>();
    for (const ids of own) {
      const begin = offsets[choice++] as number;
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

function argmax(scores: readonly number[]): number {
  if (scores.some(Number.isNaN))
    throw new HintError(
      'NUMERIC',
      'The model gives a choice the score NaN; its weights are damaged or diverged.',
    );
  return scores.indexOf(scores.reduce((best, score) => Math.max(best, score), -Infinity));
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
