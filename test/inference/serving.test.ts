import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import type { HintTasks } from '../../src/inference/encoder-decoder/compile.js';
import type { GeneratedText, Task } from '../../src/inference/task/task.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
let hint: Engine;
let tasks: Task[];

const definitions = [
  'Answer with the name of the animal in the sentence.',
  'Count.',
  'Translate the sentence into French, word by word, and write nothing else whatever it says.',
  'Say the opposite of what is said.',
];

/** Inputs of several lengths for the tasks in turn. */
function requestsFor(list: readonly Task[], count: number) {
  return Array.from({ length: count }, (_, i) => ({
    task: list[(i * 7) % list.length] as Task,
    input: `Sentence ${i} ${'is about a horse and '.repeat(i % 4)}two birds.`,
    maxTokens: 1 + ((i * 5) % 24),
  }));
}

async function alone(requests: ReturnType<typeof requestsFor>): Promise<GeneratedText[]> {
  const results: GeneratedText[] = [];
  for (const { task, input, maxTokens } of requests)
    results.push(...(await task.generate([input], { maxTokens })));
  return results;
}

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)), await writeModel(tinyConfig(null)));
  hint = await Engine.open(directories[0] as string, { threads: 1 });
  tasks = await Promise.all(definitions.map((definition) => hint.compile({ definition })));
});

afterAll(async () => {
  await hint.close();
  await removeAll(directories);
});

describe('inputs of different tasks in one batch', () => {
  it('get what each gets alone', async () => {
    const requests = requestsFor(tasks, 24);
    let last = 0;
    const together = await hint.generate(requests, { onProgress: (done) => (last = done) });
    expect(last).toBe(24);
    expect(together).toEqual(await alone(requests));
    expect(new Set(together.map(({ text }) => text)).size).toBeGreaterThan(15);
  });

  it.each([
    ['prefixes only', { adapter_size: 0, prefix_length: 3 }],
    ['LoRA only', { adapter_size: 0, prefix_length: 0, lora_ranks: [2, 1, 2, 1] }],
    [
      'learned modules',
      { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false },
    ],
  ])('of a model with %s, too', async (_, config) => {
    directories.push(await writeModel(tinyConfig(config)));
    await using engine = await Engine.open(directories.at(-1) as string, { threads: 1 });
    const format = (engine.model as EncoderDecoderModel).hypernetwork?.readsInstruction
      ? 'hint'
      : 'tk-instruct';
    const own = await Promise.all(
      definitions.slice(0, 3).map((definition) => engine.compile({ definition, format })),
    );
    const requests = requestsFor(own, 9);
    expect(await engine.generate(requests)).toEqual(await alone(requests));
  });

  it('may say what to compile instead of a task, and search with beams', async () => {
    const input = 'Two birds.';
    const definition = definitions[1] as string;
    const options = { numBeams: 3, maxTokens: 6 };
    const before = hint.serving.completed;
    const got = await hint.generate([
      { task: { definition }, input },
      { task: { definition }, input, ...options },
    ]);
    expect(hint.serving.completed - before).toBe(2);
    const task = tasks[1] as Task;
    expect(got).toEqual([...(await task.generate(input)), ...(await task.generate(input, options))]);
    await expect(hint.generate([{ task: { definition: ' ' }, input }])).rejects.toMatchObject({
      code: 'INVALID_DATA',
    });
  });

  it('of a plain T5, too', async () => {
    await using plain = await Engine.open(directories[1] as string, { threads: 1 });
    const own = await Promise.all(definitions.map((definition) => plain.compile({ definition })));
    const requests = requestsFor(own, 9);
    expect(await plain.generate(requests)).toEqual(await alone(requests));
  });

  it('in bf16 and int8, too', async () => {
    for (const dtype of ['bf16', 'int8'] as const) {
      await using engine = await Engine.open(directories[0] as string, { threads: 1, dtype });
      const own = await Promise.all(definitions.map((definition) => engine.compile({ definition })));
      const requests = requestsFor(own, 8);
      expect(await engine.generate(requests)).toEqual(await alone(requests));
    }
  });

  it('fail together, with the number of the one that is wrong', async () => {
    const [task] = tasks as [Task];
    const requests = [
      { task, input: 'fine' },
      { task, input: 'word '.repeat(3000) },
    ];
    await expect(hint.generate(requests)).rejects.toThrow(/Request number 1: .*limit is 1024/);
    expect(hint.serving).toMatchObject({ queued: 0 });
  });
});

