import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type Task } from '../../src/index.js';
import { writeModel, removeAll, tinyConfig } from './models.js';

/** Wide enough that what is held is matrices, not what they are filled up to. */
const WIDE = { d_model: 128, d_kv: 16, d_ff: 128, num_heads: 8 };
const HINT = { adapter_size: 64, prefix_length: 2, lora_ranks: [16, 0, 16, 0], adapter_bias: true };
const request = { definition: 'Name the animal.' };
const inputs = ['A horse and two birds.', 'A cow.', 'Three cats sleep under the tree.'];

let directory: string;
let folder: string;
beforeAll(async () => {
  directory = await writeModel(tinyConfig(HINT, WIDE));
  folder = await mkdtemp(join(tmpdir(), 'hint-task-bytes-'));
});
afterAll(() => removeAll([directory, folder]));

/** What a cached task takes on the device, as the cache counts it and as the device does. */
async function bytesOf(
  engine: Engine,
  open: () => Promise<Task>,
): Promise<{ counted: number; held: number }> {
  const { device } = engine.model;
  await device.synchronize();
  const before = device.statistics().bytesInUse;
  const task = await open();
  await device.synchronize();
  const held = device.statistics().bytesInUse - before;
  task.dispose();
  const counted = engine.tasks.metrics.bytes;
  engine.tasks.clear();
  return { counted, held };
}

describe.each(['f32', 'bf16', 'int8'] as const)('a compiled task of an engine in %s', (dtype) => {
  it('holds each matrix once, as one that was read from its file does, and answers the same', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    const path = join(folder, `${dtype}.safetensors`);
    // What the model makes of its weights for the first task is the model's.
    using first = await engine.compile(request);
    await first.save(path);
    const compiled = await bytesOf(engine, () => engine.tasks.get(request));
    const loaded = await bytesOf(engine, () => engine.tasks.load(path));
    expect(compiled.counted).toBe(loaded.counted);
    expect(compiled.held).toBeLessThan(1.05 * loaded.held);
    using again = await engine.loadTask(path);
    expect(await again.generate(inputs, { maxTokens: 12 })).toEqual(
      await first.generate(inputs, { maxTokens: 12 }),
    );
  });

  it('is saved, trained, and saved again, though its matrices have to be made once more for that', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    using task = await engine.compile(request);
    const before = engine.model.device.statistics().bytesInUse;
    const paths = [join(folder, 'a.safetensors'), join(folder, 'b.safetensors')] as const;
    await task.save(paths[0]);
    const expected = await task.generate(inputs, { maxTokens: 8 });
    await engine.model.device.synchronize();
    expect(engine.model.device.statistics().bytesInUse).toBe(before);
    using trained = await task.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
    using opened = await engine.loadTask(paths[0]);
    using other = await opened.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
    expect(await trained.generate(inputs, { maxTokens: 8 })).toEqual(
      await other.generate(inputs, { maxTokens: 8 }),
    );
    await task.save(paths[1]);
    expect(await readFile(paths[1])).toEqual(await readFile(paths[0]));
    expect(await task.generate(inputs, { maxTokens: 8 })).toEqual(expected);
  });
});
