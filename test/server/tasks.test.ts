import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import type { Engine } from '../../src/index.js';
import type { RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from './served.js';

let engine: Engine;
let server: RunningServer;
let folder: string;
const instruction = 'Name the animal in the sentence.';
const examples = [{ input: 'A cat sleeps.', output: 'cat' }];
const inputs = ['A horse and two birds.', 'A cow.'];

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine, { limits: { tasks: 4, taskFileBytes: 2 ** 20, answers: 8 } });
  folder = await mkdtemp(join(tmpdir(), 'hint-server-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface TaskBody {
  names: string[];
  id: string;
  name: string | null;
}

async function texts(definition = instruction, given: typeof examples = []): Promise<string[]> {
  using task = await engine.tasks.get({ definition, examples: given });
  return (await task.generate(inputs, { maxTokens: 8 })).map(({ text }) => text);
}

describe('tasks', () => {
  it('are compiled once, found by id and by name, listed and forgotten', async () => {
    const body = { instruction, examples, name: 'animal' };
    const made = await ask<TaskBody>(server, 'POST', '/v1/tasks', body);
    expect(made).toMatchObject({
      status: 201,
      body: { object: 'task', name: 'animal', instruction, examples, cache: { tier: 'full' } },
    });
    const { misses } = engine.tasks.metrics;
    const again = await ask<TaskBody>(server, 'POST', '/v1/tasks', { instruction, examples });
    expect(again).toMatchObject({ status: 200, body: { id: made.body.id, name: 'animal' } });
    expect(engine.tasks.metrics.misses).toBe(misses);
    for (const key of ['animal', made.body.id])
      expect((await ask(server, 'GET', `/v1/tasks/${key}`)).body).toEqual(again.body);
    expect((await ask(server, 'GET', '/v1/tasks')).body).toEqual({ object: 'list', data: [again.body] });
    const taken = await ask(server, 'POST', '/v1/tasks', { instruction: 'Count.', name: 'animal' });
    expect(taken).toMatchObject({ status: 409, body: { error: { code: 'name_taken', param: 'name' } } });
    expect((await ask(server, 'DELETE', '/v1/tasks/animal')).body).toMatchObject({ deleted: true });
    expect((await ask(server, 'GET', '/v1/tasks/animal')).status).toBe(404);
    expect(engine.tasks.find({ definition: instruction, examples })).toBeUndefined();
  });

  it('have as many names as they are given, each of one task alone', async () => {
    for (const name of ['animal', 'beast', 'animal'])
      await ask(server, 'POST', '/v1/tasks', { instruction, examples, name });
    const { body } = await ask<TaskBody>(server, 'GET', '/v1/tasks/beast');
    expect(body).toMatchObject({ name: 'animal', names: ['animal', 'beast'] });
    expect((await ask(server, 'GET', '/v1/tasks/animal')).body).toMatchObject({ id: body.id });
    const taken = await ask(server, 'POST', '/v1/tasks', { instruction: 'Count.', name: 'beast' });
    expect(taken).toMatchObject({ status: 409, body: { error: { code: 'name_taken' } } });
    for (let i = 2; i < 16; i++)
      await ask(server, 'POST', '/v1/tasks', { instruction, examples, name: `beast-${i}` });
    const more = await ask(server, 'POST', '/v1/tasks', { instruction, examples, name: 'one-more' });
    expect(more).toMatchObject({ status: 400, body: { error: { code: 'too_many_names', param: 'name' } } });
    await ask(server, 'DELETE', '/v1/tasks/beast');
    for (const name of ['animal', 'beast', 'beast-9'])
      expect((await ask(server, 'GET', `/v1/tasks/${name}`)).status).toBe(404);
  });

  it('say what the cache has of them, and what reading the instruction took', async () => {
    interface Shown extends TaskBody {
      compile_milliseconds?: number;
      cache: object | null;
    }
    const first = await ask<Shown>(server, 'POST', '/v1/tasks', { instruction: 'Name the plant.' });
    expect(first.body.compile_milliseconds).toBeGreaterThan(0);
    const again = await ask<Shown>(server, 'POST', '/v1/tasks', { instruction: 'Name the plant.' });
    expect(again.body).not.toHaveProperty('compile_milliseconds');
    expect(again.body.cache).toMatchObject({
      tier: 'full',
      hits: 1,
      since: expect.any(Number) as number,
    });
    const messages = [
      { role: 'system', content: 'Name the stone.' },
      { role: 'user', content: 'A cow.' },
    ];
    await ask(server, 'POST', '/v1/chat/completions', { model: 'tiny', messages, max_tokens: 2 });
    const { body } = await ask<{ bytes: number; data: object[] }>(server, 'GET', '/v1/cache');
    expect(body.bytes).toBe(engine.tasks.metrics.bytes);
    expect(body.data.slice(0, 2)).toMatchObject([
      { registered: false, name: null, tier: 'full', hits: 0, in_use: 0 },
      { id: again.body.id, registered: true, tier: 'full', hits: 1 },
    ]);
    expect(JSON.stringify(body)).not.toContain('stone');
    await ask(server, 'DELETE', `/v1/tasks/${again.body.id}`);
  });

  it('are not more than may be', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) {
      const { body } = await ask<TaskBody>(server, 'POST', '/v1/tasks', { instruction: `Count to ${i}.` });
      ids.push(body.id);
    }
    const more = await ask(server, 'POST', '/v1/tasks', { instruction: 'Count to five.' });
    expect(more).toMatchObject({ status: 400, body: { error: { code: 'too_many_tasks' } } });
    for (const id of ids) await ask(server, 'DELETE', `/v1/tasks/${id}`);
  });

  it('run inputs, one or several, streamed or not', async () => {
    await ask(server, 'POST', '/v1/tasks', { instruction, name: 'animal' });
    const expected = await texts();
    const { body } = await ask<{ outputs: { text: string }[]; usage: object }>(
      server,
      'POST',
      '/v1/tasks/animal/generate',
      { inputs, max_tokens: 8 },
    );
    expect(body.outputs.map(({ text }) => text)).toEqual(expected);
    expect(body.usage).toMatchObject({ output_tokens: 16 });
    const streamed = await fetch(`${server.url}/v1/tasks/animal/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs, max_tokens: 8, stream: true }),
    });
    expect(streamed.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = (await streamed.text()).split('\n\n').filter((line) => line.startsWith('data: {'));
    const parsed = events.map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
    const deltas = ['', ''];
    for (const { object, index, text } of parsed)
      if (object === 'generation.delta') deltas[index as number] += text as string;
    expect(deltas).toEqual(expected);
    expect(parsed.at(-1)).toMatchObject({ object: 'generation.end', usage: { output_tokens: 16 } });
  });

  it('rank choices as the library does', async () => {
    const choices = ['horse', 'cow', 'bird'];
    using task = await engine.tasks.get({ definition: instruction });
    const scored = await task.scoreChoices(inputs.slice(0, 1), choices);
    const { body } = await ask(server, 'POST', '/v1/tasks/animal/rank', { inputs: inputs[0], choices });
    expect(body).toEqual({
      object: 'ranking',
      results: [{ index: 0, best: choices[scored[0]?.best ?? -1], scores: scored[0]?.scores }],
    });
    const many = await ask(server, 'POST', '/v1/tasks/animal/rank', { inputs: ['a', 'b', 'c'], choices });
    expect(many).toMatchObject({ status: 400, body: { error: { code: 'too_many_answers' } } });
  });

  it('of several kinds run in one request', async () => {
    const requests = [
      { task: 'animal', input: inputs[0], max_tokens: 8 },
      { instruction: 'Count.', input: inputs[1], max_tokens: 8 },
    ];
    const { body } = await ask<{ outputs: { text: string }[] }>(server, 'POST', '/v1/generate', { requests });
    const [animal] = await texts();
    const [, count] = await texts('Count.');
    expect(body.outputs.map(({ text }) => text)).toEqual([animal, count]);
    const wrong = await ask(server, 'POST', '/v1/generate', {
      requests: [{ task: 'animal', instruction: 'Count.', input: 'x' }],
    });
    expect(wrong).toMatchObject({ status: 400, body: { error: { param: 'requests.0' } } });
    const missing = await ask(server, 'POST', '/v1/generate', { requests: [{ task: 'none', input: 'x' }] });
    expect(missing).toMatchObject({ status: 404, body: { error: { code: 'task_not_found' } } });
  });
});

describe('task files', () => {
  it('go out, and come in again where the task is unknown', async () => {
    const path = '/v1/tasks/animal/file';
    const sent = await fetch(server.url + path);
    expect(sent.headers.get('content-disposition')).toMatch(
      /^attachment; filename="task-[0-9a-f]{32}\.safetensors"$/,
    );
    const bytes = new Uint8Array(await sent.arrayBuffer());
    const expected = await texts();
    await ask(server, 'DELETE', '/v1/tasks/animal');
    const { misses } = engine.tasks.metrics;
    const came = await fetch(`${server.url}/v1/tasks/file?name=brought`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: bytes,
    });
    expect(came.status).toBe(201);
    expect(await came.json()).toMatchObject({ name: 'brought', instruction });
    const { body } = await ask<{ outputs: { text: string }[] }>(
      server,
      'POST',
      '/v1/tasks/brought/generate',
      {
        inputs,
        max_tokens: 8,
      },
    );
    expect(body.outputs.map(({ text }) => text)).toEqual(expected);
    expect(engine.tasks.metrics.misses).toBe(misses);
  });

  it.each<[string, () => Promise<Uint8Array>, number, RegExp]>([
    ['no task file', async () => Buffer.from('no task at all, but some text'), 400, /The task file/],
    ['too large', async () => new Uint8Array(2 ** 20 + 1), 413, /larger than/],
  ])('that is %s is refused, and names no file of the server', async (_, make, status, message) => {
    const response = await fetch(`${server.url}/v1/tasks/file`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: await make(),
    });
    const { error } = (await response.json()) as { error: { message: string } };
    expect([response.status, error.message]).toEqual([status, expect.stringMatching(message)]);
    expect(error.message).not.toContain(tmpdir());
  });

  it('of a trained task is served beside the task of the same instruction, as it was trained', async () => {
    const definition = 'Name the trained animal.';
    using task = await engine.compile({ definition });
    using trained = await task.train(examples, { steps: 3, learningRate: 0.5 });
    const path = join(folder, 'trained.safetensors');
    await trained.save(path);
    const send = async (name: string) => {
      const response = await fetch(`${server.url}/v1/tasks/file?name=${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: await readFile(path),
      });
      return { status: response.status, body: (await response.json()) as TaskBody };
    };
    const first = await send('trained');
    expect(first).toMatchObject({
      status: 201,
      body: { instruction: definition, training: { examples: 1, steps: 3 }, cache: null },
    });
    const plain = await ask<TaskBody>(server, 'POST', '/v1/tasks', { instruction: definition });
    expect(plain.body).toMatchObject({ training: null });
    expect(plain.body.id).not.toBe(first.body.id);
    const expected = (await trained.generate(inputs, { maxTokens: 8 })).map(({ text }) => text);
    expect(expected).not.toEqual(await texts(definition));
    const generate = (id: string, tokens = 8) =>
      ask<{ outputs: { text: string }[] }>(server, 'POST', `/v1/tasks/${id}/generate`, {
        inputs,
        max_tokens: tokens,
      });
    const answers = (await generate('trained')).body.outputs.map(({ text }) => text);
    expect(answers).toEqual(expected);
    const again = await send('tuned');
    expect(again).toMatchObject({ status: 200, body: { id: first.body.id, names: ['trained', 'tuned'] } });
    const sent = await fetch(`${server.url}/v1/tasks/tuned/file`);
    await writeFile(join(folder, 'again.safetensors'), new Uint8Array(await sent.arrayBuffer()));
    using loaded = await engine.loadTask(join(folder, 'again.safetensors'));
    expect(loaded.training).toEqual(trained.training);
    // What runs with it goes on while it is forgotten; its memory is given back then.
    await engine.model.device.synchronize();
    const { bytes } = engine.memory;
    const long = (await trained.generate(inputs, { maxTokens: 600 })).map(({ text }) => text);
    const running = generate('trained', 600);
    await eventually(() => expect(engine.serving.running + engine.serving.queued).toBeGreaterThan(0));
    await ask(server, 'DELETE', '/v1/tasks/tuned');
    expect((await running).body.outputs.map(({ text }) => text)).toEqual(long);
    expect((await generate('trained')).status).toBe(404);
    await ask(server, 'DELETE', `/v1/tasks/${plain.body.id}`);
    await eventually(async () => {
      await engine.model.device.synchronize();
      expect(engine.memory.bytes).toBeLessThan(bytes);
    });
  });

  it('of trained tasks are not more than may be', async () => {
    const few = await serve(engine, { limits: { trainedTasks: 0 } });
    const response = await fetch(`${few.url}/v1/tasks/file`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: await readFile(join(folder, 'trained.safetensors')),
    });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { code: 'too_many_tasks' } },
    ]);
    for (const name of ['trained', 'again']) await rm(join(folder, `${name}.safetensors`));
  });

  it('that is not there is asked for', async () => {
    expect(await ask(server, 'POST', '/v1/tasks/file')).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_file' } },
    });
  });

  it('that comes as another type is told which one to send', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'application/json'])
      expect(await ask(server, 'POST', '/v1/tasks/file', 'x', { 'content-type': type })).toMatchObject({
        status: 415,
        body: { error: { message: expect.stringContaining('application/octet-stream') as string } },
      });
  });

  it('names that would be paths are refused', async () => {
    for (const name of ['../up', 'a/b', '.hidden', 'task-1'])
      expect(await ask(server, 'POST', '/v1/tasks', { instruction: 'Count.', name })).toMatchObject({
        status: 400,
        body: { error: { param: 'name' } },
      });
    const file = join(folder, 'secret.safetensors');
    await writeFile(file, 'secret');
    expect((await ask(server, 'GET', `/v1/tasks/${encodeURIComponent(file)}/file`)).status).toBe(404);
    expect(await readdir(folder)).toEqual(['secret.safetensors']);
  });
});