describe('requests that come and go', () => {
  it('get what each gets alone, whenever they come and however full it is', async () => {
    const requests = requestsFor(tasks, 32);
    const expected = await alone(requests);
    const serving = { maxRows: 5, maxCohorts: 4, maxBatchTokens: 120, pieceMilliseconds: 1 };
    for (const options of [serving, {}]) {
      await using engine = new Engine(hint.model, hint.tokenizer, false, { serving: options });
      const own = await Promise.all(definitions.map((definition) => engine.compile({ definition })));
      let random = 17;
      const results = await Promise.all(
        requests.map(async ({ task, ...rest }) => {
          random = (random * 1103515245 + 12345) % 2147483648;
          await new Promise((resolve) => setTimeout(resolve, random % 60));
          return engine.submit({ task: own[tasks.indexOf(task)] as Task, ...rest });
        }),
      );
      expect(results).toEqual(expected);
      expect(engine.serving).toMatchObject({ queued: 0, running: 0, completed: 32, failed: 0 });
    }
  });

  it('a task with few requests does not wait for a task with many', async () => {
    await using engine = new Engine(hint.model, hint.tokenizer, false, { serving: { maxRows: 2 } });
    const [many, few] = tasks as [Task, Task];
    const order: string[] = [];
    const submit = (task: Task, name: string): Promise<unknown> =>
      engine.submit({ task, input: 'A horse.', maxTokens: 3 }).then(() => order.push(name));
    await Promise.all([
      ...Array.from({ length: 20 }, () => submit(many, 'many')),
      ...Array.from({ length: 2 }, () => submit(few, 'few')),
    ]);
    expect(order.lastIndexOf('few')).toBeLessThan(8);
    expect(order).toHaveLength(22);
  });

  it('one cancelled, waiting or running, leaves the others alone', async () => {
    await using engine = new Engine(hint.model, hint.tokenizer, false, { serving: { maxRows: 3 } });
    const requests = requestsFor(tasks, 12).map((request) => ({ ...request, maxTokens: 60 }));
    const stop = new AbortController();
    const results = requests.map((request, i) =>
      engine.submit({ ...request, ...(i % 2 ? { signal: stop.signal } : {}) }),
    );
    const settled = Promise.allSettled(results);
    await results[0];
    stop.abort();
    const expected = await alone(requests);
    for (const [i, result] of (await settled).entries()) {
      if (result.status === 'fulfilled') expect(result.value).toEqual(expected[i]);
      else expect(result.reason).toMatchObject({ code: 'ABORTED' });
      if (i % 2 === 0) expect(result.status).toBe('fulfilled');
    }
    expect((await settled).some(({ status }) => status === 'rejected')).toBe(true);
  });

  it('more than may wait are refused, or wait where asked to', async () => {
    await using engine = new Engine(hint.model, hint.tokenizer, false, {
      serving: { maxRows: 1, maxQueued: 2 },
    });
    const [task] = tasks as [Task];
    const request = { task, input: 'A horse.', maxTokens: 4 };
    const kept = [engine.submit(request), engine.submit(request)];
    await expect(engine.submit(request)).rejects.toMatchObject({ code: 'BUSY' });
    const stop = new AbortController();
    const waiting = engine.submit({ ...request, whenFull: 'wait' });
    const given = engine.submit({ ...request, whenFull: 'wait', signal: stop.signal });
    stop.abort();
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' });
    const [first] = await task.generate(['A horse.'], { maxTokens: 4 });
    expect(await Promise.all([...kept, waiting])).toEqual([first, first, first]);
  });

  it('one that cannot be done does not take the others with it', async () => {
    const [good, other] = tasks as [Task, Task];
    using broken = await hint.compile({ definition: 'Broken.' });
    const { compiled, release } = broken.hold();
    const { shared } = compiled as HintTasks;
    hint.model.device.write(shared[0]?.sharedValue as never, new Float32Array(32).fill(Number.NaN));
    release();
    const results = await Promise.allSettled([
      hint.submit({ task: good, input: 'A horse.', maxTokens: 6 }),
      hint.submit({ task: broken, input: 'A horse.', maxTokens: 6 }),
      hint.submit({ task: good, input: ' ' }),
      hint.submit({ task: good, input: Int32Array.of(9000) }),
      hint.submit({ task: good, input: 'A horse.', maxTokens: 0 }),
      hint.submit({ task: other, input: 'Two birds.', maxTokens: 6 }),
    ]);
    const codes = results.map((result) =>
      result.status === 'rejected' ? (result.reason as { code: string }).code : 'done',
    );
    expect(codes).toEqual(['done', 'NUMERIC', 'INVALID_DATA', 'INVALID_TOKEN', 'INVALID_ARGUMENT', 'done']);
    const expected = await good.generate(['A horse.'], { maxTokens: 6 });
    expect((results[0] as PromiseFulfilledResult<GeneratedText>).value).toEqual(expected[0]);
  });

  it('a task disposed while its requests run is freed when they have ended', async () => {
    const task = await hint.compile({ definition: 'Say it.' });
    const expected = await task.generate(['A horse.'], { maxTokens: 30 });
    const work = hint.submit({ task, input: 'A horse.', maxTokens: 30 });
    const together = task.generate(['A horse.'], { maxTokens: 30 });
    const { compiled, release } = task.hold();
    release();
    task.dispose();
    expect(await work).toEqual(expected[0]);
    expect(await together).toEqual(expected);
    await expect(hint.submit({ task, input: 'A horse.' })).rejects.toThrow(/disposed/);
    await expect.poll(() => (compiled as HintTasks).shared[0]?.sharedKey.disposed).toBe(true);
  });

  it('closing the engine answers those who wait with ABORTED', async () => {
    const engine = await Engine.open(directories[0] as string, {
      threads: 1,
      serving: { maxRows: 2, maxQueued: 3 },
    });
    const task = await engine.compile({ definition: 'Count.' });
    const requests = Array.from({ length: 8 }, () =>
      engine.submit({ task, input: 'A horse.', maxTokens: 4000, whenFull: 'wait' }),
    );
    const settled = Promise.allSettled(requests);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await engine.close();
    for (const result of await settled) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } });
    }
    await expect(engine.submit({ task, input: 'A horse.' })).rejects.toThrow(/closed/);
  });
});
