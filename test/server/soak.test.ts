import { spawn, type ChildProcess } from 'node:child_process';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import { recordCount, uniform } from '../endings/rounds.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from '../inference/models.js';

// HINT_TEST_SOAK_SECONDS: how long clients ask, 1,800 in the long form.
const SECONDS = Number(process.env['HINT_TEST_SOAK_SECONDS'] ?? 15);
const IS_LONG = SECONDS >= 1200;
const CLIENTS = 6;
const program = join(resolve(import.meta.dirname, '../..'), 'dist/bundle/cli/main.js');

let model: string;
let server: ChildProcess;
let url: string;

beforeAll(async () => {
  model = await writeModel(tinyConfig(FULL_HINT));
  // As test/endings/cycles.test.ts says: what comes and goes with arenas and young generations hides what stays. V8 collects its
  // old generation when it will, after a minute and 80 MB of this load, unless it has little room.
  const flags = [program, 'serve', model, '--port', '0', '--workers', '2'];
  server = spawn(process.execPath, [...flags, '--threads', '1', '--name', 'tiny', '--no-log'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      MALLOC_ARENA_MAX: '1',
      NODE_OPTIONS: '--max-semi-space-size=2 --max-old-space-size=64',
    },
  });
  url = await new Promise((found, failed) => {
    let output = '';
    server.stdout!.on('data', (chunk) => {
      output += String(chunk);
      const [, address] = /at (http:\S+)\/v1\n/.exec(output) ?? [];
      if (address !== undefined) found(address);
    });
    server.once('close', () => failed(new Error('the server has ended')));
  });
});
afterAll(async () => {
  server.kill('SIGKILL');
  await removeAll([model]);
});

/** Every answer is greedy, so that equal requests have equal answers; by what was asked. */
const answers = new Map<string, string>();
const counts = { sent: 0, answered: 0, left: 0 };
const random = uniform('soak of the server');
const pick = (most: number): number => Math.floor(random() * most);

function bodyOf(stream: boolean): { key: string; body: string } {
  const [task, input] = [pick(40), pick(5)];
  const messages = [
    { role: 'system', content: `Count to ${task}, then name every animal.` },
    { role: 'user', content: 'A cow and two birds. '.repeat(input + 1) },
  ];
  return {
    key: `${task} ${input}`,
    body: JSON.stringify({ model: 'tiny', messages, max_tokens: 12, stream }),
  };
}

/** One request, whose client may go away in the middle. */
async function askOnce(): Promise<void> {
  const stream = random() < 0.5;
  const { key, body } = bodyOf(stream);
  const leaving = new AbortController();
  const timer = random() < 0.25 ? setTimeout(() => leaving.abort(), 40 * random()) : undefined;
  counts.sent++;
  try {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: leaving.signal,
    });
    const whole = await answer.text();
    expect(answer.status, whole).toBe(200);
    const text = stream
      ? streamed(whole)
      : (JSON.parse(whole) as Whole).choices.map((one) => one.message.content).join('|');
    expect(text, key).toBe(answers.get(key) ?? text);
    answers.set(key, text);
    counts.answered++;
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
    counts.left++;
  } finally {
    clearTimeout(timer);
  }
}
interface Whole {
  choices: { message: { content: string } }[];
}

/** The text of a stream, which ends once. */
function streamed(whole: string): string {
  const events = whole.trim().split('\n\n');
  expect(events.filter((event) => event === 'data: [DONE]').length, whole).toBe(1);
  expect(events.at(-1)).toBe('data: [DONE]');
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)) as Chunk);
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
}
interface Chunk {
  choices: { delta: { content?: string } }[];
}

/** Registers a task, uses it and forgets it. */
async function useTask(number: number): Promise<void> {
  const post = (path: string, body: object): Promise<Response> =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const name = `soak-${number}`;
  expect((await post('/v1/tasks', { instruction: `Say ${number}.`, name })).status).toBe(201);
  expect(
    (await post(`/v1/tasks/${name}/generate`, { inputs: ['A cow.', 'Red.'], max_tokens: 4 })).status,
  ).toBe(200);
  expect((await fetch(`${url}/v1/tasks/${name}`, { method: 'DELETE' })).status).toBe(200);
}

async function metrics(name: string): Promise<number> {
  return sumOf(name, await (await fetch(`${url}/metrics`)).text());
}

/** Of the front and all workers. */
function sumOf(name: string, text: string): number {
  const samples = text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Bytes of the front and its workers, without what V8's heaps hold for later. */
async function memoryInUse(): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (name: string): number => sumOf(name, text);
  return (
    of('process_resident_memory_bytes') -
    of('nodejs_heap_size_total_bytes') +
    of('nodejs_heap_size_used_bytes')
  );
}

/** Garbage comes and goes in between: the least of half a minute counts. */
const BLOCK_SECONDS = 30;

it(
  'clients that come, go and vanish: each is answered once, and memory stays as it is',
  async () => {
    const began = performance.now();
    const passed = (): number => (performance.now() - began) / 1000;
    const client = async (number: number): Promise<void> => {
      for (let i = 0; passed() < SECONDS; i++) {
        await (i % 20 === 0 ? useTask(1000 * number + i) : askOnce());
        await sleep(20 * random());
      }
    };
    const memory: { at: number; bytes: number }[] = [];
    const watch = async (): Promise<void> => {
      while (passed() < SECONDS) {
        memory.push({ at: passed(), bytes: await memoryInUse() });
        await sleep(1000);
      }
    };
    await Promise.all([watch(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))]);
    expect(counts.answered + counts.left).toBe(counts.sent);
    expect(counts.left).toBeGreaterThan(0);
    for (const name of ['hint_inputs_running', 'hint_inputs_queued', 'hint_front_requests_in_flight'])
      await eventually(async () => expect(await metrics(name), name).toBe(0));
    expect(await metrics('hint_worker_restarts_total')).toBe(0);
    const leastOf = (from: number, to: number): number[] => {
      const least: number[] = [];
      for (let at = from; at < to; at += BLOCK_SECONDS)
        least.push(
          Math.min(
            ...memory.filter((one) => one.at >= at && one.at < at + BLOCK_SECONDS).map(({ bytes }) => bytes),
          ),
        );
      return least;
    };
    const median = (from: number, to: number): number => {
      const least = leastOf(from, to);
      return least.sort((x, y) => x - y)[least.length >> 1]!;
    };
    const course = leastOf(0, SECONDS).map((bytes) => (bytes / 1e6).toFixed(1));
    if (IS_LONG)
      expect(
        median(SECONDS - 300, SECONDS) / median(300, 600),
        `MB at least in every ${BLOCK_SECONDS} s: ${course.join(' ')}`,
      ).toBeLessThanOrEqual(1.01);
    recordCount('requests', counts.answered);
    recordCount('clients that vanished', counts.left);
    recordCount('MB of front and workers at the end', Math.round(memory.at(-1)!.bytes / 1e6));
  },
  (SECONDS + 240) * 1000,
);
