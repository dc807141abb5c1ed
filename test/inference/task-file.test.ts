import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { mkdtemp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import { readTaskMetadata } from '../../src/inference/contract/task-metadata.js';
import type { HintTasks } from '../../src/inference/encoder-decoder/compile.js';
import {
  openSafetensors,
  toBfloat16,
  toFloat32,
  writeSafetensors,
} from '../../src/formats/safetensors/file.js';
import { cast } from '../../src/tensor/ops.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const definition = 'Say the opposite of the word.';
const examples = [{ input: 'hot', output: 'cold' }];
const inputs = ['big', 'slow and old', 'up'];
const STATIC = { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false };

const directories: string[] = [];
let folder: string;
let hint: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-task-'));
  directories.push(
    folder,
    await writeModel(tinyConfig(FULL_HINT)),
    await writeModel(tinyConfig(FULL_HINT), { seed: 2 }),
  );
  hint = await Engine.open(directories[1] as string, { threads: 1 });
});

afterAll(async () => {
  await hint.close();
  await removeAll(directories);
});

/** Writes the file again with some tensors and metadata changed. */
async function rewrite(
  path: string,
  change: (
    tensors: Map<string, { shape: number[]; data: Uint8Array }>,
    task: Record<string, unknown>,
    metadata: Record<string, string>,
  ) => void,
): Promise<void> {
  const tensors = new Map<string, { shape: number[]; data: Uint8Array }>();
  let metadata: Record<string, string>;
  {
    await using file = await openSafetensors(path);
    for (const [name, { shape }] of file.tensors)
      tensors.set(name, { shape: [...shape], data: await file.read(name) });
    metadata = Object.fromEntries(file.metadata);
  }
  const task = JSON.parse(metadata['task'] as string) as Record<string, unknown>;
  change(tensors, task, metadata);
  await writeSafetensors(
    path,
    [...tensors].map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data })),
    { ...metadata, task: JSON.stringify(task) },
  );
}

/** As the first version wrote it: without the instruction's keys and values. */
const asFirstVersion = (path: string): Promise<void> =>
  rewrite(path, (tensors, task, metadata) => {
    tensors.delete('instruction_keys');
    delete task['keys'];
    metadata['format'] = 'hint-task-1';
  });

