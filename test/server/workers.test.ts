import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import parsePrometheus from 'parse-prometheus-text-format';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import { startWorkers, type WorkersOptions, type WorkersServer } from '../../src/server/index.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from '../inference/models.js';
import { ask, openTiny, serve } from './served.js';

let model: string;
let server: WorkersServer;
const servers: WorkersServer[] = [];
const logged: string[] = [];
const chat = '/v1/chat/completions';
const bodyOf = (definition: string, more: object = {}) => ({
  model: 'tiny',
  messages: [
    { role: 'system', content: definition },
    { role: 'user', content: 'A cow and two birds.' },
  ],
  max_tokens: 6,
  ...more,
});

async function start(options: WorkersOptions = {}): Promise<WorkersServer> {
  const started = await startWorkers(model, {
    ...{ workers: 2, threads: 1, port: 0, model: 'tiny', drainSeconds: 0 },
    log: (line) => logged.push(line),
    ...options,
  });
  servers.push(started);
  return started;
}

beforeAll(async () => {
  model = await writeModel(tinyConfig(FULL_HINT));
  server = await start({ limits: { tasks: 4 } });
});
afterAll(async () => {
  await Promise.all(servers.map((one) => one.close()));
  await removeAll([model]);
});

interface CacheBody {
  data: { id: string; worker: number; registered: boolean; name: string | null }[];
}
const cache = async (of: WorkersServer = server) => (await ask<CacheBody>(of, 'GET', '/v1/cache')).body.data;

/** What one engine by itself answers. */
async function textOf(definition: string): Promise<string> {
  const alone = await serve(await openTiny());
  const { body } = await ask<ChatBody>(alone, 'POST', chat, bodyOf(definition));
  return body.choices[0]!.message.content;
}
interface ChatBody {
  choices: { message: { content: string } }[];
  usage: { prompt_tokens_details: { cached_tokens: number } };
}

