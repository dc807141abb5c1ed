import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Engine,
  openSafetensors,
  type GeneratedText,
  type SafetensorsFile,
  type Task,
} from '../../src/index.js';
import { taskBytes } from '../../src/accounting/memory.js';
import { heldHere } from '../../src/accounting/weight-memory.js';
import { toBfloat16, toFloat32 } from '../../src/formats/safetensors/file.js';
import type { HintTasks } from '../../src/inference/encoder-decoder/compile.js';
import type { ModelConfig } from '../../src/model/config/config.js';
import { packedTensors } from '../../src/tensor/ops.js';
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
    // Equal log-probabilities: what is read from a file is what was compiled, to the last bit.
    expect(await again.generate(inputs, { maxTokens: 12, logProbs: true })).toEqual(
      await first.generate(inputs, { maxTokens: 12, logProbs: true }),
    );
  });

  it('takes as much as it is counted to, part by part, on the device and in its file', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    using task = await engine.compile(request);
    const { compiled, release } = task.hold();
    release();
    const { encoded, shared, bytes } = compiled as HintTasks;
    const counted = taskBytes(engine.model.config as ModelConfig, task.instructionTokens, dtype, heldHere());
    const taken = (kind: string): number =>
      [...encoded.modules]
        .filter(([name]) => name.startsWith(kind))
        .flatMap(([, { tensor, packed }]) => (packed ? packedTensors(packed) : [tensor]))
        .reduce((total, tensor) => total + tensor.bytes, 0);
    const keys = shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]);
    expect(taken('prefix')).toBe(counted.prefixes);
    expect(encoded.instructions?.rows.bytes).toBe(counted.instruction);
    expect(keys.reduce((total, key) => total + key.bytes, 0)).toBe(counted.instructionKeys);
    // Packed matrices may be filled up.
    for (const [kind, count] of [
      ['adapter', counted.adapters],
      ['lora', counted.lora],
    ] as const) {
      expect(taken(kind), kind).toBeGreaterThanOrEqual(count);
      if (kind === 'adapter') expect(taken(kind)).toBeLessThan(1.1 * count);
    }
    expect(taken('') + counted.instruction + counted.instructionKeys).toBe(bytes);
    const path = join(folder, 'counted.safetensors');
    await task.save(path);
    const header = (await stat(path)).size - counted.file;
    expect(header).toBeGreaterThan(0);
    expect(header).toBeLessThan(4096);
  });

  it('is widened once while any inputs are answered, and leaves nothing behind', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    const { device } = engine.model;
    using task = await engine.compile(request);
    await task.generate(inputs, { maxTokens: 4 });
    await device.synchronize();
    const before = device.statistics().bytesInUse;
    const together = inputs.map((input) => ({ task, input, maxTokens: 6 }));
    const answers = await Promise.all([
      engine.generate(together),
      task.generate(inputs, { maxTokens: 6 }),
      task.generate(inputs, { maxTokens: 6, numBeams: 2 }),
      task.scoreChoices(inputs, ['cow', 'horse']),
      task.embed(inputs),
    ]);
    expect(answers[0]).toEqual(answers[1]);
    const ending = new AbortController();
    const aborted = task.generate(inputs, { maxTokens: 100, signal: ending.signal });
    ending.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(task.generate(Int32Array.of(99_999))).rejects.toMatchObject({ code: 'INVALID_TOKEN' });
    await expect.poll(() => device.statistics().bytesInUse).toBe(before);
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
    const matrix = heldHere().matrices(dtype) === 'int8' ? 'I8' : rounded;
    expect(dtypes).toContain(`adapter_down ${matrix}`);
    for (const name of ['lora_q_a', 'prefix_key', 'instruction_keys'])
      expect(dtypes).toContain(`${name} ${rounded}`);
    expect(dtypes).toContain('instruction F32');
    expect(own?.metadata.get('format')).toBe(dtype === 'f32' ? 'hint-task-2' : 'hint-task-4');
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
      if (name === 'adapter_down' && matrix === 'I8') continue;
      const mine = await valuesOf(path, name);
      const theirs = await valuesOf(paths[1], name);
      expect(mine, name).toEqual(dtype === 'f32' ? theirs : toFloat32(toBfloat16(theirs), 'BF16'));
    }
    using other = await exact.loadTask(paths[0]);
    const answers = await other.generate(inputs, { maxTokens: 12 });
    for (const { text } of answers) expect(text).not.toBe('');
    // An engine that holds no 8 bits does without those of the file.
    if (matrix === 'I8') expect(answers).toEqual(await whole.generate(inputs, { maxTokens: 12 }));
  });

  it('that was trained is saved with the values that training gave it', async () => {
    await using engine = await Engine.open(directory, { threads: 1, dtype });
    using task = await engine.compile(request);
    using trained = await task.train([{ input: 'A cow.', output: 'cow' }], { steps: 1 });
    const path = join(folder, 'trained.safetensors');
    await trained.save(path);
    await using file = await openSafetensors(path);
    const modules = [...file.tensors.values()].filter(({ name }) => !name.startsWith('instruction'));
    expect(modules.length).toBeGreaterThan(6);
    expect(modules.every((one) => one.dtype === 'F32')).toBe(true);
    using again = await engine.loadTask(path);
    expect(await again.generate(inputs, { maxTokens: 12, logProbs: true })).toEqual(
      await trained.generate(inputs, { maxTokens: 12, logProbs: true }),
    );
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
    await writeFile(old, Buffer.from((await readFile(path)).toString('latin1').replace('hint-task-4', 'hint-task-2'), 'latin1')); // prettier-ignore
    await expect(engine.loadTask(old)).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(/the tensor adapter_down is BF16 .*, expected F32 \[/) as string,
    });
  });
});

