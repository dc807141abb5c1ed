import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import type { GeneratedText, Task } from '../../src/inference/task/task.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
let engine: Engine;
let tasks: Task[];

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[0] as string, { threads: 1 });
  tasks = await Promise.all(
    ['Count.', 'Say the opposite.', 'Name the animal.'].map((definition) => engine.compile({ definition })),
  );
});

afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

const CHOICES = [
  {},
  { temperature: 1.3, seed: 5 },
  { topK: 20, seed: 6 },
  { topP: 0.9, temperature: 2, logProbs: true },
  { logProbs: true },
];

/** Requests of every task and choice, mixed. */
function requests(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    task: tasks[i % 3] as Task,
    input: `Sentence ${i} ${'is about a horse and '.repeat(i % 3)}two birds.`,
    maxTokens: 1 + ((i * 5) % 40),
    ...CHOICES[(i * 3) % CHOICES.length],
  }));
}

async function alone(list: ReturnType<typeof requests>): Promise<GeneratedText[]> {
  const results: GeneratedText[] = [];
  for (const { task, input, ...options } of list) results.push(...(await task.generate([input], options)));
  return results;
}

function expectSame(actual: readonly GeneratedText[], expected: readonly GeneratedText[]): void {
  const rounded = (list: readonly GeneratedText[]): unknown[] =>
    list.map(({ logProbs, ...rest }) => ({
      ...rest,
      ...(logProbs ? { logProbs: [...logProbs].map((value) => value.toFixed(3)) } : {}),
    }));
  expect(rounded(actual)).toEqual(rounded(expected));
}

it('requests that draw their tokens get in any company what each gets alone', async () => {
  const list = requests(30);
  const expected = await alone(list);
  expectSame(await engine.generate(list), expected);
  expect(new Set(expected.map(({ text }) => text)).size).toBeGreaterThan(20);
  expect(expected.filter(({ logProbs }) => logProbs).length).toBe(12);
});

it('the same when they come one after the other, join a running batch and outlive others in it', async () => {
  const list = requests(14).map((request, i) => ({ ...request, maxTokens: i % 2 ? 45 : 9 }));
  const small = new Engine(engine.model, engine.tokenizer, false, {
    serving: { maxRows: 6, pieceMilliseconds: 1 },
  });
  const results = list.map(async (request, i) => {
    await new Promise((resolve) => setTimeout(resolve, i * 3));
    return small.submit(request);
  });
  expectSame(await Promise.all(results), await alone(list));
  await small.close();
});

it('a request with options that cannot be is refused by itself', async () => {
  const good = engine.submit({ task: tasks[0] as Task, input: 'A horse.', maxTokens: 3 });
  const submit = (options: object): Promise<GeneratedText> =>
    engine.submit({ task: tasks[0] as Task, input: 'A horse.', ...options });
  await expect(submit({ temperature: -1 })).rejects.toThrow(/temperature is -1/);
  await expect(submit({ topP: 0 })).rejects.toThrow(/topP is 0/);
  await expect(submit({ seed: 3 })).rejects.toThrow(/seed does not go with greedy/);
  expect((await good).tokens.length).toBeGreaterThan(0);
});
