import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiKeys } from './api-keys.js';
import { ApiError } from './errors.js';

/** Who may ask. */
export interface GuardOptions {
  /** Names that requests may call this server by, without a port; absent: any. */
  hosts: readonly string[] | undefined;
  /** Web pages of these origins may ask, beside those that this server itself serves. */
  origins: readonly string[];
  /** Clients must give one of these; absent: everybody may ask. */
  keys: ApiKeys | undefined;
  /** Routes that need no key. */
  openPaths: ReadonlySet<string>;
}

/** Names under which a machine reaches itself. */
export const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** Whether an address that a server listens on is reached from its own machine only. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(\.\d{1,3}){3}$/.test(address);
}

/**
 * Refuses requests that a browser was led to send (DNS rebinding, forms and scripts of other pages), and those without
 * a key.
 *
 * @throws ApiError 401, 403
 */
export function guard(
  { hosts, origins, keys, openPaths }: GuardOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { host = '', origin, authorization } = request.headers;
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (hosts && !hosts.includes(name)) {
    throw new ApiError(
      403,
      `This server is not known as ${JSON.stringify(name.slice(0, 100))}; use ${hosts[0]}, or start it with --allow-host.`,
      { code: 'host_not_allowed' },
    );
  }
  const isOwn = origin === `http://${host}` || origin === `https://${host}`;
  if (origin !== undefined && !isOwn && !origins.includes(origin)) {
    throw new ApiError(
      403,
      `Pages of ${JSON.stringify(origin.slice(0, 100))} may not use this server; allow them with --allow-origin.`,
      { code: 'origin_not_allowed' },
    );
  }
  if (!keys || openPaths.has(request.routeOptions.url ?? '')) return;
  const [, key] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (key !== undefined && keys.has(key)) return;
  reply.header('www-authenticate', 'Bearer');
  const message =
    key === undefined
      ? 'There is no API key; send one'
      : 'The API key is not one of this server; send another';
  throw new ApiError(401, `${message} as "Authorization: Bearer KEY".`, { code: 'invalid_api_key' });
}
