import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, openSafetensors, type SafetensorsFile, type Task } from '../../src/index.js';
import { toBfloat16, toFloat32 } from '../../src/formats/safetensors/file.js';
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

async function valuesOf(path: string, name: string): Promise<Float32Array> {
  await using file = await openSafetensors(path);
  const tensor = file.tensors.get(name);
  if (!tensor) throw new Error(`${path} has no ${name}.`);
  return toFloat32(await file.read(name), tensor.dtype);
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
    // Files of other engines hold rounded values, from which training goes elsewhere.
    if (dtype === 'f32') {
      using trained = await task.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
      using opened = await engine.loadTask(paths[0]);
      using other = await opened.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
      expect(await trained.generate(inputs, { maxTokens: 8 })).toEqual(
        await other.generate(inputs, { maxTokens: 8 }),
      );
    }
    await task.save(paths[1]);
    expect(await readFile(paths[1])).toEqual(await readFile(paths[0]));
    expect(await task.generate(inputs, { maxTokens: 8 })).toEqual(expected);
  });

  it('has its matrices in a file as its engine does, and an engine of f32 all of f32; each reads the other’s', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    await using exact = await Engine.open(directory, { threads: 1 });
    const paths = [join(folder, 'own.safetensors'), join(folder, 'exact.safetensors')] as const;
    using task = await engine.compile(request);
    await task.save(paths[0]);
    using whole = await exact.compile(request);
    await whole.save(paths[1]);
    const [own, all] = await Promise.all(paths.map((path) => openSafetensors(path)));
    const dtypes = [...(own as SafetensorsFile).tensors.values()].map((one) => `${one.name} ${one.dtype}`);
    const rounded = dtype === 'f32' ? 'F32' : 'BF16';
    expect(dtypes).toContain(`adapter_down ${rounded}`);
    expect(dtypes).toContain(`lora_q_a ${rounded}`);
    expect(dtypes).toContain('prefix_key F32');
    expect(own?.metadata.get('format')).toBe(dtype === 'f32' ? 'hint-task-2' : 'hint-task-3');
    expect([...(all as SafetensorsFile).tensors.values()].every((one) => one.dtype === 'F32')).toBe(true);
    await Promise.all([own?.close(), all?.close()]);
    using again = await engine.loadTask(paths[0]);
    expect(await again.generate(inputs, { maxTokens: 12 })).toEqual(
      await task.generate(inputs, { maxTokens: 12 }),
    );
    // The tokens of the other file may be others: what it holds was computed in f32.
    using taken = await engine.loadTask(paths[1]);
    const path = join(folder, 'taken.safetensors');
    await taken.save(path);
    for (const name of ['adapter_down', 'lora_q_a', 'prefix_key']) {
      const mine = await valuesOf(path, name);
      const theirs = await valuesOf(paths[1], name);
      const isRounded = dtype !== 'f32' && name !== 'prefix_key';
      expect(mine, name).toEqual(isRounded ? toFloat32(toBfloat16(theirs), 'BF16') : theirs);
    }
    using other = await exact.loadTask(paths[0]);
    for (const { text } of await other.generate(inputs, { maxTokens: 12 })) expect(text).not.toBe('');
  });

  it('that was trained is saved with the values that training gave it', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    using task = await engine.compile(request);
    using trained = await task.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
    const path = join(folder, 'trained.safetensors');
    await trained.save(path);
    await using file = await openSafetensors(path);
    expect([...file.tensors.values()].every((one) => one.dtype === 'F32')).toBe(true);
  });
});

describe('a file with matrices in bf16', () => {
  let path: string;
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open(directory, { threads: 1, dtype: 'bf16' });
    path = join(folder, 'rounded.safetensors');
    using task = await engine.compile(request);
    await task.save(path);
  });
  afterAll(() => engine.close());

  it('is refused where a value of them is no number', async () => {
    const bytes = await readFile(path);
    await using file = await openSafetensors(path);
    bytes.writeUInt16LE(0x7fc0, (file.locate('adapter_up')?.position as number) + 64);
    const bad = join(folder, 'nan.safetensors');
    await writeFile(bad, bytes);
    await expect(engine.loadTask(bad)).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringContaining('adapter_up') as string,
    });
  });

  it('is refused where it says that it is of a version that has none', async () => {
    const old = join(folder, 'old.safetensors');
    await writeFile(old, Buffer.from((await readFile(path)).toString('latin1').replace('hint-task-3', 'hint-task-2'), 'latin1')); // prettier-ignore
    await expect(engine.loadTask(old)).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(/the tensor adapter_down is BF16 .*, expected F32 \[/) as string,
    });
  });
});
