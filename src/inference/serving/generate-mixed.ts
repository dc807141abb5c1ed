import { HintError, throwIfAborted } from '../../util/errors.js';
import { callback, instance, list, optional, options } from '../../util/arguments.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { Task, type Generation } from '../task/task.js';
import { REQUEST, type SubmitRequest } from './requests.js';
import type { Scheduler } from './scheduler.js';

/** One of many inputs: its task, and what it needs of its own. */
export type MixedRequest = Omit<SubmitRequest, 'signal' | 'whenFull'>;

/** What holds for all requests that say nothing else. */
export interface MixedGenerateOptions extends Omit<SubmitRequest, 'task' | 'input' | 'whenFull'> {
  /** Called with the number of requests answered, and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const { temperature, topK, topP, seed, logProbs, maxTokens, maxInputTokens, stop, input, signal } = REQUEST;
const ofEach = { temperature, topK, topP, seed, logProbs, maxTokens, maxInputTokens, stop };

export const MIXED_REQUESTS = list(
  options<MixedRequest>(
    { ...ofEach, input, task: instance(Task, 'a Task, such as await engine.compile({ definition })') },
    'an object such as { task, input }',
  ),
  'a list of requests such as [{ task, input }]',
);

export const MIXED_OPTIONS = options<MixedGenerateOptions>({
  ...ofEach,
  signal,
  onProgress: optional(callback()),
});

/**
 * Runs requests of different tasks together.
 *
 * @returns in their order
 * @throws HintError what the first request to fail does; none goes on then
 */
export async function generateMixed(
  scheduler: Scheduler,
  requests: readonly MixedRequest[],
  { signal, onProgress, ...common }: MixedGenerateOptions,
): Promise<Generation[]> {
  throwIfAborted(signal);
  const stop = new AbortController();
  const abort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const results = new Array<Generation>(requests.length);
  let failure: { error: unknown } | undefined;
  let done = 0;
  const one = async (request: MixedRequest, index: number): Promise<void> => {
    try {
      const signalled = { ...common, ...request, signal: stop.signal, whenFull: 'wait' as const };
      results[index] = await scheduler.submit(signalled);
      onProgress?.(++done, requests.length);
    } catch (error) {
      failure ??= { error: numbered(error, index, requests.length) };
      stop.abort(error);
    }
  };
  const work: Promise<void>[] = [];
  const breathe = createYielder();
  try {
    for (const [index, request] of requests.entries()) {
      const pause = breathe();
      if (pause) await pause;
      if (stop.signal.aborted) break;
      work.push(one(request, index));
    }
    await Promise.all(work);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  throwIfAborted(signal);
  if (failure) throw failure.error;
  return results;
}

/** The error of one request of several, which request it was included. */
function numbered(error: unknown, index: number, count: number): unknown {
  if (!(error instanceof HintError) || count === 1 || error.code === 'ABORTED') return error;
  return new HintError(error.code, `Request number ${index}: ${error.message}`, { cause: error });
}
