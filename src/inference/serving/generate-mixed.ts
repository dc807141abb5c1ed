import { HintError, throwIfAborted } from '../../util/errors.js';
import { callback, list, optional, options, signal } from '../../util/arguments.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { TEXT_DECODING, type DecodingOptions } from '../task/task-arguments.js';
import type { GeneratedText } from '../task/task.js';
import { ENGINE_REQUEST, type EngineRequest, type SubmitRequest } from './requests.js';

/** What holds for all requests that say nothing else. */
export interface EngineGenerateOptions extends DecodingOptions {
  /** Ends all of them, which reject with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with the number of requests answered, and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export const ENGINE_REQUESTS = list(
  options<EngineRequest>(ENGINE_REQUEST, 'an object such as { task, input }'),
  'a list of requests such as [{ task, input }]',
);

export const ENGINE_GENERATE = options<EngineGenerateOptions>({
  ...TEXT_DECODING,
  signal: optional(signal),
  onProgress: optional(callback()),
});

/**
 * Runs requests of different tasks together.
 *
 * @returns in their order
 * @throws HintError what the first request to fail does; none goes on then
 */
export async function generateMixed(
  submit: (request: SubmitRequest) => Promise<GeneratedText>,
  requests: readonly EngineRequest[],
  { signal: given, onProgress, ...common }: EngineGenerateOptions,
): Promise<GeneratedText[]> {
  throwIfAborted(given);
  const stop = new AbortController();
  const abort = (): void => stop.abort(given?.reason);
  given?.addEventListener('abort', abort);
  const results = new Array<GeneratedText>(requests.length);
  let failure: { error: unknown } | undefined;
  let done = 0;
  const one = async (request: EngineRequest, index: number): Promise<void> => {
    try {
      const signalled = { ...common, ...request, signal: stop.signal, whenFull: 'wait' as const };
      results[index] = await submit(signalled);
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
    given?.removeEventListener('abort', abort);
  }
  throwIfAborted(given);
  if (failure) throw failure.error;
  return results;
}

/** The error of one request of several, which request it was included. */
function numbered(error: unknown, index: number, count: number): unknown {
  if (!(error instanceof HintError) || count === 1 || error.code === 'ABORTED') return error;
  return new HintError(error.code, `Request number ${index}: ${error.message}`, { cause: error });
}
