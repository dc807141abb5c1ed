import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

let directory: string;
let base: Engine;
let bytes: number;

beforeAll(async () => {
  directory = await writeModel(tinyConfig(FULL_HINT));
  base = await Engine.open(directory, { threads: 1 });
  (await base.tasks.get({ definition: 'Count.' })).dispose();
  bytes = base.tasks.metrics.bytes;
});

afterAll(async () => {
  await base.close();
  await removeAll([directory]);
});

function engineOf(maxBytes: number): Engine {
  return new Engine(base.model, base.tokenizer, false, { taskCache: { maxBytes } });
}

function encodedTasks({ model }: Engine): number {
  return (model as EncoderDecoderModel).hypernetwork?.encodedTasks as number;
}

const sentences = ['A horse.', 'Two birds fly over the house.'];

describe('the task cache', () => {
  it('compiles what is asked for several times at once only once', async () => {
    await using engine = engineOf(1 << 30);
    const before = encodedTasks(engine);
    const request = { definition: 'Count the words.', examples: [{ input: 'a b', output: '2' }] };
    const [a, b] = await Promise.all([engine.tasks.get(request), engine.tasks.get(request)]);
    using c = await engine.tasks.get(request);
    using other = await engine.tasks.get({ definition: 'Count the words.' });
    expect(encodedTasks(engine)).toBe(before + 2);
    expect(engine.tasks.metrics).toMatchObject({ tasks: 2, hits: 1, misses: 2 });
    const expected = await a.generate(sentences, { maxTokens: 6 });
    a.dispose();
    expect(await b.generate(sentences, { maxTokens: 6 })).toEqual(expected);
    expect(await c.generate(sentences, { maxTokens: 6 })).toEqual(expected);
    expect(await other.generate(sentences, { maxTokens: 6 })).not.toEqual(expected);
    b.dispose();
  });

  it('tells how often a task was there, and since when', async () => {
    await using engine = engineOf(1 << 30);
    const before = Date.now();
    const asked = { definition: 'Count the words.' };
    for (let i = 0; i < 3; i++) (await engine.tasks.get(asked)).dispose();
    const [shown] = engine.tasks.list();
    expect(shown).toMatchObject({ hits: 2 });
    expect(shown?.since).toBeGreaterThanOrEqual(before);
    expect(shown?.since).toBeLessThanOrEqual(Date.now());
  });

  it('stays within its bytes, and gives the same task when the modules come back', async () => {
    await using engine = engineOf(Math.round(bytes * 2.5));
    const expected = new Map<number, unknown>();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) {
        using task = await engine.tasks.get({ definition: `Count ${i} words.` });
        const generated = await task.generate(sentences, { maxTokens: 8 });
        if (round === 0) expected.set(i, generated);
        else expect(generated).toEqual(expected.get(i));
      }
      expect(engine.tasks.metrics.bytes).toBeLessThanOrEqual(bytes * 2.5);
    }
    expect(engine.tasks.metrics).toMatchObject({ misses: 5, regenerated: 10 });
    expect(engine.tasks.list().map(({ tier }) => tier)).toContain('encoded');
  });

  it('never takes a task away that is in use, whatever it may keep', async () => {
    await using engine = engineOf(0);
    const task = await engine.tasks.get({ definition: 'Count.' });
    const work = task.generate(sentences, { maxTokens: 30 });
    using other = await engine.tasks.get({ definition: 'Count more.' });
    expect(engine.tasks.evict({ definition: 'Count.' })).toBe(false);
    task.dispose();
    engine.tasks.clear();
    const [own, theirs] = [await work, await other.generate(sentences, { maxTokens: 30 })];
    using again = await base.compile({ definition: 'Count.' });
    expect(own).toEqual(await again.generate(sentences, { maxTokens: 30 }));
    expect(theirs).toHaveLength(2);
    await expect.poll(() => engine.tasks.list()).toHaveLength(1);
  });

  it('serves requests by definition', async () => {
    await using engine = engineOf(0);
    const requests = Array.from({ length: 12 }, (_, i) => ({
      task: { definition: `Count ${i % 3} words.` },
      input: sentences[i % 2] as string,
      maxTokens: 5,
    }));
    const results = await Promise.all(requests.map((request) => engine.submit(request)));
    for (const [i, { task, input }] of requests.entries()) {
      using own = await base.compile(task);
      expect([results[i]]).toEqual(await own.generate([input], { maxTokens: 5 }));
    }
    await expect.poll(() => engine.tasks.metrics.bytes).toBe(0);
    await expect(engine.submit({ task: { definition: ' ' }, input: 'A.' })).rejects.toThrow(/empty/);
  });

  it('brings a task of a file back from it, or from its instruction', async () => {
    await using engine = engineOf(0);
    const path = join(directory, 'task.safetensors');
    using task = await base.compile({ definition: 'Count 7 words.' });
    await task.save(path);
    const expected = await task.generate(sentences, { maxTokens: 6 });
    for (let round = 0; round < 3; round++) {
      using loaded = await engine.tasks.load(path);
      expect(await loaded.generate(sentences, { maxTokens: 6 })).toEqual(expected);
    }
    expect(engine.tasks.list()).toMatchObject([{ path, users: 0 }]);
    expect(engine.tasks.metrics.misses).toBe(0);
    expect(engine.tasks.metrics.loaded + engine.tasks.metrics.regenerated).toBeGreaterThan(1);
    await expect(engine.tasks.load('/nowhere')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('a compilation that fails is tried anew, and one that nobody waits for any more is kept', async () => {
    await using engine = engineOf(1 << 30);
    const long = { definition: 'word '.repeat(3000) };
    await expect(engine.tasks.get(long)).rejects.toThrow(/limit is 1024/);
    await expect(engine.tasks.get(long)).rejects.toThrow(/limit is 1024/);
    const stop = new AbortController();
    const given = engine.tasks.get({ definition: 'Count.' }, { signal: stop.signal });
    const wanted = engine.tasks.get({ definition: 'Count.' });
    setImmediate(() => stop.abort());
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' });
    (await wanted).dispose();
    expect(engine.tasks.list()).toMatchObject([{ users: 0, tier: 'full' }]);
    expect(engine.tasks.evict({ definition: 'Count.' })).toBe(true);
    expect(engine.tasks.list()).toEqual([]);
  });

  it('keeps its counts and bytes when requests give up while tasks are brought in and taken away', async () => {
    await using engine = engineOf(Math.round(bytes * 1.5));
    const definitions = Array.from({ length: 5 }, (_, i) => ({ definition: `Count ${i} words.` }));
    const outcomes: Promise<unknown>[] = [];
    for (let i = 0; i < 60; i++) {
      const stop = new AbortController();
      const signal = i % 3 === 0 ? stop.signal : undefined;
      const task = definitions[(i * 7) % 5] as { definition: string };
      const answer = engine.submit({ task, input: 'A horse.', maxTokens: 3, signal });
      outcomes.push(answer.catch((error: unknown) => error));
      if (i % 6 === 0) stop.abort();
      else setTimeout(() => stop.abort(), i % 7);
      if (i % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const results = await Promise.all(outcomes);
    const failures = results.filter((result) => result instanceof Error);
    expect(failures.every((error) => (error as { code?: string }).code === 'ABORTED')).toBe(true);
    expect(failures.length).toBeGreaterThanOrEqual(10);
    expect(failures.length).toBeLessThanOrEqual(20);
    await expect
      .poll(() =>
        engine.tasks
          .list()
          .map(({ users }) => users)
          .filter(Boolean),
      )
      .toEqual([]);
    expect(engine.tasks.metrics.bytes).toBeLessThanOrEqual(bytes * 1.5);
    expect(engine.tasks.metrics.bytes).toBe(engine.tasks.list().reduce((sum, task) => sum + task.bytes, 0));
  });

  it('stays within its bytes although nobody waited for the task to come, and leaves nothing when closed', async () => {
    const { device } = base.model;
    await device.synchronize();
    const before = device.statistics().bytesInUse;
    const engine = engineOf(0);
    const given = engine.tasks.get({ definition: 'Count.' }, { signal: AbortSignal.timeout(1) });
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' });
    await expect.poll(() => engine.tasks.metrics).toMatchObject({ misses: 1, bytes: 0, tasks: 0 });
    const abandoned = engine.tasks.get({ definition: 'Count more.' }).catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    await engine.close();
    expect(await abandoned).toMatchObject({ code: 'ABORTED' });
    await device.synchronize();
    expect(device.statistics().bytesInUse).toBe(before);
  });

  it('compiles again what its file no longer gives, and does not mistake another model’s file', async () => {
    await using engine = engineOf(0);
    const path = join(directory, 'gone.safetensors');
    using task = await base.compile({ definition: 'Count 8 words.' });
    await task.save(path);
    const expected = await task.generate(sentences, { maxTokens: 6 });
    (await engine.tasks.load(path)).dispose();
    await rm(path);
    using again = await engine.tasks.get({ definition: 'Count 8 words.' });
    expect(await again.generate(sentences, { maxTokens: 6 })).toEqual(expected);
    await expect(engine.tasks.load(path)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const other = await writeModel(tinyConfig(FULL_HINT), { seed: 2 });
    await using stranger = await Engine.open(other, { threads: 1 });
    await removeAll([other]);
    await task.save(path);
    (await stranger.tasks.get({ definition: 'Count 8 words.' })).dispose();
    await expect(stranger.tasks.load(path)).rejects.toMatchObject({ code: 'FINGERPRINT_MISMATCH' });
  });

  it('gives no other task’s answers when its file was replaced or damaged: it compiles again', async () => {
    const path = join(directory, 'replaced.safetensors');
    using task = await base.compile({ definition: 'Count 9 words.' });
    using other = await base.compile({ definition: 'Sort the letters of the word.' });
    const expected = await task.generate(sentences, { maxTokens: 6 });
    expect(await other.generate(sentences, { maxTokens: 6 })).not.toEqual(expected);
    const damages: [string, () => Promise<void>][] = [
      ['the file of another task', () => other.save(path)],
      ['cut off', async () => writeFile(path, (await readFile(path)).subarray(0, 5000))],
      ['no safetensors', () => writeFile(path, 'hello')],
      ['a value that is no number', async () => {
        const bytes = await readFile(path);
        bytes.fill(0xff, bytes.length - 4);
        await writeFile(path, bytes);
      }],
    ]; // prettier-ignore
    for (const [name, damage] of damages) {
      await using engine = engineOf(0);
      await task.save(path);
      (await engine.tasks.load(path)).dispose();
      expect(engine.tasks.list(), name).toMatchObject([{ tier: 'file', path }]);
      await damage();
      using again = await engine.tasks.get({ definition: 'Count 9 words.' });
      expect(await again.generate(sentences, { maxTokens: 6 }), name).toEqual(expected);
      expect(engine.tasks.metrics.misses, name).toBe(1);
    }
  });

  it('loads a task of token ids for the caller alone, prefix included', async () => {
    const plain = await writeModel(tinyConfig(null));
    await using engine = await Engine.open(plain, { threads: 1 });
    const path = join(plain, 'ids.safetensors');
    using task = await engine.compileTokens(Int32Array.of(20, 21, 22, 1));
    await task.save(path);
    using loaded = await engine.tasks.load(path);
    expect(await loaded.generate(sentences, { maxTokens: 6 })).toEqual(
      await task.generate(sentences, { maxTokens: 6 }),
    );
    expect(engine.tasks.list()).toEqual([]);
    await removeAll([plain]);
  });
});

describe('looking without using', () => {
  it('tells what there is of a task, also while it is being compiled, and what an input takes', async () => {
    await using engine = engineOf(2 ** 30);
    const request = { definition: 'Count 9 words.' };
    expect(engine.tasks.find(request)).toBeUndefined();
    const compiling = engine.tasks.get(request);
    expect(engine.tasks.find(request)).toMatchObject({ tier: 'arriving', bytes: 0 });
    expect(engine.tasks.list()).toMatchObject([{ tier: 'arriving' }]);
    using task = await compiling;
    expect(engine.tasks.find(request)).toEqual(engine.tasks.list()[0]);
    expect(engine.tasks.find(request)).toMatchObject({ tier: 'full', users: 1 });
    expect(engine.tasks.find({ definition: 'Another.' })).toBeUndefined();
    expect(engine.tasks.metrics.hits).toBe(0);
    const input = sentences[0] as string;
    expect(task.inputTokens(input)).toBe(engine.tokenizer?.encode(input).length);
    expect(() => task.inputTokens(' ')).toThrow(/is empty/);
  });
});
