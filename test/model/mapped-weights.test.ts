import { copyFile, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { loadModel, saveModel, type LoadModelOptions } from '../../src/model/checkpoint/checkpoint.js';
import { modelFingerprint } from '../../src/model/trainable/fingerprint.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import {
  openSafetensors,
  writeSafetensors,
  type SafetensorsDType,
  type TensorToWrite,
} from '../../src/formats/safetensors/file.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { compileTasks } from '../../src/inference/compile/compiled-tasks.js';
import { disposeTasks } from '../../src/inference/contract/compiled-tasks.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { ADAFACTOR, Optimizer } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { trainOnBatch } from '../../src/training/step/train-on-batch.js';
import { sha256Hex } from '../../src/util/hash.js';
import { FULL_HINT, randomModel, removeAll, tinyConfig } from '../inference/models.js';
import { tinyPool } from '../training/tiny.js';

const CONFIG = tinyConfig({ ...FULL_HINT, adapter_size: 8 });
const MODEL = 'model.safetensors';
const directories: string[] = [];
const folders: Record<'F32' | 'BF16', string> = { F32: '', BF16: '' };

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hint-mapped-'));
  directories.push(made);
  return made;
}

beforeAll(async () => {
  using device = new Device({ threads: 1 });
  const model = randomModel(device, CONFIG);
  for (const dtype of ['F32', 'BF16'] as const) {
    folders[dtype] = await folder();
    await saveModel(model, folders[dtype], { dtype });
  }
});
afterAll(() => removeAll(directories));

/** Runs `body` with a device of its own, so that nothing else's memory is counted. */
async function withModel<T>(
  directory: string,
  options: LoadModelOptions,
  body: (model: EncoderDecoderModel, device: Device) => Promise<T>,
): Promise<T> {
  using device = new Device({ threads: 1 });
  return await body(await loadModel(device, directory, options), device);
}

async function bytesHeld(device: Device): Promise<{ memory: number; file: number }> {
  await device.synchronize();
  const { bytesInUse, bytesBorrowed } = device.statistics();
  return { memory: bytesInUse, file: bytesBorrowed };
}

/** The tensors of a file, to be written again with other bytes, dtypes or places. */
async function tensorsOf(path: string): Promise<TensorToWrite[]> {
  await using file = await openSafetensors(path);
  const tensors = [];
  for (const { name, dtype, shape } of file.tensors.values())
    tensors.push({ name, dtype, shape, data: await file.read(name) });
  return tensors;
}

async function copyWith(tensors: TensorToWrite[]): Promise<string> {
  const directory = await folder();
  await copyFile(join(folders.F32, 'config.json'), join(directory, 'config.json'));
  await writeSafetensors(join(directory, MODEL), tensors);
  return directory;
}

/** What the model says to inputs of two tasks, packed weights and all. */
function answers(model: EncoderDecoderModel): Promise<unknown> {
  return generateTokens(model, {
    instructions: [Int32Array.of(5, 9, 200, 1), Int32Array.of(7, 1)],
    inputs: [Int32Array.of(11, 12, 13, 1), Int32Array.of(400, 1), Int32Array.of(31, 8, 1)],
    taskIndex: [0, 1, 1],
    maxTokens: 6,
  });
}

