import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = 'c'.repeat(40);

/** What a test changes about the hub's behaviour. */
export interface HubBehaviour {
  /** The one repository that there is (default google/tiny). */
  repository?: string;
  files: Record<string, Buffer>;
  /** When it is set, every request needs it. */
  token?: string;
  /** Files whose bytes come from the other host, by a redirect, as large ones do. */
  onOtherHost?: (path: string) => boolean;
  /** Bytes after which the connection for a file is cut, once per entry. */
  cuts?: number[];
  ignoresRanges?: boolean;
  /** Every page of the listing is empty and names a next one. */
  pagesWithoutEnd?: boolean;
  /** The first answers, one per request. */
  refusals?: { status: number; headers?: Record<string, string> }[];
  /** Changes an entry of the listing. */
  listing?: (entry: Record<string, unknown>) => Record<string, unknown>;
  /** Sends other bytes than it announces. */
  spoils?: boolean;
  redirectTo?: string;
}

export interface TestHub {
  endpoint: string;
  behaviour: HubBehaviour;
  /** "host path range" of every request for bytes, and whether it carried a token. */
  requests: { host: 'hub' | 'cdn'; path: string; range: string | undefined; token: string | undefined }[];
  close(): Promise<void>;
}

/** A local server that answers as the Hugging Face hub does, and another host to which large files are redirected. */
export async function startHub(behaviour: HubBehaviour): Promise<TestHub> {
  const requests: TestHub['requests'] = [];
  const hub: TestHub = { endpoint: '', behaviour, requests, close: async () => undefined };
  let cdn = '';
  const note = (host: 'hub' | 'cdn', request: IncomingMessage): string => {
    const path = decodeURIComponent(request.url ?? '');
    requests.push({ host, path, range: request.headers.range, token: request.headers.authorization });
    return path;
  };
  const servers = [
    createServer((request, response) => {
      const path = note('hub', request);
      const refusal = hub.behaviour.refusals?.shift();
      if (refusal) {
        response.writeHead(refusal.status, refusal.headers).end('no');
        return;
      }
      if (
        hub.behaviour.token !== undefined &&
        request.headers.authorization !== `Bearer ${hub.behaviour.token}`
      ) {
        response
          .writeHead(401, { 'x-error-code': 'RepoNotFound' })
          .end('{"error":"Invalid username or password."}');
        return;
      }
      answer(hub.behaviour, path, cdn, request, response);
    }),
    createServer((request, response) => {
      const name = note('cdn', request).slice(1);
      sendBytes(hub.behaviour, name, request, response);
    }),
  ];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
        ),
    ),
  );
  hub.endpoint = `http://127.0.0.1:${ports[0]}`;
  // Another origin.
  cdn = `http://localhost:${ports[1]}`;
  hub.close = async () => {
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  };
  return hub;
}

function answer(
  behaviour: HubBehaviour,
  path: string,
  cdn: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const json = (status: number, value: unknown, headers: Record<string, string> = {}): void =>
    void response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(value));
  const [, owner, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^?]+)/.exec(path) ?? [];
  if (owner === 'google/moved') {
    response.writeHead(307, { location: `/api/models/google/tiny/revision/${revision}` }).end();
    return;
  }
  if (owner !== undefined) {
    if (owner !== (behaviour.repository ?? 'google/tiny'))
      json(404, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' });
    else if (revision !== 'main' && revision !== COMMIT)
      json(404, { error: 'Invalid rev id' }, { 'x-error-code': 'RevisionNotFound' });
    else
      json(200, {
        id: owner,
        _id: '1',
        modelId: owner,
        sha: COMMIT,
        private: false,
        downloads: 1,
        likes: 1,
        lastModified: '2026-01-01',
      });
    return;
  }
  if (path.includes('/tree/')) {
    if (behaviour.pagesWithoutEnd) {
      json(200, [], {
        link: `<http://${request.headers.host}/api/models/google/tiny/tree/next>; rel="next"`,
      });
      return;
    }
    const change = behaviour.listing ?? ((entry) => entry);
    json(
      200,
      Object.entries(behaviour.files).map(([name, bytes]) => change(entryOf(name, bytes))),
    );
    return;
  }
  const [, name] = /\/resolve\/[^/]+\/(.+)$/.exec(path) ?? [];
  if (name === undefined || !behaviour.files[name]) {
    json(404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' });
    return;
  }
  if (behaviour.redirectTo !== undefined || behaviour.onOtherHost?.(name)) {
    response.writeHead(302, { location: behaviour.redirectTo ?? `${cdn}/${name}` }).end();
    return;
  }
  sendBytes(behaviour, name, request, response);
}

function sendBytes(
  behaviour: HubBehaviour,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const whole = behaviour.files[name] ?? Buffer.alloc(0);
  const bytes = behaviour.spoils ? Buffer.from(whole.map((byte) => byte ^ 1)) : whole;
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const start = from === undefined || behaviour.ignoresRanges ? 0 : Number(from);
  const headers = { etag: '"x"', 'content-length': String(bytes.length - start) };
  if (start > 0)
    response.writeHead(206, {
      ...headers,
      'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    });
  else response.writeHead(200, headers);
  const cut = name.endsWith('.safetensors') ? behaviour.cuts?.shift() : undefined;
  if (cut === undefined) response.end(bytes.subarray(start));
  else response.write(bytes.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 20));
}

function entryOf(path: string, bytes: Buffer): Record<string, unknown> {
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const isLarge = /\.(safetensors|bin|msgpack)$/.test(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    type: 'file',
    oid,
    size: bytes.length,
    path,
    ...(isLarge && { lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } }),
  };
}
