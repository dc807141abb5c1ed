import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './errors.js';

const endings = new WeakMap<FastifyRequest, AbortController>();

/**
 * Begins what ends the work for a request early: its client went away, its time is up, or the server stops. The reason of
 * the signal is the answer, as far as somebody still reads one.
 *
 * @param seconds how long answering may take
 * @param stopping aborted when the server no longer waits for what runs
 */
export function beginEnding(
  request: FastifyRequest,
  reply: FastifyReply,
  seconds: number,
  stopping: AbortSignal,
): void {
  const controller = new AbortController();
  endings.set(request, controller);
  const late = (): void =>
    controller.abort(
      new ApiError(
        504,
        `There was no answer within ${seconds} s, the limit; ask for less, or try again later.`,
        {
          code: 'deadline_exceeded',
        },
      ),
    );
  const stop = (): void =>
    controller.abort(
      new ApiError(503, 'The server is stopping; ask again when it is back.', { retryAfter: 5 }),
    );
  const timer = setTimeout(late, seconds * 1000);
  timer.unref();
  stopping.addEventListener('abort', stop);
  reply.raw.once('close', () => {
    clearTimeout(timer);
    stopping.removeEventListener('abort', stop);
    // Nobody reads this; after a whole answer nothing listens to the signal either.
    controller.abort(new ApiError(499, 'The client went away.'));
  });
  if (stopping.aborted) stop();
}

/** Aborted when the work for a request is to end early. */
export function endingOf(request: FastifyRequest): AbortSignal {
  return (endings.get(request) as AbortController).signal;
}

/** What an error of a request's work is told as: that of what has ended the work, where something did. */
export function reasonOf(request: FastifyRequest, error: unknown): unknown {
  const signal = endings.get(request)?.signal;
  return signal?.aborted === true && signal.reason instanceof ApiError ? signal.reason : error;
}
