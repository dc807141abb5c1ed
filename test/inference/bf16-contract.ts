import { mkdtemp, open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { Engine } from '../../src/inference/engine.js';
import type { Task } from '../../src/inference/task/task.js';
import { loadModel, saveModel } from '../../src/model/checkpoint/checkpoint.js';
import type { HintModel } from '../../src/model/hint/hint-model.js';
import type { HintTasks } from '../../src/inference/encoder-decoder/compile.js';
import { openModel } from '../../src/model/families/open-model.js';
import { openSafetensors } from '../../src/formats/safetensors/file.js';
import type { Device } from '../../src/tensor/device.js';
import { FULL_HINT, removeAll, tinyConfig, TOKENIZER, writeModel } from './models.js';

const colours = { definition: 'Name the colour in the list of words.' };
const opposites = { definition: 'Say the opposite.', examples: [{ input: 'hot', output: 'cold' }] };
const inputs = ['cat green salad', 'A red hat lies on the table.', 'up'];
/** Largest differences of values between 0 and a few, relative to the largest. */
const BOUND = 3e-2;

function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  const values = Array.from(expected);
  const gap = Math.max(...values.map((value, i) => Math.abs((actual[i] as number) - value)));
  return gap / Math.max(...values.map(Math.abs));
}

/** Bytes in use on an engine's device. */
async function bytesInUse({ model: { device } }: Engine): Promise<number> {
  await device.synchronize();
  return device.statistics().bytesInUse;
}

/** Writes one value into a tensor of a file. */
async function overwrite(
  path: string,
  name: string,
  index: number,
  value: Float32Array | Uint16Array,
): Promise<void> {
  const at = await (async () => {
    await using file = await openSafetensors(path);
    return file.locate(name)!.position + value.BYTES_PER_ELEMENT * index;
  })();
  const file = await openFile(path, 'r+');
  await file.write(new Uint8Array(value.buffer), 0, value.BYTES_PER_ELEMENT, at);
  await file.close();
}

/**
 * Tests of bf16 inference on a device that does not pack weights.
 *
 * @param open such a device, which the engine closes
 */
