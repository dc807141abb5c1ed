import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/file.js';
import { Engine } from '../../src/inference/engine.js';
import { HintError } from '../../src/util/errors.js';
import { removeAll, FULL_HINT, tinyConfig, writeModel } from './models.js';

// A model of transformers and two adapters of PEFT, with their answers: made by test/python/adapters/make_cases.py.
const MODEL = fileURLToPath(new URL('../fixtures/adapters/tiny', import.meta.url));
const DECODER_ONLY = fileURLToPath(new URL('../fixtures/decoder-only/gpt2', import.meta.url));

interface Expected {
  inputs: number[][];
  target: number[];
  answers: { scores: number[]; greedy: number[]; sure: boolean }[];
}

const directories: string[] = [];
let engine: Engine;

beforeAll(async () => {
  engine = await Engine.open(MODEL, { threads: 1 });
});

afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

const expected = async (name: string): Promise<Expected> =>
  JSON.parse(await readFile(join(MODEL, name, 'expected.json'), 'utf8')) as Expected;
const idsOf = ({ inputs }: Expected): Int32Array[] => inputs.map((input) => Int32Array.from(input));

/** A copy of an adapter whose configuration or tensors are changed. */
async function changed(
  config: (value: Record<string, unknown>) => void,
  tensors: (values: Map<string, { shape: readonly number[]; data: Uint8Array }>) => void = () => undefined,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hint-adapter-'));
  directories.push(folder);
  await cp(join(MODEL, 'first'), folder, { recursive: true });
  const path = join(folder, 'adapter_config.json');
  const value = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  config(value);
  await writeFile(path, JSON.stringify(value));
  const weights = join(folder, 'adapter_model.safetensors');
  const all = new Map<string, { shape: readonly number[]; data: Uint8Array }>();
  {
    await using file = await openSafetensors(weights);
    for (const [name, { shape }] of file.tensors) all.set(name, { shape, data: await file.read(name) });
  }
  tensors(all);
  const list = [...all].map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data }));
  await writeSafetensors(weights, list, {});
  return folder;
}

describe('an adapter of PEFT', () => {
  it.each(['first', 'second'])('answers as PEFT does: %s', async (name) => {
    const { target, answers, ...rest } = await expected(name);
    const inputs = idsOf({ target, answers, ...rest });
    using task = await engine.loadTask(join(MODEL, name));
    const { vocabSize } = engine.model.config;
    const every = Array.from({ length: vocabSize }, (_, token) => Int32Array.of(...target, token));
    const scored = await task.scoreChoices(inputs, every);
    const made = await task.generate(inputs, { maxTokens: 6 });
    answers.forEach(({ scores, greedy, sure }, i) => {
      const worst = Math.max(...scores.map((score, at) => Math.abs(score - scored[i]!.scores[at]!)));
      expect(worst / Math.max(...scores.map(Math.abs))).toBeLessThan(2e-5);
      if (sure) expect([...made[i]!.tokens]).toEqual(greedy);
    });
  });

  it('runs in common batches with other adapters and with the model itself, whoever comes first', async () => {
    const inputs = idsOf(await expected('first'));
    using first = await engine.loadTask(join(MODEL, 'first'));
    using second = await engine.tasks.load(join(MODEL, 'second'));
    using plain = await engine.plain();
    const tasks = [plain, first, second];
    const alone = await Promise.all(tasks.map((task) => task.generate(inputs, { maxTokens: 6 })));
    for (const order of [
      [0, 1, 2],
      [1, 0, 2],
      [2, 1, 0],
      [0, 2],
      [0, 0, 1],
    ]) {
      const asked = order.flatMap((which) => inputs.map((input, at) => ({ which, input, at })));
      const made = await engine.generate(
        asked.map(({ which, input }) => ({ task: tasks[which]!, input })),
        { maxTokens: 6 },
      );
      expect(made.map(({ tokens }) => [...tokens])).toEqual(
        asked.map(({ which, at }) => [...alone[which]![at]!.tokens]),
      );
    }
    expect(new Set(alone.map((answers) => answers.map(({ tokens }) => tokens.join()).join(' '))).size).toBe(
      3,
    );
  });

  it('leaves nothing behind where the device refuses one of its tensors', async () => {
    const { device } = engine.model;
    (await engine.loadTask(join(MODEL, 'first'))).dispose();
    await device.synchronize();
    const { bytes } = engine.memory;
    const tensor = device.tensor.bind(device);
    let calls = 0;
    const spy = vi.spyOn(device, 'tensor').mockImplementation((...call) => {
      if (++calls === 2) throw new HintError('OUT_OF_MEMORY', 'There is no memory left.');
      return tensor(...call);
    });
    await expect(engine.loadTask(join(MODEL, 'first'))).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    spy.mockRestore();
    await device.synchronize();
    expect(engine.memory.bytes).toBe(bytes);
  });

  it('is not saved as a task file, which could not hold it', async () => {
    using task = await engine.loadTask(join(MODEL, 'first'));
    await expect(task.save(join(tmpdir(), 'none.safetensors'))).rejects.toThrow(/copy that folder/);
  });
});

