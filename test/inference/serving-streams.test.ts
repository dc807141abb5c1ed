import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import { Engine } from '../../src/inference/engine.js';
import type { HintTasks } from '../../src/inference/encoder-decoder/compile.js';
import type { GenerationEvent, Task, TaskStreamOptions } from '../../src/inference/task/task.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
let engine: Engine;
let tasks: Task[];

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[0] as string, { threads: 1, serving: { maxRows: 8, maxQueued: 4 } });
  tasks = await Promise.all(
    ['Name the animal.', 'Count.', 'Say the opposite.'].map((definition) => engine.compile({ definition })),
  );
});

afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

async function collect(task: Task, input: string, options: TaskStreamOptions): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of task.stream(input, options)) events.push(event);
  return events;
}

const tokensOf = (events: readonly GenerationEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'token' ? [event.token] : []));

describe('streams of one engine', () => {
  it('are decoded in one running batch with what is submitted, and are counted', async () => {
    const before = engine.serving.completed;
    let most = 0;
    const streams = tasks.map(async (task) => {
      const tokens: number[] = [];
      for await (const event of task.stream('Two birds.', { maxTokens: 60 })) {
        most = Math.max(most, engine.serving.running);
        if (event.type === 'token') tokens.push(event.token);
      }
      return tokens;
    });
    const submitted = engine.submit({ task: tasks[0] as Task, input: 'A horse.', maxTokens: 60 });
    const alone = await Promise.all(tasks.map((task) => task.generate('Two birds.', { maxTokens: 60 })));
    expect(await Promise.all(streams)).toEqual(alone.map(([one]) => [...(one?.tokens ?? [])]));
    await submitted;
    expect(most).toBe(4);
    expect(engine.serving).toMatchObject({ queued: 0, running: 0, completed: before + 4 });
  });

  it('left early, no longer run, and their memory is given back', async () => {
    const { device } = engine.model;
    const [task] = tasks as [Task];
    await collect(task, 'A horse.', { maxTokens: 4 });
    await eventually(() => expect(engine.serving.running).toBe(0));
    await device.synchronize();
    const held = device.statistics().bytesInUse;
    for await (const event of task.stream('A horse.', { maxTokens: 100_000 }))
      if (event.type === 'token') break;
    await eventually(async () => {
      await device.synchronize();
      expect(device.statistics().bytesInUse).toBeLessThanOrEqual(held);
    });
    expect(engine.serving).toMatchObject({ queued: 0, running: 0 });
  });

  it('are refused where as many wait as may, if they are asked to, and wait otherwise', async () => {
    const [task] = tasks as [Task];
    const waiting = Array.from({ length: 6 }, () => collect(task, 'A horse.', { maxTokens: 2 }));
    await expect(
      Promise.all(
        Array.from({ length: 6 }, () => collect(task, 'A cow.', { maxTokens: 2, whenFull: 'reject' })),
      ),
    ).rejects.toMatchObject({ code: 'BUSY' });
    for (const events of await Promise.all(waiting)) expect(tokensOf(events)).toHaveLength(2);
  });

  it('tell a token once, though a neighbour fails and they are decoded again', async () => {
    const [good] = tasks as [Task];
    using broken = await engine.compile({ definition: 'Broken.' });
    const options = { maxTokens: 40, temperature: 1.2, seed: 3 };
    const [alone] = await good.generate('A horse.', options);
    const events: GenerationEvent[] = [];
    let failure: unknown;
    for await (const event of good.stream('A horse.', options)) {
      events.push(event);
      if (events.length !== 1) continue;
      const { compiled, release } = broken.hold();
      const { shared } = compiled as HintTasks;
      engine.model.device.write(shared[0]?.sharedValue as never, new Float32Array(32).fill(Number.NaN));
      release();
      failure = engine
        .submit({ task: broken, input: 'A cow.', maxTokens: 4 })
        .catch((error: unknown) => error);
    }
    expect(await failure).toMatchObject({ code: 'NUMERIC' });
    expect(tokensOf(events)).toEqual([...(alone?.tokens ?? [])]);
    expect(events.map(({ text }) => text).join('')).toBe(alone?.text);
  });

  it('take no batch size, which is the engine’s', async () => {
    const options = { batchSize: 2 } as TaskStreamOptions;
    await expect(collect(tasks[0] as Task, 'A horse.', options)).rejects.toThrow(
      /options.batchSize is unknown/,
    );
  });
});

describe('stop strings of what is submitted', () => {
  it('end it as they end what a task generates alone', async () => {
    const [task] = tasks as [Task];
    const [whole] = await task.generate('A horse.', { maxTokens: 40 });
    const stop = [(whole?.text ?? '').slice(8, 11)];
    const [expected] = await task.generate('A horse.', { maxTokens: 40, stop });
    const request = { task, input: 'A horse.', maxTokens: 40, stop };
    expect(await engine.submit(request)).toEqual(expected);
    expect(await engine.generate([request])).toEqual([expected]);
    expect(expected?.text).toBe(whole?.text.split(stop[0] as string)[0]);
    await expect(engine.submit({ ...request, stop: [''] })).rejects.toThrow(/stop\[0\] is empty/);
  });
});
