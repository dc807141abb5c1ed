import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import type { Engine } from '../../src/index.js';
import type { RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from './served.js';

let engine: Engine;
let server: RunningServer;
const chat = '/v1/chat/completions';
const body = {
  model: 'tiny',
  messages: [
    { role: 'system', content: 'Count.' },
    { role: 'user', content: 'A cow.' },
  ],
  max_tokens: 3,
};

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine);
});

/** Connections that send a text and read nothing of what comes. */
function unread(count: number, text: string): Socket[] {
  const port = Number(new URL(server.url).port);
  return Array.from({ length: count }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(text);
    return socket;
  });
}

const metric = async (name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await (await fetch(`${server.url}/metrics`)).text())?.[1]);

describe('clients that hold on', () => {
  it('1,000 streams that nobody reads: others are answered, and nothing is left when they go', async () => {
    const content = JSON.stringify({ ...body, stream: true });
    const head = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n`;
    const sockets = unread(1000, head + content);
    await eventually(async () => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      expect(text).toMatch(/^hint_requests_total\{route="\/v1\/chat\/completions",status="200"\} 1000$/m);
    });
    expect((await ask(server, 'POST', chat, body)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => expect(await metric('hint_requests_in_flight')).toBe(0));
    expect(engine.serving).toMatchObject({ running: 0, queued: 0 });
  });

  it('1,000 streams without end that nobody reads: further requests get 429 at most, until they go', async () => {
    const content = JSON.stringify({ ...body, max_tokens: 4096, stream: true });
    const head = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n`;
    const sockets = unread(1000, head + content);
    await eventually(() => expect(engine.serving.running + engine.serving.queued).toBe(1000));
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await eventually(() => expect(engine.serving).toMatchObject({ running: 0, queued: 0 }));
    expect((await ask(server, 'POST', chat, body)).status).toBe(200);
    await eventually(async () => expect(await metric('hint_requests_in_flight')).toBe(0));
  });

  it('hundreds of requests behind one another on a connection that ends: none of them is left', async () => {
    const content = JSON.stringify({ ...body, max_tokens: 4096, stream: true });
    const post = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
    const get = 'GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const sockets = unread(1, post + get.repeat(200) + post);
    await eventually(async () => {
      expect(await metric('hint_requests_in_flight')).toBe(202);
      expect(engine.serving.running).toBe(2);
    });
    for (const socket of sockets) socket.destroy();
    await eventually(async () => expect(await metric('hint_requests_in_flight')).toBe(0));
    expect(engine.serving).toMatchObject({ running: 0, queued: 0 });
  });

  it('200 requests that come byte by byte are ended, and others are answered meanwhile', async () => {
    const sockets = unread(200, `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nX-`);
    const drip = setInterval(() => sockets.forEach((socket) => socket.write('a')), 500);
    try {
      expect((await ask(server, 'POST', chat, body)).status).toBe(200);
      sockets.forEach((socket) => socket.resume());
      await eventually(() => expect(sockets.filter(({ closed }) => !closed)).toEqual([]));
    } finally {
      clearInterval(drip);
    }
  });
});

// Only root may mount a file system that is full after two pages.
describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('a full disk', () => {
  const outer = process.env['TMPDIR'];
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hint-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', folder]);
    process.env['TMPDIR'] = folder;
  });
  afterAll(async () => {
    if (outer === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = outer;
    // What the server keeps there goes with it.
    await server.close();
    execFileSync('umount', ['--lazy', folder]);
    await rm(folder, { recursive: true });
  });

  it('task files that find no room are refused with a sentence, leave nothing, and nothing else suffers', async () => {
    const instruction = 'Name the animal in the sentence.';
    await ask(server, 'POST', '/v1/tasks', { instruction, name: 'animal' });
    const full = {
      status: 507,
      body: { error: { code: 'io', message: expect.stringMatching(/^Could not write /) as string } },
    };
    expect(await ask(server, 'GET', '/v1/tasks/animal/file')).toMatchObject(full);
    const brought = await fetch(`${server.url}/v1/tasks/file`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: new Uint8Array(200_000),
    });
    expect({ status: brought.status, body: await brought.json() }).toMatchObject(full);
    expect((await ask(server, 'POST', '/v1/tasks/animal/generate', { inputs: 'A cow.' })).status).toBe(200);
    const left = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.safetensors'));
    expect(left).toEqual([]);
  });

  it('where not even a folder can be made, the same', async () => {
    const homeless = await serve(engine);
    process.env['TMPDIR'] = join(folder, 'none');
    await ask(homeless, 'POST', '/v1/tasks', { instruction: 'Name the tree.', name: 'tree' });
    const answer = await ask<{ error: { message: string } }>(homeless, 'GET', '/v1/tasks/tree/file');
    expect(answer).toMatchObject({ status: 507, body: { error: { code: 'io' } } });
    expect(answer.body.error.message).not.toContain(folder);
    process.env['TMPDIR'] = folder;
    expect((await ask(homeless, 'POST', '/v1/tasks/tree/generate', { inputs: 'An oak.' })).status).toBe(200);
  });
});
