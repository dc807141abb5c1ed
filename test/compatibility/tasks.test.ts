import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type Task } from '../../src/index.js';
import { Written } from './written.js';

const FAMILIES = ['hint', 'tk-instruct', 'gpt2'];

let written: Written;
beforeAll(async () => {
  written = await Written.copy();
});
afterAll(() => rm(written.folder, { recursive: true, force: true }));

const open = (name: string): Promise<Engine> =>
  Engine.open(written.at('runs', name, 'model'), { threads: 1 });

/** Holds everything that a task answers to what version 0.1.0 answered. */
async function expectAnswers(task: Task, name: string): Promise<void> {
  const { inputs, choices, ...expected } = written.expected.tasks[name]!;
  const tokensOf = (answers: readonly { tokens: Iterable<number> }[]): number[][] =>
    answers.map(({ tokens }) => [...tokens]);
  const greedy = await task.generate(inputs, { maxTokens: 8, logProbs: true });
  expect(tokensOf(greedy)).toEqual(expected.greedy);
  expect(greedy.map(({ text }) => text)).toEqual(expected.texts);
  written.expectNumbers(
    greedy.flatMap(({ logProbs }) => [...logProbs!]),
    expected.logProbs.flat(),
  );
  const beams = await task.generate(inputs, { maxTokens: 6, numBeams: 3, brevityExponent: 3 });
  expect(tokensOf(beams)).toEqual(expected.beams);
  const sampled = await task.generate(inputs, { maxTokens: 6, temperature: 1, seed: 3 });
  expect(tokensOf(sampled)).toEqual(expected.sampled);
  const scores = await task.scoreChoices(inputs, choices);
  written.expectNumbers(
    scores.flatMap((one) => one.scores),
    expected.scores.flat(),
  );
}

describe('a model that version 0.1.0 trained', () => {
  it.each(FAMILIES)('compiles an instruction to the answers of that version: %s', async (name) => {
    const { definition, examples } = written.expected.tasks[name]!;
    await using engine = await open(name);
    using task = await engine.compile({ definition, examples });
    await expectAnswers(task, name);
  });
});

describe('a task file that version 0.1.0 wrote', () => {
  it.each(FAMILIES)('loads, and answers as it did then: %s', async (name) => {
    await using engine = await open(name);
    using task = await engine.loadTask(written.at('tasks', `${name}.safetensors`));
    await expectAnswers(task, name);
  });
});