describe('several workers behind one port', () => {
  it('answer as one engine does, and each instruction is read by one of them only', async () => {
    const definitions = Array.from({ length: 8 }, (_, i) => `Count to ${i}.`);
    for (let round = 0; round < 3; round++)
      for (const definition of definitions)
        expect((await ask(server, 'POST', chat, bodyOf(definition))).status).toBe(200);
    const entries = await cache();
    expect(entries.length).toBe(8);
    expect(new Set(entries.map(({ worker }) => worker))).toEqual(new Set([0, 1]));
    const { body } = await ask<ChatBody>(server, 'POST', chat, bodyOf(definitions[0]!));
    expect(body.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(0);
    expect(body.choices[0]?.message.content).toBe(await textOf(definitions[0]!));
  });

  it('streams pass through, and a client that leaves frees the worker', async () => {
    const leaving = new AbortController();
    const response = await fetch(server.url + chat, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(bodyOf('Go on.', { max_tokens: 4096, stream: true })),
      signal: leaving.signal,
    });
    const reader = response.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toMatch(/^data: \{/);
    await eventually(async () => expect(await metric(server, 'hint_inputs_running')).toBe(1));
    leaving.abort();
    await eventually(async () => expect(await metric(server, 'hint_inputs_running')).toBe(0));
  });

  it('a registered task is there for all, by id and by name, and gone for all', async () => {
    const registered = { instruction: 'Name the animal.', name: 'animal' };
    const made = await ask<{ id: string }>(server, 'POST', '/v1/tasks', registered);
    expect(made).toMatchObject({ status: 201, body: { name: 'animal', cache: { tier: 'full' } } });
    expect((await ask(server, 'POST', '/v1/tasks', registered)).status).toBe(200);
    expect(await ask(server, 'GET', '/v1/tasks/animal')).toMatchObject({
      status: 200,
      body: { id: made.body.id, names: ['animal'], cache: { tier: 'full' } },
    });
    const taken = await ask(server, 'POST', '/v1/tasks', { instruction: 'Count.', name: 'animal' });
    expect(taken).toMatchObject({ status: 409, body: { error: { code: 'name_taken', param: 'name' } } });
    // Mixed with a task of the other worker, whose place is first, it goes there too.
    const home = (await cache()).find(({ id }) => id === made.body.id)!.worker;
    const away = await instructionOn(1 - home);
    const mixed = await ask<{ outputs: object[] }>(server, 'POST', '/v1/generate', {
      requests: [
        { instruction: away, input: 'A cow.', max_tokens: 3 },
        { task: 'animal', input: 'A cow.', max_tokens: 3 },
      ],
    });
    expect(mixed).toMatchObject({ status: 200, body: { outputs: [{ index: 0 }, { index: 1 }] } });
    expect((await cache()).filter(({ id }) => id === made.body.id).map(({ worker }) => worker)).toEqual([
      0, 1,
    ]);
    for (const [method, path, body] of [
      ['POST', '/v1/tasks/animal/generate', { inputs: 'A cow.', max_tokens: 2 }],
      ['POST', '/v1/tasks/animal/rank', { inputs: 'A cow.', choices: ['cow', 'bird'] }],
      ['POST', '/v1/completions', { model: 'tiny', task: 'animal', prompt: 'A cow.', max_tokens: 2 }],
      ['POST', '/v1/embeddings', { model: 'tiny', task: 'animal', input: 'A cow.' }],
    ] as const)
      expect((await ask(server, method, path, body)).status, path).toBe(200);
    expect((await ask(server, 'DELETE', '/v1/tasks/animal')).body).toMatchObject({ deleted: true });
    expect((await ask(server, 'GET', '/v1/tasks/animal')).status).toBe(404);
    expect((await ask(server, 'POST', '/v1/tasks/animal/generate', { inputs: 'A cow.' })).status).toBe(404);
    expect((await cache()).filter(({ id }) => id === made.body.id)).toEqual([]);
  });

  it('are not given more tasks than one server takes', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 4; i++)
      ids.push(
        (await ask<{ id: string }>(server, 'POST', '/v1/tasks', { instruction: `Sum ${i}.` })).body.id,
      );
    const more = await ask(server, 'POST', '/v1/tasks', { instruction: 'Sum all.' });
    expect(more).toMatchObject({ status: 400, body: { error: { code: 'too_many_tasks' } } });
    for (const id of ids) await ask(server, 'DELETE', `/v1/tasks/${id}`);
  });

  it('task files travel', async () => {
    const { id } = (await ask<{ id: string }>(server, 'POST', '/v1/tasks', { instruction: 'Name the tree.' }))
      .body;
    const file = await (await fetch(`${server.url}/v1/tasks/${id}/file`)).arrayBuffer();
    await ask(server, 'DELETE', `/v1/tasks/${id}`);
    const headers = { 'content-type': 'application/octet-stream' };
    const brought = await fetch(`${server.url}/v1/tasks/file?name=tree`, {
      method: 'POST',
      headers,
      body: file,
    });
    expect(brought.status).toBe(201);
    expect(await brought.json()).toMatchObject({ id, name: 'tree' });
    expect((await ask(server, 'POST', '/v1/tasks/tree/generate', { inputs: 'An oak.' })).status).toBe(200);
    const broken = await fetch(`${server.url}/v1/tasks/file`, { method: 'POST', headers, body: 'no file' });
    expect(broken.status).toBe(400);
    await ask(server, 'DELETE', '/v1/tasks/tree');
  });

  it('trained tasks that find no place are kept by no worker', async () => {
    const few = await start({ workers: 1, limits: { trainedTasks: 0 } });
    const engine = await openTiny();
    using task = await engine.compile({ definition: 'Name the trained tree.' });
    const folder = await mkdtemp(join(tmpdir(), 'hint-trained-'));
    const refused = async (steps: number): Promise<number> => {
      const path = join(folder, String(steps));
      using trained = await task.train([{ input: 'An oak.', output: 'oak' }], { steps });
      await trained.save(path);
      const answer = await fetch(`${few.url}/v1/tasks/file`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: await readFile(path),
      });
      expect([answer.status, await answer.json()]).toMatchObject([
        400,
        { error: { code: 'too_many_tasks' } },
      ]);
      return metric(few, 'hint_device_bytes');
    };
    try {
      const first = await refused(1);
      for (const steps of [2, 3, 4]) await refused(steps);
      await eventually(async () => expect(await metric(few, 'hint_device_bytes')).toBeLessThanOrEqual(first));
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);

  it('metrics are one text, in which each sample has its worker', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const families = parsePrometheus(text);
    const workersOf = (name: string) =>
      families.find((one) => one.name === name)?.metrics.map(({ labels }) => labels?.['worker']);
    expect(workersOf('hint_inputs_running')).toEqual(['0', '1']);
    expect(workersOf('process_resident_memory_bytes')).toEqual(['front', '0', '1']);
    expect(workersOf('hint_workers_serving')).toEqual(['front']);
    expect(new Set(families.map(({ name }) => name)).size).toBe(families.length);
  });

  it('what no worker takes is refused as one server does', async () => {
    expect(
      await ask(server, 'POST', chat, { model: 'other', messages: [{ role: 'user', content: 'x' }] }),
    ).toMatchObject({ status: 404 });
    expect(await ask(server, 'POST', chat, '{"model"')).toMatchObject({ status: 400 });
    for (const path of [
      chat,
      '/v1/responses',
      '/v1/completions',
      '/v1/embeddings',
      '/v1/compare',
      '/v1/generate',
    ])
      expect(await ask(server, 'POST', path), path).toMatchObject({
        status: 400,
        body: { error: { message: 'The body must be an object.' } },
      });
    const endless = JSON.stringify(bodyOf('Count.')).replace('6}', '1e999}');
    expect(await ask(server, 'POST', chat, endless)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_json' } },
    });
    expect(await ask(server, 'POST', chat, bodyOf('Count.', { tools: [{}] }))).toMatchObject({
      status: 400,
      body: { error: { code: 'unsupported_parameter', param: 'tools' } },
    });
    expect(
      await ask(server, 'POST', '/v1/generate', { requests: [{ task: 'none', input: 'x' }] }),
    ).toMatchObject({
      status: 404,
      body: { error: { code: 'task_not_found' } },
    });
    for (const path of ['/v1/models', '/openapi.json', '/healthz', '/readyz'])
      expect((await fetch(server.url + path)).status, path).toBe(200);
    expect(
      (await fetch(`${server.url}/v1/models`, { headers: { origin: 'https://evil.example' } })).status,
    ).toBe(403);
  });

  /** An instruction that a worker is first for. */
  async function instructionOn(worker: number): Promise<string> {
    for (let i = 0; ; i++) {
      const definition = `Look for ${i}.`;
      const before = new Set((await cache()).map(({ id }) => id));
      await ask(server, 'POST', chat, bodyOf(definition));
      if ((await cache()).find(({ id }) => !before.has(id))?.worker === worker) return definition;
    }
  }
});

