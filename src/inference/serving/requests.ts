import {
  choice,
  either,
  instance,
  integer,
  optional,
  options,
  signal,
  type Members,
} from '../../util/arguments.js';
import { COMPILE_REQUEST, type CompileRequest } from '../compile/compile-request.js';
import type { TokenDecoding } from '../decode/decoding.js';
import { oneInput, TEXT_DECODING, type DecodingOptions } from '../task/task-arguments.js';
import { Task } from '../task/task.js';
import type { RowChoice } from './row.js';

/** How much an engine serves at once. */
export interface ServingOptions {
  /** Most inputs decoded together (default 64). */
  maxRows?: number;
  /** Most input tokens whose keys and values are kept at once (default 8,192); a longer input runs alone. */
  maxBatchTokens?: number;
  /**
   * Most cohorts in a batch (default 24), each the rows of one task that joined together: each costs its own attention in
   * every step.
   */
  maxCohorts?: number;
  /** Most requests that wait (default 1,024). */
  maxQueued?: number;
  /** For about how long a batch is decoded before newcomers join it (default 20). */
  pieceMilliseconds?: number;
}

const most = optional(integer(1, 1 << 24));

export const SERVING = options<ServingOptions>({
  maxRows: most,
  maxBatchTokens: most,
  maxCohorts: most,
  maxQueued: most,
  pieceMilliseconds: most,
});

/** One input of one task, decoded greedily unless it says otherwise. */
export interface EngineRequest extends DecodingOptions {
  /** Compiled by the same engine, and not disposed before the answer is there; or what to compile it from, as {@link Engine.tasks} does. */
  task: Task | CompileRequest;
  /** A text, or token ids with the end-of-sequence id. */
  input: string | Int32Array;
}

/** A request by itself. */
export interface SubmitRequest extends EngineRequest {
  /** Cancels this request alone, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** What to do when as many requests wait as may: reject with BUSY (the default), or wait for a place. */
  whenFull?: 'reject' | 'wait' | undefined;
}

/** A request whose task is there. */
export type QueuedRequest = Omit<SubmitRequest, 'task'> & { task: Task };

/** What a request of one of several may say. */
export const ENGINE_REQUEST: Members<EngineRequest> = {
  ...TEXT_DECODING,
  task: either<Task | CompileRequest>(
    'a Task, or what to compile it from, such as { definition: "Name the colour." }',
    [(value) => value instanceof Task, instance(Task, 'a Task')],
    [(value) => typeof value === 'object' && value !== null, COMPILE_REQUEST],
  ),
  input: oneInput,
};

export const SUBMIT_REQUEST = options<SubmitRequest>(
  { ...ENGINE_REQUEST, signal: optional(signal), whenFull: optional(choice('reject', 'wait')) },
  'an object such as { task, input }',
);

/** What a scheduler has done and has to do. */
export interface ServingStatistics {
  /** Requests that wait, and that are being decoded. */
  queued: number;
  /** Requests with rows in the batch that is decoded now. */
  running: number;
  /** Requests answered, failed and cancelled since the engine was opened. */
  completed: number;
  /** Requests that rejected with an error of their own or of the device. */
  failed: number;
  /** Requests whose signal was aborted. */
  cancelled: number;
}

/** How the tokens of a row are chosen. */
export function choiceOf(decoding: TokenDecoding, logProbs: boolean, isConstrained: boolean): RowChoice {
  const choice = freeChoiceOf(decoding, logProbs);
  // The logits of constrained rows are changed first.
  return isConstrained ? { ...choice, key: `constrained ${choice.key}` } : choice;
}

function freeChoiceOf(decoding: TokenDecoding, logProbs: boolean): RowChoice {
  if (decoding.kind === 'sample') return { ...decoding, key: JSON.stringify(decoding) };
  if (!logProbs) return { kind: 'greedy', key: 'greedy' };
  // At temperature 0 the most probable token is drawn, and its log-probability is known.
  return { kind: 'sample', temperature: 0, topK: 0, topP: 1, seed: 0, key: 'greedy with log-probabilities' };
}
