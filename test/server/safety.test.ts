import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import type { Engine } from '../../src/index.js';
import { hintPlugin, startServer, type RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from './served.js';

let engine: Engine;
let server: RunningServer;
let folder: string;
const key = 'a-key-of-some-length-0123';
const chat = '/v1/chat/completions';
const body = {
  model: 'tiny',
  messages: [
    { role: 'system', content: 'Count.' },
    { role: 'user', content: 'A cow.' },
  ],
  max_tokens: 3,
};
const endless = { ...body, max_tokens: 4096 };

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine, { limits: { bodyBytes: 4096 } });
  folder = await mkdtemp(join(tmpdir(), 'hint-keys-'));
  await writeFile(join(folder, 'keys'), `# mine\n${key}\n\nanother-key-0123456789\n`);
  await writeFile(join(folder, 'short'), 'abc\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A request whose headers are all ours, as fetch does not allow. */
function raw(
  url: string,
  headers: Record<string, string>,
  content = '',
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = httpRequest(url, { method: content ? 'POST' : 'GET', headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on('error', reject);
    call.end(content);
  });
}

/** What a server answers to bytes that need be no HTTP. */
function bytes(port: number, content: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(content));
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

const portOf = ({ url }: RunningServer): number => Number(new URL(url).port);

describe('who may ask', () => {
  it('a name that is not the machine’s own is refused, as DNS rebinding would use one', async () => {
    const port = portOf(server);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost.evil'])
      expect(await raw(`${server.url}/v1/models`, { host })).toMatchObject({ status: 403 });
    for (const host of [`localhost:${port}`, '127.0.0.1', '[::1]:80', 'LOCALHOST'])
      expect(await raw(`${server.url}/v1/models`, { host })).toMatchObject({ status: 200 });
  });

  it('pages of other origins are refused, and no header lets them read', async () => {
    const host = `127.0.0.1:${portOf(server)}`;
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${portOf(server) + 1}`])
      expect(await raw(`${server.url}/v1/models`, { host, origin })).toMatchObject({ status: 403 });
    expect(await raw(`${server.url}/v1/models`, { host, origin: `http://${host}` })).toMatchObject({
      status: 200,
    });
    const { headers } = await ask(server, 'GET', '/v1/models');
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('with API keys, only who has one, except for health', async () => {
    const guarded = await serve(engine, { apiKeys: join(folder, 'keys'), model: 'tiny' });
    const of = (authorization?: string) =>
      ask(guarded, 'GET', '/v1/models', undefined, authorization === undefined ? {} : { authorization });
    expect(await of()).toMatchObject({ status: 401, body: { error: { type: 'authentication_error' } } });
    for (const wrong of [
      'Bearer nothing-of-the-kind-00',
      `Basic ${key}`,
      'Bearer',
      `Bearer ${key}x`,
      'Bearer # mine',
    ])
      expect((await of(wrong)).status).toBe(401);
    expect((await of(`Bearer ${key}`)).status).toBe(200);
    expect((await of('Bearer another-key-0123456789')).status).toBe(200);
    expect((await fetch(`${guarded.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${guarded.url}/readyz`)).status).toBe(200);
  });

  it('beyond this machine it does not start without keys, nor with keys that are none', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org'])
      await expect(startServer(engine, { host, port: 0 })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/--api-keys/) as string,
      });
    await expect(startServer(engine, { port: 0, apiKeys: join(folder, 'short') })).rejects.toThrow(
      /16 characters/,
    );
    await expect(startServer(engine, { port: 0, apiKeys: join(folder, 'none') })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const open = await serve(engine, { host: '0.0.0.0', apiKeys: join(folder, 'keys') });
    const url = `http://127.0.0.1:${portOf(open)}/v1/models`;
    expect(await raw(url, { host: 'any.example', authorization: `Bearer ${key}` })).toMatchObject({
      status: 200,
    });
  });

  it('a key that no header can hold is refused', async () => {
    for (const [name, wrong] of [
      ['long', 'k'.repeat(5000)],
      ['foreign', 'schlüssel-mit-umlaut-0123'],
    ] as const) {
      await writeFile(join(folder, name), `${wrong}\n`);
      await expect(startServer(engine, { port: 0, apiKeys: join(folder, name) })).rejects.toMatchObject({
        code: 'INVALID_DATA',
        message: expect.stringMatching(/number 1, .*4096/) as string,
      });
    }
  });

  it('hosts and origins that no request can have are refused', async () => {
    for (const one of ['https://app.example', 'app.example:8080', 'a b', 'app.example/', '::1'])
      await expect(startServer(engine, { port: 0, allowHosts: [one] })).rejects.toThrow(/allowHosts\[0\] is/);
    for (const one of ['app.example', 'https://app.example/', 'https://App.example', 'https://a:443', '*'])
      await expect(startServer(engine, { port: 0, allowOrigins: [one] })).rejects.toThrow(
        /allowOrigins\[0\] is/,
      );
    const allowHosts = ['app.example', '[2001:db8::1]', 'my_host'];
    const allowOrigins = ['https://app.example', 'http://a:8080', 'chrome-extension://abc', 'null'];
    await serve(engine, { allowHosts, allowOrigins });
  });

  it('options that there are not are refused with a suggestion', async () => {
    await expect(startServer(engine, { prot: 0 } as never)).rejects.toThrow(
      /options\.prot is unknown; did you mean port\?/,
    );
    await expect(startServer(engine, { port: 0, limits: { request: 1 } as never })).rejects.toThrow(
      /limits\.request is unknown; did you mean requests\?/,
    );
    await expect(startServer(engine, { port: portOf(server) })).rejects.toMatchObject({ code: 'BUSY' });
  });
});

