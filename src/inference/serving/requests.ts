import {
  choice,
  integer,
  list,
  optional,
  options,
  signal,
  text,
  type Members,
} from '../../util/arguments.js';
import { DECODING, type DecodingOptions, type TokenDecoding } from '../decode/decoding.js';
import { count } from '../decode/task-batches.js';
import { oneInput } from '../task/task-arguments.js';
import type { Task } from '../task/task.js';
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

/** One input of one task; decoded greedily unless it says how to draw tokens. */
export interface SubmitRequest extends Pick<
  DecodingOptions,
  'temperature' | 'topK' | 'topP' | 'seed' | 'logProbs'
> {
  /** Compiled by the same engine, and not disposed before the answer is there. */
  task: Task;
  /** A text, or token ids with the end-of-sequence id. */
  input: string | Int32Array;
  /** Most tokens generated, end of sequence included (default 128). */
  maxTokens?: number;
  /** A longer input is refused (default 1,024). */
  maxInputTokens?: number;
  /** Ends the output before the first of these strings in its text. */
  stop?: readonly string[];
  /** Cancels this request alone, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** What to do when as many requests wait as may: reject with BUSY (the default), or wait for a place. */
  whenFull?: 'reject' | 'wait';
}

/** What a request may say besides its task. */
export const REQUEST: Members<Omit<SubmitRequest, 'task'>> = {
  temperature: DECODING.temperature,
  topK: DECODING.topK,
  topP: DECODING.topP,
  seed: DECODING.seed,
  logProbs: DECODING.logProbs,
  input: oneInput,
  maxTokens: optional(count),
  maxInputTokens: optional(count),
  stop: optional(list(text)),
  signal: optional(signal),
  whenFull: optional(choice('reject', 'wait')),
};

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
export function choiceOf(decoding: TokenDecoding, logProbs: boolean): RowChoice {
  if (decoding.kind === 'sample') return { ...decoding, key: JSON.stringify(decoding) };
  if (!logProbs) return { kind: 'greedy', key: 'greedy' };
  // At temperature 0 the most probable token is drawn, and its log-probability is known.
  return { kind: 'sample', temperature: 0, topK: 0, topP: 1, seed: 0, key: 'greedy with log-probabilities' };
}
