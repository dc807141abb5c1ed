import {
  boolean,
  callback,
  choice,
  either,
  ids,
  integer,
  list,
  number,
  optional,
  options,
  shaped,
  signal,
  text,
  type Kind,
  type Members,
} from '../../util/arguments.js';
import { CONSTRAINT, type Constraint } from '../constrain/constraint.js';
import type { EmbedOptions } from '../contract/family.js';
import { DECODING, type TokenDecodingOptions } from '../decode/decoding.js';
import { GENERATING, type GenerateTokensOptions } from '../decode/generate.js';
import { SCORING, type ScoreChoicesOptions } from '../decode/score-choices.js';
import { count } from '../decode/task-batches.js';
import type { QueuedInput } from './queued-input.js';
import type { TaskTrainingProgress } from './train-task.js';

/**
 * How an answer is decoded: the same options for {@link Task.generate}, {@link Task.stream}, and the requests of an engine. What does
 * nothing beside the others is refused.
 */
export interface DecodingOptions extends TokenDecodingOptions {
  /** Longer inputs are refused (default 1,024, what the systems are trained on). */
  maxInputTokens?: number | undefined;
  /** Ends an output before the first of these strings in its text; beam search is cut there when it is done. */
  stop?: readonly string[] | undefined;
  /**
   * What every answer has to be: one of some texts, a match of a regular expression, or JSON of a schema; not with beam search. A
   * piece that the vocabulary lacks, such as T5's `{`, is written where it is the only one that can come: there the answer's tokens
   * have the unknown id. Log-probabilities are then those among what is allowed.
   */
  constrain?: Constraint | undefined;
}

/** Options of {@link Task.generate}, which decodes its inputs in batches of their own. */
export interface TaskGenerateOptions
  extends DecodingOptions, Omit<GenerateTokensOptions, keyof TokenDecodingOptions> {}

/** Options of {@link Task.stream}. How much is decoded together is said when the engine is opened. */
export interface TaskStreamOptions
  extends DecodingOptions, Pick<GenerateTokensOptions, 'signal' | 'onProgress'> {
  /** What to do when as many inputs wait as may: reject with BUSY, or wait for a place (the default). */
  whenFull?: QueuedInput['whenFull'];
}

/** Options of {@link Task.scoreChoices}. */
export interface TaskScoreOptions extends ScoreChoicesOptions {
  /** Longer inputs are refused (default 1,024). */
  maxInputTokens?: number;
}

/** An example that a task is trained on: texts, or token ids with the end-of-sequence id. */
export interface TaskExample {
  /** As a task's `generate` takes it; at least one token. */
  readonly input: string | Int32Array;
  /** What the model is to answer; at least one token. */
  readonly output: string | Int32Array;
}

/** How {@link Task.train} goes from a compiled task to a trained one; every number is checked against its range. */
export interface TaskTrainOptions {
  /** Updates (default 100). */
  steps?: number;
  /** Examples of a step (default 8, at most as many as there are). */
  batchSize?: number;
  /** AdamW's rate at the first step (default 1e-3), from where it falls to 0 in a straight line. */
  learningRate?: number;
  /** Of the order of the examples (default 0). */
  seed?: number;
  /** Most tokens computed at once (default 4,096); longer examples are computed one by one. */
  tokenBudget?: number;
  /** Longer inputs are refused (default 1,024). */
  maxInputTokens?: number;
  /** Longer outputs are refused (default 1,024). */
  maxOutputTokens?: number;
  /** Ends the training, which rejects with ABORTED and gives its memory back. */
  signal?: AbortSignal | undefined;
  /** Told after each step. */
  onStep?: ((progress: TaskTrainingProgress) => void) | undefined;
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isIds = (value: unknown): boolean => value instanceof Int32Array;

/** One input as a task takes it. */
export const oneInput: Kind<string | Int32Array> = either<string | Int32Array>(
  'a text, or an Int32Array of token ids',
  [isText, text],
  [isIds, ids],
);

/** Inputs of a task: one, which is never taken for its characters, or a list. */
export type TaskInputs = string | Int32Array | readonly string[] | readonly Int32Array[];

const severalInputs = list(oneInput, 'a text, an Int32Array of token ids, or a list of them');
export const INPUTS: Kind<readonly (string | Int32Array)[]> = {
  ...severalInputs,
  read: (value) => severalInputs.read(isText(value) || isIds(value) ? [value] : value),
};

const isList = (value: unknown): boolean => Array.isArray(value);
export const CHOICES = list(
  either<string | Int32Array | (string | Int32Array)[]>(
    'an answer (a text, or an Int32Array of token ids), or a list of answers',
    [isText, text],
    [isIds, ids],
    [isList, list(oneInput)],
  ),
  'a list of answers such as ["yes", "no"], or one such list per input',
);

/** The members of {@link DecodingOptions}. */
export const TEXT_DECODING: Members<DecodingOptions> = {
  ...DECODING,
  maxInputTokens: optional(count),
  stop: optional(list(text)),
  constrain: optional(CONSTRAINT),
};
export const GENERATE = options<TaskGenerateOptions>({ ...GENERATING, ...TEXT_DECODING });
export const STREAM = options<TaskStreamOptions>({
  ...TEXT_DECODING,
  signal: GENERATING.signal,
  onProgress: GENERATING.onProgress,
  whenFull: optional(choice('reject', 'wait')),
});
export const SCORE = options<TaskScoreOptions>({ ...SCORING, maxInputTokens: optional(count) });
export const TASK_EXAMPLES = list(
  shaped<TaskExample>({ input: oneInput, output: oneInput }, 'an object { input, output }'),
  'a list of examples such as [{ input: "A red hat.", output: "red" }]',
);
export const TRAIN = options<TaskTrainOptions>({
  steps: optional(count),
  batchSize: optional(count),
  learningRate: optional(number(0, 10, { above: true })),
  seed: optional(integer(0)),
  tokenBudget: optional(count),
  maxInputTokens: optional(count),
  maxOutputTokens: optional(count),
  signal: optional(signal),
  onStep: optional(callback<(progress: TaskTrainingProgress) => void>()),
});
const EMBEDDING: Members<EmbedOptions> = { pooled: optional(boolean), signal: optional(signal) };
export const EMBED = options<EmbedOptions & { maxInputTokens?: number }>({
  ...EMBEDDING,
  maxInputTokens: optional(count),
});
export const EMBED_INSTRUCTION = options<EmbedOptions>(EMBEDDING);

/** Options of which the signal is the only one. */
export const ONLY_SIGNAL = options<{ signal?: AbortSignal | undefined }>({ signal: optional(signal) });
