import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JointDecoding } from '../../src/inference/contract/family.js';
import { Engine } from '../../src/inference/engine.js';
import { familyOf } from '../../src/inference/families/registry.js';
import { FairQueue } from '../../src/inference/serving/fair-queue.js';
import type { ServingOptions } from '../../src/inference/serving/requests.js';
import type { Row } from '../../src/inference/serving/row.js';
import { RunningBatch } from '../../src/inference/serving/running-batch.js';
import type { Task } from '../../src/inference/task/task.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

let directory: string;
let hint: Engine;
let tasks: Task[];

beforeAll(async () => {
  directory = await writeModel(tinyConfig(FULL_HINT));
  hint = await Engine.open(directory, { threads: 1 });
  const definitions = ['Answer.', 'Count.', 'Say the opposite.'];
  tasks = await Promise.all(definitions.map((definition) => hint.compile({ definition })));
});

afterAll(async () => {
  await hint.close();
  await removeAll([directory]);
});

describe('turns', () => {
  it('are those of the keys, also of some of them', () => {
    const queue = new FairQueue<string, string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) queue.push(item.charAt(0), item);
    const take = (keys?: string): string | undefined => {
      const next = queue.peek(keys === undefined ? undefined : (item) => keys.includes(item.charAt(0)));
      return next && queue.take(next.charAt(0));
    };
    expect([take(), take('ac'), take('ac'), take('d'), take(), take(), take(), take()]).toEqual([
      ...['a1', 'c1', 'a2', undefined],
      ...['b1', 'c2', 'a3', undefined],
    ]);
  });
});

describe('a batch with as many cohorts as it may have', () => {
  const { submitAll, order } = recorder();

  it('takes all that waits of a task that joins, and then who waits for a cohort', async () => {
    await using engine = engineOf({ maxCohorts: 1 });
    const [many, few] = tasks as [Task, Task];
    let again: Promise<unknown> | undefined;
    await Promise.all([
      ...submitAll(
        engine,
        many,
        'many',
        5,
        () => (again ??= Promise.all(submitAll(engine, many, 'more', 4))),
      ),
      ...submitAll(engine, few, 'few', 2),
    ]);
    await again;
    expect(order).toEqual([...repeat('many', 5), ...repeat('few', 2), ...repeat('more', 4)]);
  });

  it('takes no more rows than it may have', async () => {
    await using engine = engineOf({ maxCohorts: 1, maxRows: 3 });
    const [many, few] = tasks as [Task, Task];
    order.length = 0;
    await Promise.all([...submitAll(engine, many, 'many', 5), ...submitAll(engine, few, 'few', 2)]);
    expect(order).toEqual([...repeat('many', 3), ...repeat('few', 2), ...repeat('many', 2)]);
  });

  it('has room again as soon as the rows of one have ended', async () => {
    const { batch, join } = batchOf();
    await join([1, 20]);
    expect(batch.cohortCount).toBe(2);
    const { inputTokens } = batch;
    await batch.advance();
    expect([batch.cohortCount, batch.inputTokens]).toEqual([1, inputTokens / 2]);
    await batch.clear();
  });
});

describe('a piece', () => {
  it('has at least two steps where rows have come, and else as many as its time allows', async () => {
    const { batch, join } = batchOf(1e-6);
    const rows = await join([20]);
    const lengths = async (): Promise<number[]> => {
      await batch.advance();
      return rows.map(({ tokens }) => tokens.length);
    };
    expect(await lengths()).toEqual([2]);
    expect(await lengths()).toEqual([3]);
    rows.push(...(await join([20])));
    expect(await lengths()).toEqual([5, 2]);
    expect(await lengths()).toEqual([6, 3]);
    await batch.clear();
  });
});

/** An engine of its own over the same model. */
function engineOf(serving: ServingOptions): Engine {
  return new Engine(hint.model, hint.tokenizer, false, { serving });
}

/** Submits equal requests, which all take equally many steps, and notes who is answered when. */
function recorder() {
  const order: string[] = [];
  const submitAll = (engine: Engine, task: Task, name: string, count: number, then?: () => unknown) =>
    repeat(name, count).map(async () => {
      await engine.submit({ task, input: 'A horse.', maxTokens: 3 });
      order.push(name);
      void then?.();
    });
  return { submitAll, order };
}

function repeat(name: string, count: number): string[] {
  return new Array<string>(count).fill(name);
}

/** A running batch, and what lets a row of a task of its own join for each number of tokens. */
function batchOf(pieceMilliseconds = 20) {
  const { model } = hint;
  const batch = new RunningBatch(model, familyOf(model).joint as JointDecoding, pieceMilliseconds);
  const join = async (lengths: readonly number[]): Promise<Row[]> => {
    const rows = lengths.map(rowOf);
    await batch.join(rows.map((row, i) => ({ hold: (tasks[i] as Task).hold(), rows: [row] })));
    return rows;
  };
  return { batch, join };
}

function rowOf(maxTokens: number): Row {
  return {
    ...{ input: Int32Array.of(40, 41, 42, 1), maxTokens },
    ...{ choice: { kind: 'greedy', key: 'greedy' }, stream: [0, 0] },
    ...{ told: 0, endsAt: undefined, tokens: [], logProbs: [], finished: false, dropped: false },
  };
}