describe.runIf(heldHere().matrices('int8') === 'int8')('a file with matrices in 8 bits', () => {
  let path: string;
  let engine: Engine;
  let expected: GeneratedText[];
  const options = { maxTokens: 12, logProbs: true };
  beforeAll(async () => {
    engine = await Engine.open(directory, { threads: 1, dtype: 'int8' });
    path = join(folder, 'quantised.safetensors');
    using task = await engine.compile(request);
    await task.save(path);
    expected = await task.generate(inputs, options);
  });
  afterAll(() => engine.close());

  /** The file with some bytes of a tensor written over. */
  async function changed(name: string, place: number, bytes: Uint8Array): Promise<string> {
    const whole = await readFile(path);
    await using file = await openSafetensors(path);
    whole.set(bytes, (file.locate(name)?.position as number) + place);
    const to = join(folder, 'changed.safetensors');
    await writeFile(to, whole);
    return to;
  }

  it('is refused where a scale or a factor is no number', async () => {
    const nan = new Uint8Array(Float32Array.of(NaN).buffer);
    for (const name of ['adapter_down_scale', 'adapter_up_factor']) {
      await expect(engine.loadTask(await changed(name, 8, nan))).rejects.toMatchObject({
        code: 'INVALID_CHECKPOINT',
        message: expect.stringContaining(name) as string,
      });
    }
  });

  it('whose steps would be packed as others is made again of its encoded instruction', async () => {
    // A column without a step of 127, and a row far below the median.
    for (const bytes of [new Uint8Array(64 * 128).fill(3), new Uint8Array(64).fill(1)]) {
      using task = await engine.loadTask(await changed('adapter_down', 0, bytes));
      expect(await task.generate(inputs, options)).toEqual(expected);
    }
  });

  it('leaves nothing on the device when reading it is given up', async () => {
    const { device } = engine.model;
    await device.synchronize();
    const before = device.statistics().bytesInUse;
    await expect(engine.loadTask(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    const cut = join(folder, 'cut.safetensors');
    const nan = new Uint8Array(Float32Array.of(NaN).buffer);
    await writeFile(cut, await readFile(await changed('instruction', 4, nan)));
    await expect(engine.loadTask(cut)).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
    await expect.poll(() => device.statistics().bytesInUse).toBe(before);
  });
});
