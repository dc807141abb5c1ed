import { setMaxListeners } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { addJsonBodies, validate } from './bodies.js';
import { beginEnding, reasonOf } from './ending.js';
import { ApiError, apiErrorOf } from './errors.js';
import { closeWithConnection } from './waiting-answers.js';

export const DEFAULT_DRAIN_SECONDS = 30;

/** How requests are taken. */
export interface RequestOptions {
  /** Bytes of a body, where a route says nothing else. */
  bodyBytes: number;
  /** Seconds within which a request is answered. */
  seconds: number;
  /** Seconds that closing the server waits for answers under way. */
  drainSeconds: number;
}

/**
 * Has requests read strictly, ended in time, and their errors told as OpenAI's API does.
 *
 * @returns whether the server is closing
 */
export function takeRequests(
  app: FastifyInstance,
  { bodyBytes, seconds, drainSeconds }: RequestOptions,
): () => boolean {
  let isDraining = false;
  const stopping = new AbortController();
  // One for each request: many are no leak.
  setMaxListeners(0, stopping.signal);
  app.setValidatorCompiler(validate);
  // What is sent is made here; checking it again would take as long as making it.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  addJsonBodies(app);
  app.setErrorHandler((error, request, reply) => {
    const failure = apiErrorOf(reasonOf(request, error), request.routeOptions.bodyLimit);
    if (failure.status === 500) request.log.error(error);
    if (failure.retryAfter !== undefined) reply.header('retry-after', failure.retryAfter);
    // A client that is still sending a body which nobody wants reads the answer only once it has sent all: closing the
    // connection before would be all that it hears. The time limit of requests bounds this.
    if (!request.raw.complete && !request.raw.destroyed) {
      reply.removeHeader('connection');
      request.raw.resume();
    }
    return reply.code(failure.status).type('application/json').send(failure.body);
  });
  app.addHook('onRoute', (route) => {
    route.bodyLimit ??= bodyBytes;
  });
  app.addHook('onRequest', async (request, reply) => {
    // In HTTP/2 no answer waits behind another.
    if (request.raw.httpVersionMajor === 1) closeWithConnection(reply.raw, request.raw.socket);
    beginEnding(request, reply, seconds, stopping.signal);
  });
  app.addHook('preClose', async () => {
    isDraining = true;
    setTimeout(() => stopping.abort(), drainSeconds * 1000).unref();
  });
  return () => isDraining;
}

/** Counts the requests that are worked on. */
export class InFlight {
  private current = 0;

  get count(): number {
    return this.current;
  }

  /** Refuses requests to the routes of `app` while there are as many as there may be. */
  limit(app: FastifyInstance, most: number): void {
    app.addHook('onRequest', async (_request, reply) => {
      if (this.current >= most)
        throw new ApiError(
          429,
          `${this.current} requests are worked on already, the limit; try again later.`,
          {
            code: 'busy',
            retryAfter: 1,
          },
        );
      this.current++;
      reply.raw.once('close', () => this.current--);
    });
  }
}
