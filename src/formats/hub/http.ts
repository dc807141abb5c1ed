import { setTimeout as sleep } from 'node:timers/promises';
import { HintError, throwIfAborted } from '../../util/errors.js';

/** Where the hub is, and who asks. */
export interface HubAccess {
  /** Address of the hub or of a mirror, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint and to nobody else. */
  readonly token: string | undefined;
  /** Without a byte for so long, a connection counts as cut. */
  readonly stallMilliseconds: number;
  /** Before the second attempt; each later one waits twice as long. */
  readonly retryMilliseconds: number;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';
const DEFAULT_STALL_SECONDS = 30;
const MOST_STALL_SECONDS = 86_400;
const MOST_REDIRECTS = 10;
const MOST_ATTEMPTS = 5;
const MOST_WAIT = 60_000;

/**
 * The hub as the environment names it: HF_ENDPOINT, HF_HUB_DOWNLOAD_TIMEOUT (seconds).
 *
 * @throws HintError INVALID_ARGUMENT for an endpoint that is no address
 */
export function hubAccess(token: string | undefined): HubAccess {
  const endpoint = process.env['HF_ENDPOINT'] || DEFAULT_ENDPOINT;
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch (cause) {
    throw notAnAddress(endpoint, cause);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw notAnAddress(endpoint);
  const seconds = Number(process.env['HF_HUB_DOWNLOAD_TIMEOUT'] ?? DEFAULT_STALL_SECONDS);
  const isGood = seconds > 0 && seconds <= MOST_STALL_SECONDS;
  return {
    endpoint: url.href.replace(/\/+$/, ''),
    token,
    stallMilliseconds: 1000 * (isGood ? seconds : DEFAULT_STALL_SECONDS),
    retryMilliseconds: 1000,
  };
}

function notAnAddress(endpoint: string, cause?: unknown): HintError {
  return new HintError(
    'INVALID_ARGUMENT',
    `HF_ENDPOINT is "${endpoint}"; set it to the hub's or a mirror's address, such as ${DEFAULT_ENDPOINT}.`,
    { cause },
  );
}

/**
 * `fetch` that follows redirects itself: the token goes to the endpoint's own origin only, and from https never to http.
 *
 * @throws HintError IO for redirects that lead nowhere; what `fetch` throws
 */
export async function hubFetch(
  access: HubAccess,
  address: string,
  init: RequestInit = {},
): Promise<Response> {
  let url = new URL(address);
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const headers = new Headers(init.headers);
    headers.delete('authorization');
    if (access.token !== undefined && url.origin === new URL(access.endpoint).origin)
      headers.set('authorization', `Bearer ${access.token}`);
    const response = await fetch(url.href, { ...init, headers, redirect: 'manual' });
    const location = response.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    const isWeb = next?.protocol === 'https:' || (next?.protocol === 'http:' && url.protocol === 'http:');
    if (!next || !isWeb)
      throw new HintError(
        'IO',
        `${url.href} redirects to "${location}", which is not followed; check HF_ENDPOINT.`,
      );
    url = next;
  }
  throw new HintError('IO', `${address} redirects more than ${MOST_REDIRECTS} times; check HF_ENDPOINT.`);
}

/** The signal of the caller, and one that fires when `alive` was not called for too long. Stop it when done. */
export function stallWatch(
  access: HubAccess,
  signal: AbortSignal | undefined,
): { signal: AbortSignal; alive: () => void; stop: () => void } {
  const stalled = new AbortController();
  const fire = (): void =>
    stalled.abort(new Error(`no byte came for ${Math.round(access.stallMilliseconds / 1000)} s`));
  let timer = setTimeout(fire, access.stallMilliseconds);
  return {
    signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    alive: () => {
      clearTimeout(timer);
      timer = setTimeout(fire, access.stallMilliseconds);
    },
    stop: () => clearTimeout(timer),
  };
}

/** An answer that asking again may mend. */
export class Unavailable extends Error {
  constructor(
    message: string,
    /** What the server asked to wait, where it did. */
    readonly waitMilliseconds?: number,
  ) {
    super(message);
  }
}

/**
 * Tries again after cut connections, 5xx and 429, up to five times in a row; an attempt that made progress begins the
 * count anew.
 *
 * @param attempt says by its argument when something came
 * @throws HintError IO when it never succeeds, ABORTED; HintErrors of the attempt at once
 */
export async function withRetries<T>(
  access: HubAccess,
  what: string,
  attempt: (progressed: () => void) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let failures = 0; ;) {
    throwIfAborted(signal);
    let cameFurther = false;
    try {
      return await attempt(() => (cameFurther = true));
    } catch (error) {
      throwIfAborted(signal);
      if (error instanceof HintError) throw error;
      failures = cameFurther ? 1 : failures + 1;
      if (failures >= MOST_ATTEMPTS) throw unreachable(access, what, error);
      const asked = error instanceof Unavailable ? error.waitMilliseconds : undefined;
      const wait = Math.min(MOST_WAIT, asked ?? access.retryMilliseconds * 2 ** (failures - 1));
      await sleep(wait, undefined, { ...(signal && { signal }) }).catch(() => throwIfAborted(signal));
    }
  }
}

function unreachable(access: HubAccess, what: string, cause: unknown): HintError {
  const { message, cause: inner } = cause as Error;
  const reason = inner instanceof Error && inner.message !== '' ? inner.message : message;
  return new HintError(
    'IO',
    `${what} could not be read from ${access.endpoint} in ${MOST_ATTEMPTS} attempts: ${reason}. Check the network (HF_ENDPOINT names a mirror); what came so far is kept and gone on with, and --offline uses what was downloaded before.`,
    { cause },
  );
}

/**
 * Says what an answer that is no success means.
 *
 * @param what was asked for: "google/t5-base at main"
 * @returns a HintError NOT_FOUND or IO; an {@link Unavailable} where asking again may help
 */
export async function refusal(access: HubAccess, what: string, response: Response): Promise<Error> {
  const { status } = response;
  const kind = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message') ?? '';
  await response.body?.cancel();
  const page = `${access.endpoint}/${what.split(' ')[0]}`;
  if (kind === 'GatedRepo' || status === 403)
    return new HintError(
      'NOT_FOUND',
      `${what} is gated: ask for access at ${page}, then give a token of that account with --token or HF_TOKEN.${said && ` The hub says: ${said}`}`,
    );
  if (kind === 'RevisionNotFound')
    return new HintError(
      'NOT_FOUND',
      `${what}: the hub has no such revision; see ${page}/tree/main for those there are.`,
    );
  if (status === 401)
    return new HintError(
      'NOT_FOUND',
      access.token === undefined
        ? `${what} does not exist, or is private; check the name, or give a token with --token or HF_TOKEN.`
        : `${what} does not exist, or the token does not give access to it; check the name and the token.`,
    );
  if (kind === 'EntryNotFound')
    return new HintError(
      'NOT_FOUND',
      `${what}: the hub lists this file but does not have it; try again later, or take another revision (${page}/tree/main).`,
    );
  if (status === 404)
    return new HintError('NOT_FOUND', `${what} does not exist on ${access.endpoint}; check the name.`);
  if (status === 429 || status === 408 || status >= 500) {
    const wait = Number(response.headers.get('retry-after') ?? NaN);
    return new Unavailable(`the server answers ${status}`, wait >= 0 ? 1000 * wait : undefined);
  }
  return new HintError(
    'IO',
    `${what}: ${access.endpoint} answers ${status}; try again later, or check HF_ENDPOINT.`,
  );
}