describe('what is no request', () => {
  it.each<[string, string | Buffer, number, RegExp]>([
    ['cut off', '{"model": "tiny"', 400, /not valid JSON/],
    ['empty', '', 400, /empty/],
    ['a list', '[1]', 400, /must be an object/],
    ['no UTF-8', Buffer.from('{"model": "\xff\xfe"}', 'latin1'), 400, /not UTF-8/],
    ['nested deeply', '['.repeat(4000), 400, /JSON|nested/],
    [
      'nested too deeply',
      '['.repeat(400) + ']'.repeat(400),
      400,
      /nested deeper than 256 levels, the limit; write it flatter\.$/,
    ],
    ['of a prototype', '{"__proto__": {"model": "tiny"}}', 400, /__proto__|unknown|missing/],
    [
      'too large',
      JSON.stringify({ model: 'x'.repeat(5000) }),
      413,
      /larger than 4096 bytes.*; send less at once\.$/,
    ],
    [
      'wrong inside',
      JSON.stringify({ ...body, messages: [{ role: 'user', content: [{ type: 'text', text: 5 }] }] }),
      400,
      /^The parameter messages\.0\.content\.0\.text must be a text\.$/,
    ],
    ['without messages', JSON.stringify({ ...body, messages: [] }), 400, /at least 1 entry\.$/],
  ])('a body that is %s gets a sentence', async (_, content, status, sentence) => {
    const response = await fetch(server.url + chat, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: content,
    });
    const { error } = (await response.json()) as { error: { message: string; type: string } };
    expect(response.status).toBe(status);
    expect(error).toMatchObject({
      type: 'invalid_request_error',
      message: expect.stringMatching(sentence) as string,
    });
    expect(error.message).not.toMatch(/\n|at .*\.js/);
  });

  it.each(['content-length: 3000000', 'transfer-encoding: chunked'])(
    'a body that is too large is read to its end, so that its sender hears of it (%s)',
    async (framing) => {
      const head = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`;
      const isChunked = framing.endsWith('chunked');
      const piece = 'x'.repeat(100_000);
      const socket = connect(portOf(server), '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => (text += String(chunk)));
      const closed = new Promise<void>((resolve, reject) => socket.on('close', resolve).on('error', reject));
      socket.write(head + (isChunked ? `186a0\r\n${piece}\r\n` : piece));
      await eventually(() => expect(text).toMatch(/^HTTP\/1\.1 413 /));
      for (let i = 1; i < 30; i++) socket.write(isChunked ? `186a0\r\n${piece}\r\n` : piece);
      // The same connection goes on with the next request.
      socket.write(
        `${isChunked ? '0\r\n\r\n' : ''}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      );
      await closed;
      expect(text).toMatch(/larger than 4096 bytes[^]*HTTP\/1\.1 200 /);
    },
  );

  it('a body of another type, a path and a method that there are not', async () => {
    const typed = await fetch(server.url + chat, { method: 'POST', body: 'hello' });
    expect(typed.status).toBe(415);
    expect(await ask(server, 'GET', '/v1/nothing')).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    });
    expect(await ask(server, 'GET', chat)).toMatchObject({ status: 404 });
    expect(await ask(server, 'GET', '/%zz')).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringMatching(/; encode it/) as string } },
    });
    expect(await ask(server, 'GET', `/v1/tasks/${'x'.repeat(3000)}`)).toMatchObject({
      status: 414,
      body: { error: { message: expect.stringMatching(/; shorten it\.$/) as string } },
    });
  });

  it('a request that names no host', async () => {
    const answer = await bytes(portOf(server), 'GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toMatch(/"code":"host_not_allowed"/);
  });

  it('bytes that are no HTTP, and headers without end', async () => {
    expect(await bytes(portOf(server), 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*"error"/s);
    const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await bytes(portOf(server), long)).toMatch(/^HTTP\/1\.1 431 .*"error"/s);
  });

  it('a request that comes byte by byte is ended, and others are answered meanwhile', async () => {
    const slow = bytes(portOf(server), `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-`);
    expect((await ask(server, 'POST', chat, body)).status).toBe(200);
    expect(await slow).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe('under load', () => {
  beforeEach(() => eventually(() => expect(engine.serving).toMatchObject({ running: 0, queued: 0 })));

  it('more than may be worked on at once get 429 and when to come again', async () => {
    const narrow = await serve(engine, { limits: { requests: 1 } });
    const leaving = new AbortController();
    const first = fetch(narrow.url + chat, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(endless),
      signal: leaving.signal,
    }).catch(() => undefined);
    await eventually(() => expect(engine.serving.running).toBe(1));
    const refused = await ask(narrow, 'POST', chat, body);
    expect(refused).toMatchObject({ status: 429, body: { error: { type: 'rate_limit_error' } } });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await fetch(`${narrow.url}/healthz`)).status).toBe(200);
    leaving.abort();
    await first;
    await eventually(async () => expect((await ask(narrow, 'POST', chat, body)).status).toBe(200));
  });

  it('a full queue of the engine is 429 too', async () => {
    const small = await openTiny(undefined, { serving: { maxRows: 1, maxQueued: 1 } });
    const served = await serve(small);
    const many = await Promise.all(
      Array.from({ length: 6 }, () => ask(served, 'POST', chat, { ...body, max_tokens: 64 })),
    );
    expect(new Set(many.map(({ status }) => status))).toEqual(new Set([200, 429]));
  });

  it('what takes too long is 504, and no longer runs', async () => {
    const hasty = await serve(engine, { limits: { seconds: 1 } });
    const late = await ask(hasty, 'POST', chat, endless);
    expect(late).toMatchObject({ status: 504, body: { error: { code: 'deadline_exceeded' } } });
    await eventually(() => expect(engine.serving.running).toBe(0));
    const stream = await fetch(hasty.url + chat, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...endless, stream: true }),
    });
    expect(stream.status).toBe(200);
    expect((await stream.text()).split('\n\n').at(-2)).toMatch(/^event: error\ndata: .*deadline_exceeded/s);
  });

  it('closing lets what runs end, takes nothing new, and ends what takes longer', async () => {
    const patient = await serve(engine, { drainSeconds: 60 });
    const slow = ask(patient, 'POST', chat, { ...body, max_tokens: 400 });
    await eventually(() => expect(engine.serving.running).toBe(1));
    const closed = patient.close();
    expect(await slow).toMatchObject({ status: 200, body: { usage: { completion_tokens: 400 } } });
    await closed;
    await expect(fetch(patient.url)).rejects.toThrow();

    const hasty = await serve(engine, { drainSeconds: 0 });
    const cut = ask(hasty, 'POST', chat, endless);
    await eventually(() => expect(engine.serving.running).toBe(1));
    await hasty.close();
    expect(await cut).toMatchObject({ status: 503 });

    // A client that keeps its connection but reads nothing holds nothing up.
    const unread = await serve(engine, { drainSeconds: 0 });
    const socket = connect(portOf(unread), '127.0.0.1');
    const content = JSON.stringify({ ...endless, n: 64, stream: true });
    socket.pause();
    socket.on('error', () => undefined);
    socket.write(
      `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
    );
    await eventually(() => expect(engine.serving.running).toBeGreaterThan(0));
    await unread.close();
    socket.destroy();
  });
});

describe('ids and logs', () => {
  it('name each request, and hold no text unless asked to', async () => {
    const lines: string[] = [];
    const logged = await serve(engine, { log: (line) => void lines.push(line) });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await ask(logged, 'POST', chat, body, { 'x-request-id': 'mine-1', traceparent });
    expect(answer.headers.get('x-request-id')).toBe('mine-1');
    const own = await ask(logged, 'GET', '/v1/models', undefined, { 'x-request-id': 'no id\t!' });
    expect(own.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    const all = lines.join('');
    expect(all).toContain('"reqId":"mine-1"');
    expect(all).toContain('"traceId":"0af7651916cd43dd8448eb211c80319c"');
    expect(all).not.toContain('A cow.');
    const telling = await serve(engine, { log: (line) => void lines.push(line), logBodies: true });
    await ask(telling, 'POST', chat, body);
    expect(lines.join('')).toContain('A cow.');
  });
});

describe('the plugin', () => {
  it('serves in another application, below a prefix, beside what that has', async () => {
    const app = Fastify();
    app.get('/own', async () => 'mine');
    await app.register(hintPlugin, { engine, model: 'tiny', prefix: '/hint' });
    const answer = await app.inject({ method: 'POST', url: `/hint${chat}`, payload: body });
    expect(answer.json()).toMatchObject({ object: 'chat.completion', usage: { completion_tokens: 3 } });
    const wrong = await app.inject({ method: 'POST', url: `/hint${chat}`, payload: { model: 'tiny' } });
    expect(wrong.json()).toMatchObject({ error: { param: 'messages' } });
    expect((await app.inject('/own')).body).toBe('mine');
    await app.close();
    expect(() => engine.checkOpen()).not.toThrow();
    await expect(Promise.resolve(Fastify().register(hintPlugin, { engine: {} as Engine }))).rejects.toThrow(
      /options\.engine is .*give an Engine/,
    );
  });
});