describe('an adapter that cannot be used is refused by what is wrong with it:', () => {
  const refusals: [string, RegExp, Parameters<typeof changed>[0], Parameters<typeof changed>[1]?][] = [
    ['another type', /the type "IA3"/, (config) => (config['peft_type'] = 'IA3')],
    ['DoRA', /sets use_dora to true/, (config) => (config['use_dora'] = true)],
    ['a variant that is not known', /sets new_config/, (config) => (config['new_config'] = { a: 1 })],
    [
      'a start that changes the model',
      /init_lora_weights/,
      (config) => (config['init_lora_weights'] = 'pissa'),
    ],
    ['saved modules', /modules_to_save/, (config) => (config['modules_to_save'] = ['lm_head'])],
    [
      'an expression',
      /expression "\.\*q" in alpha_pattern/,
      (config) => (config['alpha_pattern'] = { '.*q': 2 }),
    ],
    ['no number', /lora_alpha/, (config) => (config['lora_alpha'] = 'much')],
    [
      'a tensor of another kind',
      /"base_model\.model\.x", which is no factor/,
      () => undefined,
      (tensors) => tensors.set('base_model.model.x', { shape: [1], data: new Uint8Array(4) }),
    ],
    [
      'a missing factor',
      /one factor of LoRA/,
      () => undefined,
      (tensors) => tensors.delete([...tensors.keys()].find((name) => name.includes('lora_B'))!),
    ],
    [
      'another matrix',
      /DenseReluDense/,
      () => undefined,
      (tensors) => {
        for (const [name, tensor] of [...tensors].slice(0, 2)) {
          tensors.delete(name);
          tensors.set(name.replace(/layer\.\d.*Attention\.\w/, 'layer.1.DenseReluDense.wo'), tensor);
        }
      },
    ],
    [
      'another size',
      /go from/,
      () => undefined,
      (tensors) => {
        const name = [...tensors.keys()].find((one) => one.includes('lora_A'))!;
        const [rank = 0, inputs = 0] = tensors.get(name)!.shape;
        tensors.set(name, { shape: [rank, inputs + 1], data: new Uint8Array(4 * rank * (inputs + 1)) });
      },
    ],
    [
      'a value that is no number',
      /is NaN/,
      () => undefined,
      (tensors) => {
        new Float32Array(tensors.values().next().value!.data.buffer)[0] = NaN;
      },
    ],
    ['no tensors', /no tensor of LoRA/, () => undefined, (tensors) => tensors.clear()],
  ];
  it.each(refusals)('%s', async (_, sentence, config, tensors) => {
    const folder = await changed(config, tensors);
    await expect(engine.loadTask(folder)).rejects.toThrow(sentence);
    await expect(engine.loadTask(folder)).rejects.toMatchObject({ name: 'HintError' });
  });

  it('a folder that holds none', async () => {
    await expect(engine.loadTask(tmpdir())).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/is a folder without adapter_config\.json; give a task file/) as string,
    });
    await expect(engine.loadTask(MODEL)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('a model with a hypernetwork, and one of another family', async () => {
    const hint = await writeModel(tinyConfig(FULL_HINT));
    directories.push(hint);
    await using withHypernetwork = await Engine.open(hint, { threads: 1 });
    await expect(withHypernetwork.loadTask(join(MODEL, 'first'))).rejects.toThrow(/without hypernetwork/);
    await using gpt2 = await Engine.open(DECODER_ONLY, { threads: 1 });
    await expect(gpt2.loadTask(join(MODEL, 'first'))).rejects.toThrow(/adapters are read for a plain T5/);
  });
});