describe('a task file', () => {
  it.each([
    ['HINT', FULL_HINT],
    ['HINT without fusion', { ...FULL_HINT, instruction_fusion: false }],
    ['fusion alone', {}],
    [
      'Hypter',
      { generator: 'hypter', adapter_size: 4, instruction_fusion: false, per_layer_generators: true },
    ],
    ['learned modules', STATIC],
    ['plain T5', null],
  ])('of %s works as the task did before it was saved, in another process', async (_, config) => {
    const directory = await writeModel(tinyConfig(config));
    directories.push(directory);
    const path = join(folder, 'saved.safetensors');
    const first = await Engine.open(directory, { threads: 1 });
    const task = await first.compile({ definition, examples });
    const before = await task.generate(inputs, { maxTokens: 8 });
    await task.save(path);
    await first.close();
    const second = await Engine.open(directory, { threads: 1 });
    const loaded = await second.loadTask(path);
    expect(await loaded.generate(inputs, { maxTokens: 8 })).toEqual(before);
    expect((second.model as EncoderDecoderModel).hypernetwork?.encodedTasks ?? 0).toBe(0);
    expect(loaded.origin).toMatchObject({ definition, examples });
    await second.close();
  });

  it('of the first version is still read, to the same effect', async () => {
    const path = join(folder, 'first.safetensors');
    using task = await hint.compile({ definition, examples });
    const before = await task.generate(inputs, { maxTokens: 8 });
    await task.save(path);
    await asFirstVersion(path);
    using loaded = await hint.loadTask(path);
    expect(await loaded.generate(inputs, { maxTokens: 8 })).toEqual(before);
  });

  it('has keys and values of the dtype they were computed in, and is read by engines of another', async () => {
    const path = join(folder, 'dtypes.safetensors');
    using task = await hint.compile({ definition });
    await task.save(path);
    await using half = await Engine.open(directories[1] as string, { threads: 1, dtype: 'bf16' });
    const keysOf = async (engine: Engine): Promise<Float32Array> => {
      using loaded = await engine.loadTask(path);
      const value = (loaded.hold().compiled as HintTasks).shared[1]?.sharedValue as Tensor;
      using wide = engine.model.device.keep(cast(value, 'f32'));
      return await wide.read();
    };
    const exact = await keysOf(hint);
    const rounded = await keysOf(half);
    // Computed in bf16, not only held in it.
    expect(rounded).not.toEqual(toFloat32(toBfloat16(exact), 'BF16'));
    await asFirstVersion(path);
    expect(await keysOf(half)).toEqual(rounded);
    expect(await keysOf(hint)).toEqual(exact);
  });

  it('leaves nothing on the device when its task is disposed, and can be replaced while it is in use', async () => {
    // An engine of its own: what other tests left to the garbage collector must not count.
    await using engine = await Engine.open(directories[1] as string, { threads: 1 });
    const { device } = engine.model;
    const held = async (): Promise<[number, number]> => {
      await device.synchronize();
      const { bytesInUse, bytesBorrowed } = device.statistics();
      return [bytesInUse, bytesBorrowed];
    };
    const path = join(folder, 'given-back.safetensors');
    using task = await engine.compile({ definition });
    await task.save(path);
    const before = await held();
    const loaded = await engine.loadTask(path);
    await writeFile(`${path}.new`, 'something else');
    await rename(`${path}.new`, path);
    expect(await loaded.generate(inputs, { maxTokens: 8 })).toEqual(
      await task.generate(inputs, { maxTokens: 8 }),
    );
    const again = join(folder, 'saved-again.safetensors');
    await loaded.save(again);
    loaded.dispose();
    expect(await held()).toEqual(before);
    using third = await engine.loadTask(again);
    expect(await third.generate(inputs, { maxTokens: 8 })).toEqual(
      await task.generate(inputs, { maxTokens: 8 }),
    );
  });

  it('says what it was compiled from', async () => {
    const path = join(folder, 'described.safetensors');
    await (await hint.compile({ definition })).save(path);
    const metadata = await readTaskMetadata(path);
    expect(metadata.source).toMatchObject({ definition, format: 'hint' });
    expect(metadata.fingerprint).toBe(await hint.fingerprint());
  });

  it('of another model is refused, even of one that differs in its weights only', async () => {
    const path = join(folder, 'other.safetensors');
    const other = await Engine.open(directories[2] as string, { threads: 1 });
    await (await other.compile({ definition })).save(path);
    await other.close();
    await expect(hint.loadTask(path)).rejects.toMatchObject({ code: 'FINGERPRINT_MISMATCH' });
    await expect(hint.loadTask(path)).rejects.toThrow(/compiled by another model .*compile it again/);
  });

  it('is not written where it cannot be, and an aborted save leaves the old file', async () => {
    using task = await hint.compile({ definition });
    await expect(task.save(join(folder, 'no', 'such', 'folder'))).rejects.toMatchObject({ code: 'IO' });
    const path = join(folder, 'kept.safetensors');
    await task.save(path);
    const before = await readFile(path);
    await expect(task.save(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await readFile(path)).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a damaged task file is a clear error:', () => {
  /** Saves a good task, lets `damage` change it, and loads the result. */
  async function loadDamaged(damage: (path: string) => Promise<void>): Promise<unknown> {
    const path = join(folder, 'damaged.safetensors');
    using task = await hint.compile({ definition });
    await task.save(path);
    await damage(path);
    return hint.loadTask(path);
  }

  it.each<[string, (path: string) => Promise<void>, string, RegExp]>([
    [
      'cut off',
      async (path) => writeFile(path, (await readFile(path)).subarray(0, 3000)),
      'INVALID_CHECKPOINT',
      /damaged/,
    ],
    ['no safetensors', async (path) => writeFile(path, 'hello'), 'INVALID_CHECKPOINT', /damaged/],
    ['missing', async (path) => removeAll([path]), 'NOT_FOUND', /damaged/],
    [
      'a model instead of a task',
      async (path) => writeSafetensors(path, [], { format: 'pt' }),
      'INVALID_FILE',
      /no task file/,
    ],
    [
      'a value that is no number',
      (path) =>
        rewrite(path, (tensors) =>
          new Float32Array(tensors.get('prefix_key')?.data.buffer as ArrayBuffer).fill(NaN, 3, 4),
        ),
      'INVALID_CHECKPOINT',
      /prefix_key.*NaN at index 3/,
    ],
    [
      'an infinity in a matrix that is packed straight from the file',
      (path) =>
        rewrite(path, (tensors) =>
          new Float32Array(tensors.get('adapter_up')?.data.buffer as ArrayBuffer).fill(Infinity, 9, 10),
        ),
      'INVALID_CHECKPOINT',
      /adapter_up.*Infinity at index 9/,
    ],
    [
      'a value that is no number among the keys',
      (path) =>
        rewrite(path, (tensors) =>
          new Float32Array(tensors.get('instruction_keys')?.data.buffer as ArrayBuffer).fill(NaN, 5, 6),
        ),
      'INVALID_CHECKPOINT',
      /instruction_keys.*NaN at index 5/,
    ],
    [
      'missing keys',
      (path) => rewrite(path, (tensors) => void tensors.delete('instruction_keys')),
      'INVALID_CHECKPOINT',
      /instruction_keys is missing/,
    ],
    [
      'keys of another instruction',
      (path) =>
        rewrite(path, (tensors) => {
          const t = tensors.get('instruction_keys');
          if (t) t.shape = [t.shape[0] as number, 1, (t.shape[1] as number) * (t.shape[2] as number)];
        }),
      'INVALID_CHECKPOINT',
      /instruction_keys is F32/,
    ],
    [
      'a missing tensor',
      (path) => rewrite(path, (tensors) => void tensors.delete('adapter_up')),
      'INVALID_CHECKPOINT',
      /adapter_up is missing/,
    ],
    [
      'no encoded instruction',
      (path) => rewrite(path, (tensors) => void tensors.delete('instruction')),
      'INVALID_CHECKPOINT',
      /no encoded instruction/,
    ],
    [
      'another shape',
      (path) =>
        rewrite(path, (tensors) => {
          const t = tensors.get('prefix_value');
          if (t) t.shape = t.shape.toReversed();
        }),
      'INVALID_CHECKPOINT',
      /prefix_value is F32/,
    ],
    [
      'slots the model does not have',
      (path) => rewrite(path, (_, task) => (task['slots'] = { adapter_down: [99] })),
      'INVALID_CHECKPOINT',
      /slots of adapter_down/,
    ],
    [
      'no description',
      (path) => rewrite(path, (_, task) => delete task['inputPrefix']),
      'INVALID_CHECKPOINT',
      /inputPrefix/,
    ],
  ])('%s', async (_, damage, code, message) => {
    await expect(loadDamaged(damage)).rejects.toThrow(message);
    await expect(loadDamaged(damage)).rejects.toMatchObject({ code });
    // Nothing of it sticks: a good task still loads.
    const path = join(folder, 'good.safetensors');
    using task = await hint.compile({ definition });
    await task.save(path);
    (await hint.loadTask(path)).dispose();
  });

  it('whose values are large is none', async () => {
    const path = join(folder, 'large.safetensors');
    using task = await hint.compile({ definition });
    await task.save(path);
    await rewrite(path, (tensors) =>
      new Float32Array(tensors.get('instruction')?.data.buffer as ArrayBuffer).fill(1e25, 0, 1),
    );
    using loaded = await hint.loadTask(path);
    expect((await loaded.embedInstruction({ pooled: false }))[0]).toBe(Math.fround(1e25));
  });
});
