import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Engine } from '../inference/engine.js';
import {
  boolean,
  callback,
  checked,
  integer,
  list,
  name,
  optional,
  options as optionsOf,
  path,
  where,
  type Members,
} from '../util/arguments.js';
import { HintError } from '../util/errors.js';
import { ApiKeys } from './http/api-keys.js';
import { ApiError, apiErrorOf } from './http/errors.js';
import { guard, isLoopback, LOOPBACK_HOSTS } from './http/guard.js';
import { PAGE_PATHS } from './page/page.js';
import { DEFAULT_DRAIN_SECONDS, hintPlugin, type HintPluginOptions } from './plugin.js';

/** How {@link startServer} serves. */
export interface ServerOptions extends Omit<HintPluginOptions, 'engine'> {
  /** Where to listen (default 127.0.0.1). Beyond the machine itself only with `apiKeys`. */
  host?: string;
  /** Default 8080; 0 takes any that is free. */
  port?: number;
  /** A file with an API key a line; without it, whoever reaches the server may use it. */
  apiKeys?: string;
  /** Further names that requests may call the server by. */
  allowHosts?: readonly string[];
  /** Further origins, such as https://app.example, whose pages may use the server. */
  allowOrigins?: readonly string[];
  /** Gets each line of the log, JSON as pino writes it; default: there is no log. */
  log?: (line: string) => void;
  /** Whether bodies, and so the texts of people, are in the log (default false). */
  logBodies?: boolean;
}

// What is compared with a header and can never be equal to one would silently allow nobody.
const hostName = where<string>(
  'a host without scheme, port and path, such as app.example or [2001:db8::1]',
  (value) => typeof value === 'string' && /^(?:[^\s/:@?#[\]]+|\[[\da-f:.]+\])$/i.test(value),
);
const origin = where<string>(
  'an origin as browsers send it, in small letters and without a path, such as https://app.example, or null',
  (value) => typeof value === 'string' && isOrigin(value),
);

function isOrigin(value: string): boolean {
  if (value === 'null') return true;
  // Origins of schemes such as chrome-extension: URL does not know.
  if (!/^https?:/i.test(value)) return /^[a-z][a-z\d+.-]*:\/\/[^\sA-Z/?#@]+$/.test(value);
  return URL.canParse(value) && new URL(value).origin === value;
}

const OPTIONS: Members<ServerOptions> = {
  model: optional(name),
  // Checked by the plugin.
  limits: { ...optional(optionsOf<object>({})), read: (value) => value as object },
  drainSeconds: optional(integer(0, 86_400)),
  host: optional(name),
  port: optional(integer(0, 65_535)),
  apiKeys: optional(path),
  allowHosts: optional(list(hostName)),
  allowOrigins: optional(list(origin)),
  log: optional(callback<(line: string) => void>()),
  logBodies: optional(boolean),
};

/** A server that listens. */
export interface RunningServer {
  /** Such as http://127.0.0.1:8080 */
  readonly url: string;
  /** The Fastify server that listens, for routes and hooks of the program's own. */
  readonly app: FastifyInstance;
  /** Takes nothing new, waits for answers under way as long as `drainSeconds`, ends the others. */
  close(): Promise<void>;
}

/** Time that a client has to send its headers, and a whole request, in milliseconds: slow ones hold no connection for long. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
/** Time that a client has to read the last of its answer when the server stops, in milliseconds. */
const UNREAD_TIMEOUT = 2000;
const MOST_HEADER_BYTES = 16 * 1024;
const MOST_CONNECTIONS = 8192;

/**
 * Serves a model over HTTP, safe by default: to this machine only, and only to programs and its own pages.
 *
 * @example
 * ```ts
 * const server = await startServer(await Engine.open('model'), { port: 8080 });
 * ```
 * @throws HintError INVALID_ARGUMENT, also for a host beyond this machine without API keys; NOT_FOUND, IO, INVALID_DATA (keys);
 *   BUSY for a port that is taken
 */
export async function startServer(engine: Engine, options: ServerOptions = {}): Promise<RunningServer> {
  const given = checked(optionsOf<ServerOptions>(OPTIONS), options, 'options');
  const {
    host = '127.0.0.1',
    port = 8080,
    allowHosts = [],
    allowOrigins = [],
    log,
    logBodies = false,
  } = given;
  const keys = given.apiKeys === undefined ? undefined : await ApiKeys.read(given.apiKeys);
  if (!isLoopback(host) && !keys) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `The host ${host} is reached from other machines; give a file of API keys (--api-keys), or leave the host out to serve this machine only.`,
    );
  }
  const own = isLoopback(host) ? LOOPBACK_HOSTS : [];
  const rules = {
    // Beyond this machine it is the keys that keep other pages out, and the server cannot know its names.
    hosts:
      own.length + allowHosts.length === 0
        ? undefined
        : [...own, ...allowHosts].map((one) => one.toLowerCase()),
    origins: allowOrigins,
    keys,
    openPaths: OPEN_PATHS,
  };
  const app = createApp(log);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    reply.header('x-request-id', request.id);
    guard(rules, request, reply);
  });
  if (logBodies)
    app.addHook('preHandler', async (request) => {
      request.log.info({ body: request.body }, 'body');
    });
  closeConnections(app, given.drainSeconds ?? DEFAULT_DRAIN_SECONDS);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) => {
    const message = `There is no ${request.method} ${request.url.slice(0, 200)} here; GET /openapi.json lists what there is.`;
    return answerError(new ApiError(404, message, { code: 'not_found' }), request, reply);
  });
  const { model, limits, drainSeconds } = given;
  const plugin = {
    ...(model === undefined ? {} : { model }),
    ...(limits ? { limits } : {}),
    ...(drainSeconds === undefined ? {} : { drainSeconds }),
  };
  try {
    await app.register(hintPlugin, { engine, ...plugin });
    app.server.maxConnections = MOST_CONNECTIONS;
    const url = await app.listen({ host, port });
    return { url, app, close: () => app.close() };
  } catch (error) {
    await app.close();
    throw listeningError(error, host, port);
  }
}

/** For those who watch over the process, and the page, which asks for a key itself. None of them tells a secret. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz', ...PAGE_PATHS]);

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

function createApp(log: ServerOptions['log']): FastifyInstance {
  return Fastify({
    logger: log ? { stream: { write: log } } : false,
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
    },
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply),
    clientErrorHandler,
  });
}

/** Closing waits for connections, which clients would keep open after their answer, or without reading it. */
function closeConnections(app: FastifyInstance, drainSeconds: number): void {
  let isClosing = false;
  app.addHook('preClose', async () => {
    isClosing = true;
    const end = (): void => app.server.closeAllConnections();
    setTimeout(end, drainSeconds * 1000 + UNREAD_TIMEOUT).unref();
  });
  app.addHook('onResponse', async () => {
    if (isClosing) setImmediate(() => app.server.closeIdleConnections());
  });
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
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

function listeningError(error: unknown, host: string, port: number): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something listens there already; choose another port',
    EACCES: 'ports below 1024 need a permission; choose another port',
    EADDRNOTAVAIL: 'this machine has no such address; choose another host',
    ENOTFOUND: 'there is no machine of that name; choose another host',
  };
  const reason = code === undefined ? undefined : reasons[code];
  if (reason === undefined) return error;
  const kind = code === 'EADDRINUSE' ? 'BUSY' : 'INVALID_ARGUMENT';
  return new HintError(kind, `Could not listen on ${host}, port ${port}: ${reason}.`, { cause: error });
}
