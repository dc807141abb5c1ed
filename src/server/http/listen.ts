import type { FastifyInstance } from 'fastify';
import {
  boolean,
  callback,
  integer,
  list,
  name,
  optional,
  path,
  where,
  type Members,
} from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { ApiKeys } from './api-keys.js';
import { answerError, createApp } from './app.js';
import { ApiError } from './errors.js';
import { guard, isLoopback, LOOPBACK_HOSTS } from './guard.js';
import { DEFAULT_DRAIN_SECONDS } from './requests.js';

/** Where a server listens, and whom it answers. */
export interface ListenOptions {
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
  /** For how many seconds closing the server waits for answers under way (default 30). */
  drainSeconds?: number;
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

export const LISTEN_OPTIONS: Members<ListenOptions> = {
  host: optional(name),
  port: optional(integer(0, 65_535)),
  apiKeys: optional(path),
  allowHosts: optional(list(hostName)),
  allowOrigins: optional(list(origin)),
  log: optional(callback<(line: string) => void>()),
  logBodies: optional(boolean),
  drainSeconds: optional(integer(0, 86_400)),
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

/** Time that a client has to read the last of its answer when the server stops, in milliseconds. */
const UNREAD_TIMEOUT = 2000;
const MOST_CONNECTIONS = 8192;

/**
 * Listens for requests, of which only those that may ask reach the routes.
 *
 * @param openPaths routes that need no key
 * @param register adds the routes
 * @throws HintError INVALID_ARGUMENT, also for a host beyond this machine without API keys; NOT_FOUND, IO, INVALID_DATA (keys);
 *   BUSY for a port that is taken
 */
export async function listen(
  given: ListenOptions,
  openPaths: readonly string[],
  register: (app: FastifyInstance) => Promise<void>,
): Promise<RunningServer> {
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
    openPaths: new Set(openPaths),
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
  try {
    await register(app);
    app.server.maxConnections = MOST_CONNECTIONS;
    const url = await app.listen({ host, port });
    return { url, app, close: () => app.close() };
  } catch (error) {
    await app.close();
    throw listeningError(error, host, port);
  }
}

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

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
