import { Readable } from 'node:stream';
import { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { endingOf, reasonOf } from '../http/ending.js';
import { ApiError, apiErrorOf } from '../http/errors.js';
import { errorEvent } from '../http/events.js';
import type { SharedTask, SharedTasks } from './shared-tasks.js';
import type { WorkerPool } from './worker-pool.js';
import {
  readAnswer,
  WorkerLost,
  type WorkerAnswer,
  type WorkerProcess,
  type WorkerRequest,
} from './worker-process.js';

/** Workers that a request may be lost with before it is given up: it may be what ends them. */
const MOST_LOSSES = 2;
/** Headers that are about one connection, or that the front writes itself. */
const OWN_HEADERS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date', 'x-request-id']);

/** A request for a worker, with what says which. */
export interface Routed extends WorkerRequest {
  /** Where it is warm: the id of a task. */
  readonly key?: string | undefined;
  /** Registered tasks that the worker has to have. */
  readonly tasks?: readonly SharedTask[];
}

/** Sends requests to workers, again where a worker was lost before anything of its answer was sent on. */
export class Router {
  constructor(
    private readonly pool: WorkerPool,
    private readonly tasks: SharedTasks,
  ) {}

  /** Answers a request with what a worker answers. @throws ApiError 503 */
  async forward(request: FastifyRequest, reply: FastifyReply, routed: Routed): Promise<FastifyReply> {
    const answer = await this.attempt(request, routed, reply, async (worker, asked, signal) => {
      const begun = await worker.ask(asked, signal);
      return isStream(begun) ? begun : readAnswer(begun, signal);
    });
    if (!(answer instanceof IncomingMessage)) return sendAnswer(reply, answer);
    copyHead(reply, answer.statusCode ?? 502, answer.headers);
    const isEvents = String(answer.headers['content-type']).startsWith('text/event-stream');
    return reply.send(isEvents ? Readable.from(wholeEvents(request, answer)) : answer);
  }

  /** The whole answer of a worker, and which. @throws ApiError 503 */
  async read(
    request: FastifyRequest,
    routed: Routed,
  ): Promise<{ answer: WorkerAnswer; worker: WorkerProcess }> {
    return this.attempt(request, routed, undefined, async (worker, asked, signal) => ({
      answer: await worker.read(asked, signal),
      worker,
    }));
  }

  /** @param until a reply until whose end the request counts as worked on; absent: until the answer is read */
  private async attempt<T>(
    request: FastifyRequest,
    { key, tasks = [], ...asked }: Routed,
    until: FastifyReply | undefined,
    work: (worker: WorkerProcess, asked: WorkerRequest, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const signal = endingOf(request);
    const headers = {
      'x-request-id': request.id,
      ...(typeof request.headers.traceparent === 'string'
        ? { traceparent: request.headers.traceparent }
        : {}),
    };
    const without = new Set<WorkerProcess>();
    let losses = 0;
    for (;;) {
      const worker = await this.pool.choose({ key, without }, signal);
      const leave = worker.enter();
      let keeps = false;
      try {
        for (const task of tasks) await this.tasks.give(worker, task, signal);
        const result = await work(worker, { ...asked, headers }, signal);
        keeps = until !== undefined;
        until?.raw.once('close', leave);
        return result;
      } catch (error) {
        if (!(error instanceof WorkerLost)) throw error;
        without.add(worker);
        if (error.hadBegun) losses++;
        if (losses < MOST_LOSSES) continue;
        throw new ApiError(
          503,
          `${MOST_LOSSES} workers ended with this request before they answered; try again later, or ask for less.`,
          { code: 'worker_lost', retryAfter: 1 },
        );
      } finally {
        if (!keeps) leave();
      }
    }
  }
}

/** Sends on what a worker answered. */
export function sendAnswer(reply: FastifyReply, { status, headers, body }: WorkerAnswer): FastifyReply {
  copyHead(reply, status, headers);
  return reply.send(body);
}

function isStream({ headers }: IncomingMessage): boolean {
  return /^(text\/event-stream|application\/octet-stream)/.test(headers['content-type'] ?? '');
}

function copyHead(reply: FastifyReply, status: number, headers: IncomingMessage['headers']): void {
  reply.code(status);
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !OWN_HEADERS.has(name)) reply.header(name, value);
}

/** The events of a stream, each whole; where the worker is lost, the last one says so. */
async function* wholeEvents(
  request: FastifyRequest,
  answer: IncomingMessage,
): AsyncGenerator<Buffer | string, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of answer) {
      const known = Buffer.concat([rest, chunk as Buffer]);
      const end = known.lastIndexOf('\n\n') + 2;
      if (end > 1) yield known.subarray(0, end);
      rest = end > 1 ? known.subarray(end) : known;
    }
  } catch {
    const lost = new ApiError(503, 'The worker ended before its answer was whole; ask again.', {
      code: 'worker_lost',
    });
    yield errorEvent(apiErrorOf(reasonOf(request, lost)));
  } finally {
    answer.destroy();
  }
}
