import { uniforms } from '../../../benchmark/random-model.js';
import type { Engine } from '../../../inference/engine.js';
import type { Task } from '../../../inference/task/task.js';
import { throwIfAborted } from '../../../util/errors.js';
import { median } from '../../../util/statistics.js';

/** Requests a second of the same requests, asked for in two ways. */
export interface WaysReport {
  /** Medians of the rounds. */
  submit: number;
  stream: number;
  /** Of each round, stream over submit. */
  ratios: number[];
}

export interface WaysOptions {
  /** Requests of a turn; each round has a turn of each way. */
  requests: number;
  clients: number;
  rounds: number;
  signal?: AbortSignal | undefined;
}

/** One of a turn's requests. */
interface Asked {
  task: Task;
  input: string;
  maxTokens: number;
}

/**
 * Answers the same requests by `engine.submit` and by `task.stream`, turn and turn about.
 *
 * @param tasks compiled
 * @throws HintError what a request fails with, ABORTED
 */
export async function compareWays(
  engine: Engine,
  tasks: readonly Task[],
  inputOf: (uniform: () => number) => string,
  { requests, clients, rounds, signal }: WaysOptions,
): Promise<WaysReport> {
  const ways = {
    submit: async (asked: Asked): Promise<void> => void (await engine.submit({ ...asked, signal })),
    stream: async ({ task, input, maxTokens }: Asked): Promise<void> => {
      for await (const event of task.stream(input, { maxTokens, signal })) if (event.type === 'end') return;
    },
  };
  const speeds: Record<keyof typeof ways, number[]> = { submit: [], stream: [] };
  for (let round = 0; round < rounds; round++) {
    const uniform = uniforms(round + 1);
    const list = Array.from({ length: requests }, () => ({
      task: tasks[Math.floor(uniform() * tasks.length)] as Task,
      input: inputOf(uniform),
      maxTokens: 1 + Math.floor(uniform() * 32),
    }));
    const order = Object.keys(ways) as (keyof typeof ways)[];
    for (const way of round % 2 === 0 ? order : order.reverse()) {
      throwIfAborted(signal);
      const began = performance.now();
      await answerAll(list, clients, ways[way]);
      speeds[way].push((1000 * requests) / (performance.now() - began));
    }
  }
  return {
    submit: median(speeds.submit),
    stream: median(speeds.stream),
    ratios: speeds.stream.map((speed, round) => speed / (speeds.submit[round] as number)),
  };
}

async function answerAll(
  list: readonly Asked[],
  clients: number,
  ask: (asked: Asked) => Promise<void>,
): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let own = next++; own < list.length; own = next++) await ask(list[own] as Asked);
  };
  await Promise.all(Array.from({ length: clients }, client));
}
