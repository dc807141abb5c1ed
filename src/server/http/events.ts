import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { reasonOf } from './ending.js';
import { apiErrorOf, type ApiError } from './errors.js';

/** One server-sent event; without a name it is of the kind "message". */
export interface ServerEvent {
  name?: string;
  /** JSON, or a text that is sent as it is. */
  data: unknown;
}

/**
 * Answers with server-sent events. What fails before the first event is answered as without a stream; what fails later
 * is the last event.
 */
export async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  events: AsyncGenerator<ServerEvent, void, undefined>,
): Promise<FastifyReply> {
  const first = await events.next();
  reply.header('content-type', 'text/event-stream; charset=utf-8');
  // Proxies such as nginx gather answers otherwise.
  reply.header('x-accel-buffering', 'no');
  return reply.send(Readable.from(written(request, first, events)));
}

async function* written(
  request: FastifyRequest,
  first: IteratorResult<ServerEvent, void>,
  events: AsyncGenerator<ServerEvent, void, undefined>,
): AsyncGenerator<string, void, undefined> {
  if (first.done === true) return;
  try {
    yield textOf(first.value);
    for await (const event of events) yield textOf(event);
  } catch (error) {
    const failure = apiErrorOf(reasonOf(request, error));
    if (failure.status === 500) request.log.error(error);
    yield errorEvent(failure);
  } finally {
    await events.return();
  }
}

/** The last event of a stream that fails. */
export function errorEvent(failure: ApiError): string {
  return textOf({ name: 'error', data: failure.body });
}

function textOf({ name, data }: ServerEvent): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`;
}