export function describeBf16Inference(open: () => Device): void {
  const directories: string[] = [];
  let folder: string;
  let tokenizer: Tokenizer;
  let exact: Engine;
  let rounded: Engine;

  const engineOf = async (directory: string): Promise<Engine> => {
    const model = await loadModel(open(), directory, { dtype: 'bf16' });
    model.inferenceDType = 'bf16';
    return new Engine(model, tokenizer, true);
  };

  beforeAll(async () => {
    tokenizer = await Tokenizer.load(TOKENIZER);
    folder = await mkdtemp(join(tmpdir(), 'hint-bf16-'));
    directories.push(folder, await writeModel(tinyConfig(FULL_HINT)));
    exact = await Engine.open(directories[1] as string, { threads: 1 });
    rounded = await engineOf(directories[1] as string);
  });

  afterAll(async () => {
    await Promise.all([exact?.close(), rounded?.close()]);
    await removeAll(directories);
  });

  /** Runs a task compiled by both engines. */
  async function withBoth<T>(
    use: (exactTask: Task, roundedTask: Task) => Promise<T>,
    request = colours,
  ): Promise<T> {
    using one = await exact.compile(request);
    using other = await rounded.compile(request);
    return await use(one, other);
  }

  it('gives answers the probabilities that f32 gives them', async () => {
    await withBoth(async (one, other) => {
      const choices = ['green', 'red', 'no such thing'];
      const [expected, actual] = await Promise.all(
        [one, other].map(async (task) => (await task.scoreChoices(inputs, choices)).flatMap((s) => s.scores)),
      );
      expect(difference(actual as number[], expected as number[])).toBeLessThan(BOUND);
    });
  });

  it('holds matrices once, in bf16, and modules, keys and values too', async () => {
    const { parameters } = rounded.model;
    for (const [name, { dtype, shape }] of parameters.storedEntries())
      expect(dtype, name).toBe(shape.length > 1 ? 'bf16' : 'f32');
    const before = await bytesInUse(rounded);
    using task = await rounded.compile(colours);
    const { compiled, release } = task.hold();
    release();
    const { encoded, shared } = compiled as HintTasks;
    const tensors = [...encoded.modules.values()].map(({ tensor }) => tensor);
    tensors.push(...shared.flatMap(({ sharedKey, sharedValue }) => [sharedKey, sharedValue]));
    expect(tensors.length).toBeGreaterThan(8);
    expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['bf16']));
    await task.generate(inputs, { maxTokens: 40 });
    await task.generate(inputs, { maxTokens: 4, decode: 'beam', numBeams: 3 });
    await task.scoreChoices(inputs, ['green', 'red']);
    await task.embed(inputs);
    task.dispose();
    // Weights that inference derives from others came with the first task; nothing was widened.
    const after = await bytesInUse(rounded);
    const bf16 = parameters.storedEntries().reduce((total, [, { bytes }]) => total + bytes, 0);
    expect(after).toBeLessThan(bf16 * 1.5);
    expect(parameters.storedEntries().filter(([, { dtype }]) => dtype === 'f32')).toHaveLength(
      parameters.storedEntries().filter(([, { shape }]) => shape.length === 1).length,
    );
    const { device } = rounded.model;
    device.resetPeakMemory();
    using again = await rounded.compile(colours);
    await again.generate(inputs, { maxTokens: 40 });
    again.dispose();
    expect(await bytesInUse(rounded)).toBe(after);
    // No table was copied or widened on the way.
    const table = parameters.stored('lm_head.weight').bytes;
    expect(device.statistics().peakBytesInUse - after).toBeLessThan(table);
    expect(before).toBeLessThanOrEqual(after);
  });

  it('takes a bf16 file as it is, and refuses one with a value that is no number', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'hint-bf16-'));
    directories.push(directory);
    const scoresOf = async (engine: Engine): Promise<number[]> => {
      using task = await engine.compile(colours);
      return (await task.scoreChoices(inputs, ['green'])).flatMap(({ scores }) => scores);
    };
    await saveModel(exact.model, directory, { dtype: 'BF16' });
    const [wide, narrow] = [
      await Engine.open(directory, { threads: 1, tokenizer }),
      await engineOf(directory),
    ];
    try {
      expect(await narrow.fingerprint()).toBe(await wide.fingerprint());
      expect(await scoresOf(narrow)).toEqual(await scoresOf(rounded));
    } finally {
      await Promise.all([wide.close(), narrow.close()]);
    }
    await overwrite(join(directory, 'model.safetensors'), 'lm_head.weight', 3, Uint16Array.of(0xff80));
    await expect(engineOf(directory)).rejects.toThrow(/lm_head.weight .* -Infinity at index 3/);
  });

  it.each([
    ['greedily', {}],
    ['with beams', { decode: 'beam', numBeams: 4 }],
    ['drawn', { decode: 'sample', temperature: 0.8, topP: 0.9, seed: 7, logProbs: true }],
  ] as const)('decodes an input %s as it does alone, longer than its first caches', async (_, options) => {
    using task = await rounded.compile(opposites);
    const together = await task.generate(inputs, { maxTokens: 40, ...options });
    for (const [i, input] of inputs.entries())
      expect((await task.generate([input], { maxTokens: 40, ...options }))[0]).toEqual(together[i]);
    expect(new Set(together.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(1);
  });

  it('chooses the same tokens one at a time and in recorded pieces, which a GPU replays as a graph', async () => {
    using task = await rounded.compile(colours);
    const together = await task.generate(inputs, { maxTokens: 40 });
    const streamed = inputs.map((): number[] => []);
    for await (const event of task.stream(inputs, { maxTokens: 40 }))
      if (event.type === 'token') streamed[event.input]?.push(event.token);
    expect(streamed).toEqual(together.map(({ tokens }) => [...tokens]));
  });

  it('decodes requests of several tasks in common batches as by themselves', async () => {
    using one = await rounded.compile(colours);
    using other = await rounded.compile(opposites);
    const requests = inputs.flatMap((input) => [
      { task: one, input },
      { task: other, input },
    ]);
    const together = await rounded.generate(requests, { maxTokens: 34 });
    for (const [i, { task, input }] of requests.entries())
      expect(together[i]?.tokens).toEqual((await task.generate([input], { maxTokens: 34 }))[0]?.tokens);
  });

  it('embeds inputs and instructions as f32 does', async () => {
    await withBoth(async (one, other) => {
      const [expected, actual] = await Promise.all([one, other].map((task) => task.embed(inputs)));
      for (const [i, values] of (expected as Float32Array[]).entries())
        expect(difference(actual?.[i] as Float32Array, values)).toBeLessThan(BOUND);
      for (const pooled of [true, false])
        expect(
          difference(await other.embedInstruction({ pooled }), await one.embedInstruction({ pooled })),
        ).toBeLessThan(BOUND);
    });
  });

  describe('a task file', () => {
    it('saved and loaded gives the task that was saved, and holds matrices as products read them', async () => {
      const path = join(folder, 'own.safetensors');
      using task = await rounded.compile(colours);
      await task.save(path);
      await using file = await openSafetensors(path);
      for (const { name, dtype } of file.tensors.values())
        expect(dtype, name).toBe(/^(adapter_bias.*|instruction)$/.test(name) ? 'F32' : 'BF16');
      using loaded = await rounded.loadTask(path);
      expect(await loaded.generate(inputs, { maxTokens: 20 })).toEqual(
        await task.generate(inputs, { maxTokens: 20 }),
      );
    });

    it('goes from an engine in f32 to one in bf16 and back: they are one model', async () => {
      expect(await rounded.fingerprint()).toBe(await exact.fingerprint());
      const [there, back] = [join(folder, 'there.safetensors'), join(folder, 'back.safetensors')];
      await withBoth(async (one, other) => {
        await one.save(there);
        await other.save(back);
        using taken = await rounded.loadTask(there);
        using returned = await exact.loadTask(back);
        const score = async (task: Task): Promise<number[]> =>
          (await task.scoreChoices(inputs, ['green'])).flatMap(({ scores }) => scores);
        const expected = await score(one);
        expect(difference(await score(taken), expected)).toBeLessThan(BOUND);
        expect(difference(await score(returned), expected)).toBeLessThan(BOUND);
      });
    });

    it('of modules that are not finite is refused by name', async () => {
      const path = join(folder, 'nan.safetensors');
      using task = await rounded.compile(colours);
      await task.save(path);
      // Two bf16, of which the second has the upper half.
      await overwrite(path, 'adapter_up', 5, Float32Array.of(Number.NaN));
      await expect(rounded.loadTask(path)).rejects.toThrow(/adapter_up.*NaN at index 11/);
    });
  });

  it('a task that was demoted to its instruction comes back as it was', async () => {
    const directory = directories[1] as string;
    const engine = await loadModel(open(), directory, { dtype: 'bf16' }).then((model) => {
      model.inferenceDType = 'bf16';
      return new Engine(model, tokenizer, true, { taskCache: { maxBytes: 20_000 } });
    });
    try {
      const answers = async (): Promise<string[]> => {
        using task = await engine.tasks.get(colours);
        return (await task.generate(inputs, { maxTokens: 12 })).map(({ tokens }) => tokens.join());
      };
      const first = await answers();
      using other = await engine.tasks.get(opposites);
      expect(engine.tasks.list().map(({ tier }) => tier)).toContain('encoded');
      other.dispose();
      expect(await answers()).toEqual(first);
      expect(engine.tasks.metrics.regenerated).toBe(1);
    } finally {
      await engine.close();
    }
  });

  it.each([
    [
      'learned modules',
      { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false },
    ],
    [
      'Hypter',
      { generator: 'hypter', adapter_size: 4, instruction_fusion: false, per_layer_generators: true },
    ],
    ['a decoder as generator', { ...FULL_HINT, generator: 'decoder' }],
    ['norms in the generators', { ...FULL_HINT, generator_layer_norm: true }],
    ['no hypernetwork', null],
  ])('holds for %s', async (_, hint) => {
    const directory = await writeModel(tinyConfig(hint));
    directories.push(directory);
    const wide = await Engine.open(directory, { threads: 1 });
    const narrow = await engineOf(directory);
    try {
      const scores = await Promise.all(
        [wide, narrow].map(async (engine) => {
          using task = await engine.compile(colours);
          return (await task.scoreChoices(inputs, ['green', 'red'])).flatMap((one) => one.scores);
        }),
      );
      expect(difference(scores[1] as number[], scores[0] as number[])).toBeLessThan(BOUND);
    } finally {
      await Promise.all([wide.close(), narrow.close()]);
    }
  });

  it.each(['gpt2', 'opt', 'opt-norm-after'])('holds for the decoder-only %s', async (name) => {
    const directory = join(import.meta.dirname, '..', 'fixtures', 'decoder-only', name);
    const wide = await Engine.open(directory, { threads: 1 });
    const narrow = new Engine(await openModel(open(), directory, { dtype: 'bf16' }), undefined, true);
    const prompts = [Int32Array.of(5, 9, 4), Int32Array.of(7), Int32Array.of(11, 3, 8, 6)];
    try {
      expect(await narrow.fingerprint()).toBe(await wide.fingerprint());
      const scores = await Promise.all(
        [wide, narrow].map(async (engine) => {
          using task = await engine.compileTokens(Int32Array.of(10, 12, 6));
          const choices = [Int32Array.of(4, 5), Int32Array.of(6)];
          return (await task.scoreChoices(prompts, choices)).flatMap((one) => one.scores);
        }),
      );
      expect(difference(scores[1] as number[], scores[0] as number[])).toBeLessThan(BOUND);
      using task = await narrow.compileTokens(Int32Array.of(10, 12, 6));
      const together = await task.generate(prompts, { maxTokens: 12 });
      for (const [i, prompt] of prompts.entries())
        expect((await task.generate([prompt], { maxTokens: 12 }))[0]).toEqual(together[i]);
      const beams = await task.generate(prompts, { maxTokens: 8, numBeams: 3 });
      expect(beams.every(({ tokens }) => tokens.length > 0)).toBe(true);
      for (const [key, { dtype, shape }] of narrow.model.parameters.storedEntries())
        expect(dtype, key).toBe(shape.length > 1 ? 'bf16' : 'f32');
    } finally {
      await Promise.all([wide.close(), narrow.close()]);
    }
  });

  it('changes back to f32 when it is asked to', async () => {
    const model = rounded.model as HintModel;
    const score = async (): Promise<number[]> => {
      using task = await rounded.compile(colours);
      return (await task.scoreChoices(inputs, ['green'])).flatMap(({ scores }) => scores);
    };
    const first = await score();
    model.inferenceDType = 'f32';
    const wide = await score();
    model.inferenceDType = 'bf16';
    expect(wide).not.toEqual(first);
    expect(await score()).toEqual(first);
  });

  it('int8 is refused in a sentence that names what there is', async () => {
    const model = await loadModel(open(), directories[1] as string);
    model.inferenceDType = 'int8';
    await expect(model.prepareInference()).rejects.toThrow(/int8 are for the CPU.*f32 or bf16/);
    model.dispose();
    model.device.close();
  });
}
