import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { uniforms } from '../random-model.js';

/** What a load is put on, and what every answer has to be. */
export interface LoadTarget {
  readonly url: string;
  readonly path: string;
  /** JSON bodies, taken in turns; they were drawn as the load is distributed. */
  readonly bodies: readonly string[];
  /** New tokens of every answer. */
  readonly tokens: number;
}

/** A load and what came of it. */
export interface LoadResult {
  readonly requests: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** Of each request, in the order of their ends: seconds from when it was due to its whole answer. */
  readonly latencies: readonly number[];
  /** CPU seconds of the process that put the load. */
  readonly clientCpuSeconds: number;
}

// What the server of this engine and the peer tell of their tokens.
const ANSWER = z.union([
  z.looseObject({ usage: z.looseObject({ completion_tokens: z.int() }) }),
  z.looseObject({ ids: z.array(z.int()) }),
]);

/**
 * So many clients ask, each again as soon as it has its answer, until the time is over; what is under way then is waited for.
 *
 * @throws HintError NOT_SUPPORTED for an answer that is none, or of other tokens
 */
export async function closedLoad(
  target: LoadTarget,
  { clients, seconds }: { readonly clients: number; readonly seconds: number },
): Promise<LoadResult> {
  return measured(target, async (ask) => {
    const end = performance.now() + seconds * 1000;
    const client = async (): Promise<void> => {
      do await ask(performance.now());
      while (performance.now() < end);
    };
    await Promise.all(Array.from({ length: clients }, client));
  });
}

/**
 * Requests that come as those of many who do not know of each other: at random, at a mean rate, however long others take. Their time
 * counts from when they were due.
 *
 * @throws as {@link closedLoad}
 */
export async function openLoad(
  target: LoadTarget,
  { rate, seconds, seed }: { readonly rate: number; readonly seconds: number; readonly seed: number },
): Promise<LoadResult> {
  const uniform = uniforms(seed);
  return measured(target, async (ask) => {
    const began = performance.now();
    const running: Promise<void>[] = [];
    for (let due = began; due < began + seconds * 1000; due += (-1000 * Math.log(1 - uniform())) / rate) {
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      running.push(ask(due));
      // A failure ends the load at once.
      running.at(-1)?.catch(() => undefined);
    }
    await Promise.all(running);
  });
}

async function measured(
  { url, path, bodies, tokens }: LoadTarget,
  load: (ask: (due: number) => Promise<void>) => Promise<void>,
): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true });
  const latencies: number[] = [];
  let next = 0;
  const ask = async (due: number): Promise<void> => {
    const body = bodies[next++ % bodies.length]!;
    checkAnswer(await post(agent, url + path, body), tokens);
    latencies.push((performance.now() - due) / 1000);
  };
  const cpu = process.cpuUsage();
  const began = performance.now();
  try {
    await load(ask);
    const { user, system } = process.cpuUsage(cpu);
    return {
      requests: latencies.length,
      seconds: (performance.now() - began) / 1000,
      latencies,
      clientCpuSeconds: (user + system) / 1e6,
    };
  } finally {
    agent.destroy();
  }
}

function checkAnswer(text: string, tokens: number): void {
  const { data } = ANSWER.safeParse(JSON.parse(text));
  const given = data && ('ids' in data ? (data.ids as number[]).length : completionTokens(data));
  if (given === tokens) return;
  throw new HintError(
    'NOT_SUPPORTED',
    `An answer has ${given ?? 'no'} new tokens, not ${tokens}, so that its time cannot be compared: ${text.slice(0, 200)}`,
  );
}

function completionTokens(data: z.infer<typeof ANSWER>): number {
  return (data as { usage: { completion_tokens: number } }).usage.completion_tokens;
}

function post(agent: Agent, url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const call = request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) return resolve(text);
        const why = `A request got ${answer.statusCode}: ${text.slice(0, 300)}`;
        reject(new HintError('NOT_SUPPORTED', why));
      });
    });
    call.on('error', reject);
    call.end(body);
  });
}
