import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ApiError, apiErrorOf } from './errors.js';

/** Time that a client has to send its headers, and a whole request, in milliseconds: slow ones hold no connection for long. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
const MOST_HEADER_BYTES = 16 * 1024;

/**
 * A Fastify server with limits on slow and large requests, whose log knows requests by id and trace.
 *
 * @param log gets each line of the log
 * @param level of what is logged: `error` leaves out the requests themselves
 */
export function createApp(log: ((line: string) => void) | undefined, level = 'info'): FastifyInstance {
  return Fastify({
    logger: log ? { level, stream: { write: log } } : false,
    genReqId: ({ headers }) => {
      const id = headers['x-request-id'];
      return typeof id === 'string' && /^[\w.:-]{1,128}$/.test(id) ? id : randomUUID();
    },
    childLoggerFactory: (logger, bindings, options, { headers }) => {
      const [, traceId] = /^[\da-f]{2}-([\da-f]{32})-/.exec(String(headers.traceparent ?? '')) ?? [];
      return logger.child(traceId === undefined ? bindings : { ...bindings, traceId }, options);
    },
    requestTimeout: REQUEST_TIMEOUT,
    http: {
      headersTimeout: HEADERS_TIMEOUT,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: MOST_HEADER_BYTES,
      // The guard says what is wrong with the name; Node.js would answer nothing but a status.
      requireHostHeader: false,
    },
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply),
    clientErrorHandler,
  });
}

/** Answers with an error, as every other one is told. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = apiErrorOf(error, request.routeOptions.bodyLimit);
  if (failure.status === 500) request.log.error(error);
  return reply.code(failure.status).type('application/json').send(failure.body);
}

/** What is no HTTP, or came too slowly, gets the same kind of error as everything else. */
function clientErrorHandler(error: NodeJS.ErrnoException, socket: Socket): void {
  const [status, title, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [
          431,
          'Request Header Fields Too Large',
          `The headers have more than ${MOST_HEADER_BYTES} bytes; send fewer.`,
        ]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'The request came too slowly; send it at once.']
        : [400, 'Bad Request', 'This is not HTTP as this server reads it.'];
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(new ApiError(status as number, message as string).body);
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
