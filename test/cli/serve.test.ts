import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from '../inference/models.js';

const program = join(resolve(import.meta.dirname, '../..'), 'dist/bundle/cli/main.js');
let model: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  model = await writeModel(tinyConfig(FULL_HINT));
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await removeAll([model]);
});

/** `hint serve` as a process, once it tells where it serves, or has ended. */
async function hintServe(...parameters: string[]) {
  const child = spawn(process.execPath, [program, 'serve', ...parameters], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  let errors = '';
  child.stderr.on('data', (chunk) => (errors += String(chunk)));
  const ended = once(child, 'close').then(([code]) => code as number);
  const url = await new Promise<string | undefined>((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
      const [, found] = /at (http:\S+)\/v1\n/.exec(output) ?? [];
      if (found) resolve(found);
    });
    void ended.then(() => resolve(undefined));
  });
  return { child, url, ended, errors: () => errors };
}

describe('hint serve', () => {
  it('answers, logs no text, and lets an answer under way end when it is told to stop', async () => {
    const { child, url, ended, errors } = await hintServe(
      model,
      '--port',
      '0',
      '--threads',
      '1',
      '--name',
      'tiny',
    );
    const stream = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'tiny',
        messages: [
          { role: 'system', content: 'Count.' },
          { role: 'user', content: 'A secret cow.' },
        ],
        max_tokens: 300,
        stream: true,
      }),
    });
    expect(stream.status).toBe(200);
    child.kill('SIGTERM');
    expect(await stream.text()).toMatch(/"finish_reason":"(length|stop)".*data: \[DONE\]\n\n$/s);
    expect(await ended).toBe(143);
    expect(errors()).toContain('All answers under way have ended.');
    expect(errors()).toContain('"url":"/v1/chat/completions"');
    expect(errors()).not.toContain('secret');
  });

  it.each([
    [['--host', '0.0.0.0'], 2, /--api-keys/],
    [['--port', '70000'], 2, /--port is "70000"; give a whole number from 0 to 65535/],
    [['--name', ''], 2, /--name is empty; give the name that requests call the model by/],
    [['--api-keys', '/nowhere'], 1, /\/nowhere/],
  ])('%j ends it with a sentence', async (parameters, code, sentence) => {
    const { url, ended, errors } = await hintServe(model, ...parameters);
    expect(url).toBeUndefined();
    expect(await ended).toBe(code);
    expect(errors()).toMatch(sentence);
    expect(errors()).not.toMatch(/\n\s+at /);
  });

  it('with workers, it answers, and ends in order when all of its processes are told to', async () => {
    const { child, url, ended } = await hintServe(model, '--port', '0', '--workers', '2', '--no-log');
    const models = await fetch(`${url}/v1/models`);
    expect(models.status).toBe(200);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toMatch(/^hint_inputs_running\{worker="1"\} 0$/m);
    child.kill('SIGTERM');
    expect(await ended).toBe(143);
  });

  it('--device beside --devices, and a list with a hole, are refused', async () => {
    const both = await hintServe(model, '--port', '0', '--device', 'cpu', '--devices', 'cpu,cpu');
    expect(await both.ended).toBe(2);
    expect(both.errors()).toMatch(/give one of them/);
    const hole = await hintServe(model, '--port', '0', '--devices', 'cpu,,cpu');
    expect(await hole.ended).toBe(2);
    expect(hole.errors()).toMatch(/--devices is "cpu,,cpu"/);
  });
});
