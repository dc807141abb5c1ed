import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../src/index.js';
import { openTinyEngine, writeTinyModel } from '../../src/testing/index.js';

const request = {
  definition: 'Name the colour in the list.',
  examples: [{ input: 'A red hat.', output: 'red' }],
};

it('answers, streams and serves as an engine of any model, the same answers for the same seed', async () => {
  const answers: string[] = [];
  for (const seed of [7, 7, 8]) {
    await using engine = await openTinyEngine({ seed });
    const task = await engine.compile(request);
    const [answer] = await task.generate(['A blue car.'], { maxTokens: 8 });
    let streamed = '';
    for await (const event of task.stream('A blue car.', { maxTokens: 8 })) streamed += event.text;
    expect(streamed).toBe(answer?.text);
    expect(await engine.submit({ task, input: 'A blue car.', maxTokens: 8 })).toEqual(answer);
    answers.push(String(answer?.tokens));
  }
  expect(answers[1]).toBe(answers[0]);
  expect(answers[2]).not.toBe(answers[0]);
});

it('reads its instruction once with a hypernetwork, and with every input without', async () => {
  await using hint = await openTinyEngine();
  await using plain = await openTinyEngine({ hint: false });
  expect((await hint.compile(request)).instructionTokens).toBeGreaterThan(0);
  expect((await plain.compile(request)).instructionTokens).toBe(0);
});

it('spells any printable text, with one token for a word that was asked for', async () => {
  await using engine = await openTinyEngine({ words: ['salad'] });
  const { tokenizer } = engine;
  const text = 'salad {"a": [~]} \\ <b>';
  expect(tokenizer?.decode(tokenizer.encode(text))).toBe(text);
  expect(tokenizer?.encode('salad', { addEos: false })).toHaveLength(1);
  expect(tokenizer?.encode('salads', { addEos: false }).length).toBeGreaterThan(1);
});

it('leaves no folder behind, also when the engine cannot be opened', async () => {
  const left = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith('hint-tiny-'));
  const before = await left();
  const engine = await openTinyEngine();
  await engine.close();
  await expect(openTinyEngine({ device: 'abacus' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(await left()).toEqual(before);
});

it('is a directory that every command takes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hint-written-'));
  await writeTinyModel(join(folder, 'model'), { seed: 3 });
  const opened = await Engine.open(join(folder, 'model'), { threads: 1 });
  const task = await opened.compile(request);
  expect(await task.generate('A red hat.', { maxTokens: 2 })).toHaveLength(1);
  await opened.close();
  await rm(folder, { recursive: true });
});