describe('a model whose weights are used where they lie', () => {
  it.each(['F32', 'BF16'] as const)('has every value of its %s file, and saves it', async (dtype) => {
    const values = async (options: LoadModelOptions): Promise<Map<string, string>> =>
      withModel(folders[dtype], options, async ({ parameters }) => {
        const hashes = new Map<string, string>();
        for (const name of parameters.names())
          hashes.set(name, sha256Hex(new Uint8Array((await parameters.read(name)).buffer)));
        return hashes;
      });
    expect(await values({ mapped: true })).toEqual(await values({}));
    const copy = await folder();
    await withModel(folders[dtype], { mapped: true }, (model) => saveModel(model, copy, { dtype }));
    const [saved, original] = [copy, folders[dtype]].map((path) => readFile(join(path, MODEL)));
    expect((await saved)?.equals((await original) as Buffer)).toBe(true);
  });

  it.each([
    ['F32', 'f32'],
    ['F32', 'int8'],
    ['BF16', 'f32'],
    ['BF16', 'bf16'],
  ] as const)('of %s answers in %s as one that was read into memory', async (stored, dtype) => {
    const [mapped, read] = await Promise.all(
      [true, false].map((isMapped) =>
        withModel(folders[stored], { mapped: isMapped }, (model) => {
          model.inferenceDType = dtype;
          return answers(model);
        }),
      ),
    );
    expect(mapped).toEqual(read);
  });

  it('of BF16 quantises what one that was read into memory does', async () => {
    const [mapped, read] = await Promise.all(
      [true, false].map((isMapped) =>
        withModel(folders.BF16, { mapped: isMapped, withoutHint: true }, (model) => {
          model.inferenceDType = 'int8';
          return generateTokens(model, {
            inputs: [Int32Array.of(11, 12, 13, 1), Int32Array.of(400, 1), Int32Array.of(31, 8, 1)],
            maxTokens: 6,
          });
        }),
      ),
    );
    expect(mapped).toEqual(read);
  });

  it.each(['F32', 'BF16'] as const)('of %s takes no memory but that of the packed weights', async (dtype) => {
    const packedBytes = await withModel(folders[dtype], {}, async (model, device) => {
      const before = await bytesHeld(device);
      expect(before.file).toBe(0);
      await model.prepareInference();
      return (await bytesHeld(device)).memory - before.memory;
    });
    await withModel(folders[dtype], { mapped: true }, async (model, device) => {
      const opened = await bytesHeld(device);
      const values = model.parameters.storedEntries().reduce((sum, [, tensor]) => sum + tensor.size, 0);
      expect(opened).toEqual({ memory: 0, file: values * (dtype === 'F32' ? 4 : 2) });
      await model.prepareInference();
      expect(await bytesHeld(device)).toEqual({ memory: packedBytes, file: opened.file });
      model.releaseInference();
      expect(await bytesHeld(device)).toEqual(opened);
    });
  });

  it('of BF16 is not widened for every task that is compiled in int8', async () => {
    const commands = await Promise.all(
      (['F32', 'BF16'] as const).map((stored) =>
        withModel(folders[stored], { mapped: true }, async (model, device) => {
          model.inferenceDType = 'int8';
          await model.prepareInference();
          const compile = async (): Promise<number> => {
            const before = device.statistics().commands;
            disposeTasks(
              await compileTasks(model, { ids: Int32Array.of(5, 9, 1), offsets: Int32Array.of(0, 3) }),
            );
            await device.synchronize();
            return device.statistics().commands - before;
          };
          await compile();
          const held = await bytesHeld(device);
          const again = await compile();
          expect(await bytesHeld(device)).toEqual(held);
          model.releaseInference();
          model.dispose();
          expect((await bytesHeld(device)).file).toBe(0);
          return again;
        }),
      ),
    );
    expect(commands[1]).toBe(commands[0]);
  });

  it('has the fingerprint of the same model read into memory: task files serve both', async () => {
    const [mapped, read] = await Promise.all(
      [true, false].map((isMapped) => withModel(folders.BF16, { mapped: isMapped }, modelFingerprint)),
    );
    expect(mapped).toBe(read);
  });

  it.each(['F32', 'BF16'] as const)('of %s trains as any other, and leaves its file alone', async (dtype) => {
    const original = await readFile(join(folders[dtype], MODEL));
    const losses = await Promise.all(
      [true, false].map((isMapped) =>
        withModel(folders[dtype], { mapped: isMapped }, async (model, device) => {
          const before = await answers(model);
          const groups = assignGroups(model.parameters.entries(), findSystem('hint').groups, {
            firstStep: 0,
            multiplyByParameterScale: true,
          });
          const losses = await trainOnBatch(
            model,
            buildBatch(tinyPool(12)),
            new Optimizer(device, ADAFACTOR, groups),
            {
              updates: 3,
              learningRate: 3e-2,
              zLoss: 0,
            },
          );
          expect(losses[3]?.totalMean).toBeLessThan(losses[0]?.totalMean as number);
          expect((await bytesHeld(device)).file).toBe(0);
          // What was packed before is out of date, and made again.
          expect(await answers(model)).not.toEqual(before);
          return losses;
        }),
      ),
    );
    expect(losses[0]).toEqual(losses[1]);
    expect((await readFile(join(folders[dtype], MODEL))).equals(original)).toBe(true);
  });

  it('goes on with its weights when the file is replaced by another', async () => {
    const directory = await copyWith(await tensorsOf(folders.F32));
    await withModel(directory, { mapped: true }, async (model) => {
      const before = await answers(model);
      model.releaseInference();
      await writeFile(join(directory, 'next'), 'something else');
      await rename(join(directory, 'next'), join(directory, MODEL));
      expect(await answers(model)).toEqual(before);
    });
  });

  it('reads what it cannot use where it lies: other dtypes, tensors at odd places', async () => {
    const tensors = await tensorsOf(folders.F32);
    const [first, second] = ['encoder.final_layer_norm.weight', 'decoder.final_layer_norm.weight'];
    const wide = (name: string, dtype: SafetensorsDType): TensorToWrite => {
      const { shape, data } = tensors.find((tensor) => tensor.name === name) as TensorToWrite;
      const values = Float64Array.from(new Float32Array((data as Uint8Array).buffer as ArrayBuffer));
      return { name, dtype, shape, data: new Uint8Array(values.buffer) };
    };
    const changed = tensors.map((tensor) => (tensor.name === first ? wide(first, 'F64') : tensor));
    const directory = await copyWith(changed);
    // A header one byte longer puts every tensor at an odd byte.
    const bytes = await readFile(join(directory, MODEL));
    const length = Number(bytes.readBigUInt64LE());
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(length + 1));
    const odd = await copyWith(changed);
    await writeFile(
      join(odd, MODEL),
      Buffer.concat([prefix, bytes.subarray(8, 8 + length), Buffer.from(' '), bytes.subarray(8 + length)]),
    );
    const expected = await withModel(folders.F32, {}, answers);
    for (const path of [directory, odd]) {
      await withModel(path, { mapped: true }, async (model, device) => {
        const { file } = await bytesHeld(device);
        if (path === odd) expect(file).toBe(0);
        else expect(file).toBeGreaterThan(0);
        expect(model.parameters.stored(second as string).dtype).toBe('f32');
        expect(await answers(model)).toEqual(expected);
      });
    }
  });

  it.each([
    ['F32', 0x7f800000, 'Infinity'],
    ['BF16', 0x7fc0, 'NaN'],
  ] as const)('is refused with a value that is no number in its %s file', async (dtype, bits, printed) => {
    const name = 'decoder.block.1.layer.2.DenseReluDense.wo.weight';
    const tensors = await tensorsOf(folders[dtype]);
    const { data } = tensors.find((tensor) => tensor.name === name) as TensorToWrite;
    const { buffer } = data as Uint8Array;
    if (dtype === 'F32') new Uint32Array(buffer)[321] = bits;
    else new Uint16Array(buffer)[321] = bits;
    const directory = await copyWith(tensors);
    const message = new RegExp(`${name.replaceAll('.', '\\.')} of .* holds ${printed} at index 321`);
    for (const mapped of [true, false]) {
      await expect(withModel(directory, { mapped }, answers)).rejects.toMatchObject({
        code: 'INVALID_CHECKPOINT',
        message: expect.stringMatching(message) as unknown,
      });
    }
  });
});

describe('a checkpoint of several files', () => {
  it('is used where it lies in each', async () => {
    const tensors = await tensorsOf(folders.F32);
    const directory = await folder();
    await copyFile(join(folders.F32, 'config.json'), join(directory, 'config.json'));
    const weightMap: Record<string, string> = {};
    for (const [shard, part] of [tensors.slice(0, 20), tensors.slice(20)].entries()) {
      const file = `model-${shard}.safetensors`;
      await writeSafetensors(join(directory, file), part);
      for (const { name } of part) weightMap[name] = file;
    }
    await writeFile(
      join(directory, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: weightMap }),
    );
    const expected = await withModel(folders.F32, {}, answers);
    await withModel(directory, { mapped: true }, async (model, device) => {
      expect((await bytesHeld(device)).memory).toBe(0);
      expect(await answers(model)).toEqual(expected);
    });
  });
});