/** Sum of a metric over all workers. */
async function metric(of: WorkersServer, name: string): Promise<number> {
  const families = parsePrometheus(await (await fetch(`${of.url}/metrics`)).text());
  const { metrics = [] } = families.find((one) => one.name === name) ?? {};
  return metrics.reduce((sum, { value }) => sum + Number(value), 0);
}

describe('a worker that is killed', () => {
  it('is started anew; what it had not begun to answer is answered once, streams say that they end', async () => {
    const fragile = await start();
    await ask(fragile, 'POST', '/v1/tasks', { instruction: 'Name it.', name: 'named' });
    const definitions = Array.from({ length: 6 }, (_, i) => `Say ${i} often.`);
    const whole = definitions.map((definition) =>
      ask<ChatBody>(fragile, 'POST', chat, bodyOf(definition, { max_tokens: 1500 })),
    );
    const streams = definitions.map(async (definition) => {
      const response = await fetch(fragile.url + chat, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(bodyOf(definition, { max_tokens: 1500, stream: true })),
      });
      return (await response.text()).trim().split('\n\n');
    });
    await eventually(async () => expect(await metric(fragile, 'hint_inputs_running')).toBe(12));
    const [first, second] = fragile.pids();
    process.kill(first!, 'SIGKILL');
    for (const { status, body } of await Promise.all(whole)) {
      expect(status).toBe(200);
      expect(body.choices.length).toBe(1);
    }
    const lasts = (await Promise.all(streams)).map((events) => {
      for (const event of events.slice(0, -1)) expect(JSON.parse(event.slice(6))).toHaveProperty('choices');
      return events.at(-1)!;
    });
    expect(lasts.filter((last) => last === 'data: [DONE]').length).toBeGreaterThan(0);
    for (const last of lasts)
      expect(last).toMatch(/^data: \[DONE\]$|^event: error\ndata: \{"error":\{.*"worker_lost"/);
    expect(lasts.some((last) => last.startsWith('event: error'))).toBe(true);

    await eventually(() => expect(fragile.pids().length).toBe(2));
    expect(fragile.pids()).toContain(second);
    expect(fragile.pids()).not.toContain(first);
    expect(logged.join('')).toMatch(/Worker 0 ended; it is started again/);
    expect(await metric(fragile, 'hint_worker_restarts_total')).toBe(1);
    expect((await ask(fragile, 'POST', '/v1/tasks/named/generate', { inputs: 'A cow.' })).status).toBe(200);
    expect((await ask(fragile, 'GET', '/v1/tasks/named')).status).toBe(200);
  });

  it('all of them at once: requests wait for the first that serves again', async () => {
    const fragile = await start();
    for (const pid of fragile.pids()) process.kill(pid, 'SIGKILL');
    const { status } = await ask(fragile, 'POST', chat, bodyOf('Count.'));
    expect(status).toBe(200);
  });

  it('a worker that hangs ends with the deadline of its requests, not with the server', async () => {
    const fragile = await start({ limits: { seconds: 2 } });
    for (const pid of fragile.pids()) process.kill(pid, 'SIGSTOP');
    expect(await ask(fragile, 'POST', chat, bodyOf('Count.'))).toMatchObject({
      status: 504,
      body: { error: { code: 'deadline_exceeded' } },
    });
    await fragile.close();
  });

  it('one that hangs keeps no route of tasks waiting for longer, and the metrics of the others are told', async () => {
    const fragile = await start({ workers: 1, limits: { seconds: 8 } });
    await ask(fragile, 'POST', '/v1/tasks', { instruction: 'Name it.', name: 'named' });
    const [pid] = fragile.pids();
    process.kill(pid!, 'SIGSTOP');
    const [metrics, list] = await Promise.all([
      fetch(`${fragile.url}/metrics`),
      ask(fragile, 'GET', '/v1/tasks'),
    ]);
    expect(await metrics.text()).toMatch(/^hint_workers_serving\{worker="front"\} 1$/m);
    expect(metrics.status).toBe(200);
    expect(list).toMatchObject({ status: 200, body: { data: [{ name: 'named' }] } });
    expect(await ask(fragile, 'DELETE', '/v1/tasks/named')).toMatchObject({
      status: 504,
      body: { error: { code: 'deadline_exceeded' } },
    });
    expect((await ask(fragile, 'GET', '/v1/tasks/named')).status).toBe(404);
    process.kill(pid!, 'SIGCONT');
    await fragile.close();
  }, 60_000);

  it('one that hangs while it is given a task ends the requests that wait for that with their deadline', async () => {
    const fragile = await start({ workers: 1, limits: { seconds: 4 } });
    await ask(fragile, 'POST', '/v1/tasks', { instruction: 'Name it.', name: 'named' });
    process.kill(fragile.pids()[0]!, 'SIGKILL');
    await eventually(async () => expect(await metric(fragile, 'hint_worker_restarts_total')).toBe(1));
    process.kill(fragile.pids()[0]!, 'SIGSTOP');
    expect(await ask(fragile, 'POST', '/v1/tasks/named/generate', { inputs: 'A cow.' })).toMatchObject({
      status: 504,
      body: { error: { code: 'deadline_exceeded' } },
    });
    await fragile.close();
  }, 60_000);
});

describe('the start and the end', () => {
  it('a worker that cannot load ends the start with its sentence, and nothing is left', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hint-none-'));
    try {
      await writeFile(join(folder, 'config.json'), '{}');
      await expect(startWorkers(folder, { workers: 2, port: 0 })).rejects.toMatchObject({
        name: 'HintError',
        message: expect.stringMatching(/^Worker [01]: /) as string,
      });
      await expect(startWorkers(model, { devices: ['cpu', 'cuda:99'], port: 0 })).rejects.toThrow(
        /Worker 1: /,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('wrong options are refused by name', async () => {
    await expect(startWorkers(model, { workers: 0 })).rejects.toThrow(/options\.workers is 0/);
    await expect(startWorkers(model, { devices: [] })).rejects.toThrow(/options\.devices is/);
    await expect(startWorkers(model, { worker: 2 } as never)).rejects.toThrow(/did you mean workers/);
  });

  it('closing lets what runs end, and ends the workers', async () => {
    const patient = await start({ drainSeconds: 60 });
    const pids = patient.pids();
    const slow = ask(patient, 'POST', chat, bodyOf('Count.', { max_tokens: 2000 }));
    await eventually(async () => expect(await metric(patient, 'hint_inputs_running')).toBe(1));
    const closed = patient.close();
    expect(await slow).toMatchObject({ status: 200, body: { usage: { completion_tokens: 2000 } } });
    await closed;
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });
});
