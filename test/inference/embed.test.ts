import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
let engine: Engine;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)), await writeModel(tinyConfig(null)));
  engine = await Engine.open(directories[0] as string, { threads: 1 });
});

afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

function mean(rows: Float32Array, width: number): number[] {
  const count = rows.length / width;
  return Array.from({ length: width }, (_, d) =>
    Array.from({ length: count }, (_, i) => (rows[i * width + d] as number) / count).reduce(
      (a, b) => a + b,
      0,
    ),
  );
}

function expectClose(actual: Float32Array, expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [d, value] of expected.entries()) expect(actual[d]).toBeCloseTo(value, 5);
}

it('an embedding is the mean of the states of its own tokens, and depends on the task', async () => {
  using task = await engine.compile({ definition: 'Count.' });
  using other = await engine.compile({ definition: 'Say the opposite.' });
  const inputs = ['A horse.', 'Two birds fly over the house.'];
  const pooled = await task.embed(inputs);
  const states = await task.embed(inputs, { pooled: false });
  for (const [i, rows] of states.entries()) {
    expect(rows).toHaveLength(task.encodeInput(inputs[i] as string).length * 32);
    expectClose(pooled[i] as Float32Array, mean(rows, 32));
  }
  expect(await other.embed(inputs)).not.toEqual(pooled);
  await expect(task.embed(['  '])).rejects.toMatchObject({ code: 'INVALID_DATA' });
});

it('a long list of inputs is embedded as each alone', async () => {
  using task = await engine.compile({ definition: 'Count.' });
  const inputs = Array.from({ length: 9 }, (_, i) => new Int32Array(700).fill(40 + i));
  const together = await task.embed(inputs);
  for (const [i, input] of inputs.entries()) {
    const [own] = await task.embed([input]);
    expectClose(together[i] as Float32Array, [...(own as Float32Array)]);
  }
});

it('the instruction is given as fusion reads it, or its mean; a plain T5 encodes none', async () => {
  using task = await engine.compile({ definition: 'Count.' });
  const rows = await task.embedInstruction({ pooled: false });
  expect(rows).toHaveLength(task.instructionTokens * 32);
  expectClose(await task.embedInstruction(), mean(rows, 32));
  await using plain = await Engine.open(directories[1] as string, { threads: 1 });
  using other = await plain.compile({ definition: 'Count.' });
  await expect(other.embedInstruction()).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
});
