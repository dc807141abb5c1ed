import { objectOf, outputOf, run } from './run-op.js';
import type { Tensor } from './tensor.js';

/** The state of a greedy decode loop, all of it written by {@link greedy}. */
export interface GreedyState {
  /** i32 [rows]: the token to feed next. */
  token: Tensor;
  /** i32 [rows]: 1 from the token on that ended a row. */
  finished: Tensor;
  /** i32 [rows, capacity]. */
  tokens: Tensor;
  /** i32 [1]: tokens generated so far. */
  position: Tensor;
  /** i32 [1]: 1 as soon as all rows are finished, which ends a replay. */
  stop: Tensor;
}

/** Takes the most probable token of each unfinished row and advances the loop. */
export function greedy(logits: Tensor, state: GreedyState, eosId: number): void {
  const { token, finished, tokens, position, stop } = objectOf(state, 'state');
  run('greedy', { logits, token, finished, tokens, position, stop }, { eosId });
}

/** What {@link sample} draws from. */
export interface SampleAttributes {
  /** 0 takes the most probable token. */
  temperature: number;
  /** 0: all. */
  topK: number;
  /** Probability mass that is kept, above 0; 1: all. */
  topP: number;
  /** An integer below 2^53. */
  seed: number;
}

/** The state of a sampling loop, all of it but `stream` written by {@link sample}. */
export interface SampleState extends GreedyState {
  /** i32 [rows, 2]: which random numbers a row draws, besides seed and position. */
  stream: Tensor;
  /** f32 [rows, capacity]: of softmax(logits). */
  logProbs: Tensor;
}

/** Draws the next token of each unfinished row and advances the loop. */
export function sample(
  logits: Tensor,
  state: SampleState,
  eosId: number,
  attributes: SampleAttributes,
): void {
  const { temperature, topK, topP, seed } = objectOf(attributes, 'attributes');
  const { stream, token, finished, tokens, logProbs, position, stop } = objectOf(state, 'state');
  run(
    'sample',
    { logits, stream, token, finished, tokens, logProbs, position, stop },
    { eosId, temperature, topK, topP, seed },
  );
}

/** The k largest of log-softmax of each row, largest first, and their ids, the lowest first on ties. */
export function topK(logits: Tensor, k: number): { logProbs: Tensor; ids: Tensor } {
  const outputs = run('top_k', { logits }, { k });
  return { logProbs: outputOf(outputs, 'logProbs'), ids: outputOf(outputs, 'ids') };
}

/**
 * In place: row i of a cache [rows, capacity, width] becomes what row parents[i] was, for the first `position` entries.
 * Rows move within groups of `groupSize`.
 */
export function reorderCache(cache: Tensor, parents: Tensor, position: Tensor, groupSize: number): void {
  run('reorder_cache', { cache, parents, position }, { groupSize });
}
