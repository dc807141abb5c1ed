import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  convertCheckpoint,
  loadModel,
  openModel,
  openSafetensors,
  openWeights,
  readModelConfig,
  writeSafetensors,
} from '../../src/index.js';
import { Device } from '../../src/tensor/index.js';
import { configOfTensors } from '../../src/model/config/config-of-tensors.js';
import { parseModelConfig, type ModelConfig } from '../../src/model/config/config.js';
import { parameterShapes } from '../../src/model/parameters/parameter-shapes.js';
import { examineModel } from '../../src/model/families/open-model.js';
import { toFloat32, type TensorToWrite } from '../../src/formats/safetensors/file.js';
import type { WeightFile } from '../../src/formats/weights/weight-file.js';

const fixtures = resolve(import.meta.dirname, '..', 'fixtures');
const t5 = join(fixtures, 'weights', 't5');

let device: Device;
let directory: string;
beforeEach(async () => {
  device = new Device();
  directory = await mkdtemp(join(tmpdir(), 'hint-published-'));
});
afterEach(async () => {
  await device.close();
  await rm(directory, { recursive: true, force: true });
});

/** A model directory as it is in `source`, with other tensors. */
async function changed(
  source: string,
  change: (tensors: Map<string, TensorToWrite>) => void,
): Promise<string> {
  const tensors = new Map<string, TensorToWrite>();
  await using file = await openSafetensors(
    source.endsWith('.safetensors') ? source : join(source, 'model.safetensors'),
  );
  for (const { name, dtype, shape } of file.tensors.values())
    tensors.set(name, { name, dtype, shape, data: await file.read(name) });
  change(tensors);
  const config = source.endsWith('.safetensors') ? join(t5, 'flax') : source;
  await cp(join(config, 'config.json'), join(directory, 'config.json'));
  await writeSafetensors(join(directory, 'model.safetensors'), tensors.values());
  return directory;
}

const values = join(t5, 'values.safetensors');
const f32 = (name: string, shape: number[], value = 1): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: new Uint8Array(
    new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value).buffer,
  ),
});

describe('a T5 from a published form', () => {
  it.each(['bin-shards', 'flax', 'flax-shards', 't5x', 't5x-bf16'])(
    '%s opens with the values of its twin',
    async (name) => {
      const model = await loadModel(device, join(t5, name), { withoutHint: true });
      const twin = await loadModel(device, await changed(values, () => undefined));
      for (const { name: tensor, read } of twin.storedTensors()) {
        const other = model.storedTensors().find((one) => one.name === tensor)!;
        const [held, expected] = [await other.read(), await read()];
        const bound = ['bin-shards', 't5x-bf16'].includes(name) ? 2 ** -8 : 0;
        for (const [i, value] of expected.entries())
          expect(Math.abs((held[i] as number) - value), tensor).toBeLessThanOrEqual(bound * Math.abs(value));
      }
    },
  );

  it('without a config.json has the sizes of its tensors, those of a hypernetwork too', async () => {
    const config = await readModelConfig(join(t5, 't5x'));
    expect(config).toMatchObject({
      vocabSize: 40,
      dModel: 8,
      dKv: 4,
      dFf: 10,
      numLayers: 2,
      numDecoderLayers: 1,
      numHeads: 3,
    });
    expect(config.hint).toMatchObject({ generator: 'cross_attention', adapterSize: 4, adapterBias: true, prefixLength: 3, tieHyperencoder: true, loraRanks: { q: 0, k: 0, v: 0, o: 0 } }); // prettier-ignore
    expect((await readModelConfig(join(t5, 't5x-bf16'))).hint).toBeUndefined();
    expect(await examineModel(join(t5, 't5x'))).toMatchObject({ tensors: expect.any(Number) as number });
    const model = await openModel(device, join(t5, 't5x'));
    expect(model.storedTensors().some(({ name }) => name === 'hypernetwork.prefix_key.wi.weight')).toBe(true);
  });
});

describe('a checkpoint of T5X whose hypernetwork has a decoder', () => {
  const name = 'hypernetwork.embedding.weight';

  it('opens without the rows that pad its table, as it is and converted', async () => {
    const source = join(t5, 't5x-hyperdecoder');
    const copy = join(directory, 'converted');
    await convertCheckpoint(source, copy, { check: true });
    await using file = await openWeights(source);
    const all = toFloat32(await file.read(name), 'F32');
    expect(file.tensors.get(name)?.shape).toEqual([48, 8]);
    for (const [path, mapped] of [
      [source, true],
      [copy, false],
      [copy, true],
    ] as const) {
      const model = await openModel(device, path, { mapped });
      const table = model.storedTensors().find((one) => one.name === name)!;
      expect(table.shape).toEqual([40, 8]);
      expect(await table.read()).toEqual(all.slice(0, 40 * 8));
      expect((await examineModel(path))?.missingTensors).toEqual([]);
      model.dispose();
    }
  });

  it('needs a config.json where its rows can be shared in several ways', async () => {
    await cp(join(t5, 't5x-hyperdecoder', 'checkpoint_1000'), join(directory, 'checkpoint_1000'), { recursive: true }); // prettier-ignore
    await expect(readModelConfig(directory)).rejects.toThrow(/the 48 rows of its component embeddings for 4 slots can be shared among its generators in several ways/); // prettier-ignore
  });

  it('has the sizes of its tensors where there is one way, and the fusion of the original’s configuration', () => {
    const base = { model_type: 't5', d_model: 16, d_kv: 4, d_ff: 8, num_heads: 2, num_layers: 11, num_decoder_layers: 11, vocab_size: 40, feed_forward_proj: 'gated-gelu', tie_word_embeddings: false }; // prettier-ignore
    const read = (hint: object): unknown => {
      const config = parseModelConfig({ ...base, hint: { adapter_size: 0, generator: 'decoder', generator_layer_norm: true, tie_hyperencoder: false, ...hint } }); // prettier-ignore
      const shapes = new Map(parameterShapes(config));
      const [rows, columns] = shapes.get(name)!;
      shapes.set(name, [Math.ceil(rows! / 16) * 16, columns!]);
      const tensors = new Map([...shapes].map(([key, shape]) => [key, { name: key, dtype: 'F32', shape, byteLength: 0 }])); // prettier-ignore
      const found = parseModelConfig(configOfTensors({ path: 'It', tensors } as unknown as WeightFile));
      return { found, config };
    };
    for (const hint of [
      { prefix_length: 3, instruction_fusion: false },
      { prefix_length: 30, instruction_fusion: false, generator_layer_norm: false },
      { prefix_length: 5, per_layer_generators: true, embedding_slots: 16 },
      { prefix_length: 5, per_layer_generators: true, embedding_slots: 16, adapter_size: 4 },
    ]) {
      const { found, config } = read(hint) as { found: ModelConfig; config: ModelConfig };
      expect(found).toEqual(config);
    }
    expect(() => read({ prefix_length: 5, adapter_size: 4 })).toThrow(/may fuse the instruction or not \(hint\.instruction_fusion\); write a config\.json/); // prettier-ignore
  });
});

describe('what a file holds beside what is asked for', () => {
  it('does not matter where it is an equal table, a buffer, of an unknown dtype or for another purpose', async () => {
    const path = await changed(values, (tensors) => {
      const shared = tensors.get('shared.weight')!;
      for (const stack of ['encoder', 'decoder'])
        tensors.set(stack, { ...shared, name: `${stack}.embed_tokens.weight` });
      for (const extra of [f32('decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight', [32, 3]), f32('classification_head.dense.weight', [2, 2]), { ...f32('scale', [4]), dtype: 'BOOL', data: new Uint8Array(4) }])
        tensors.set(extra.name, extra); // prettier-ignore
    });
    const model = await loadModel(device, path);
    expect(model.storedTensors().length).toBeGreaterThan(10);
  });

  it.each([
    [
      'a second table that differs',
      'encoder.embed_tokens.weight',
      [40, 8],
      /encoder\.embed_tokens\.weight, which differs from shared\.weight/,
    ],
    [
      'a bias table of a later layer',
      'encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight',
      [32, 3],
      /block\.1\..*relative_attention_bias/,
    ],
    [
      'a layer more than config.json says',
      'decoder.block.1.layer.0.layer_norm.weight',
      [8],
      /"?decoder\.block\.1\.layer\.0\.layer_norm\.weight"?.*config\.json/,
    ],
    ['biases of projections', 'encoder.block.0.layer.0.SelfAttention.q.bias', [12], /SelfAttention\.q\.bias/],
    [
      'a hypernetwork that config.json does not know',
      'hypernetwork.attention.q.weight',
      [12, 8],
      /hypernetwork\.attention\.q\.weight/,
    ],
  ] as const)('is refused by name where it is %s', async (_, name, shape, message) => {
    const path = await changed(values, (tensors) => void tensors.set(name, f32(name, [...shape])));
    await expect(loadModel(device, path)).rejects.toThrow(message);
  });

  it('is refused by its name and dtype where weights are asked for that are no floating-point numbers', async () => {
    const path = await changed(values, (tensors) => {
      const { name, shape } = tensors.get('lm_head.weight')!;
      const data = new Uint8Array(shape.reduce((product, size) => product * size, 1));
      tensors.set(name, { name, shape, dtype: 'I8', data });
    });
    await expect(openModel(device, path)).rejects.toThrow(
      /The tensor lm_head\.weight of .*model\.safetensors, of dtype I8, holds no floating-point/,
    );
  });

  it('is the head of GPT-2 and OPT where it differs from the table, as in transformers, and the table where it is alone', async () => {
    const gpt2 = join(fixtures, 'decoder-only', 'gpt2');
    const config = JSON.parse(await readFile(join(gpt2, 'config.json'), 'utf8')) as {
      vocab_size: number;
      n_embd: number;
    };
    const shape = [config.vocab_size, config.n_embd];
    const heads = async (change: (tensors: Map<string, TensorToWrite>) => void): Promise<number[]> => {
      const model = await openModel(device, await changed(gpt2, change));
      return (
        await model
          .storedTensors()
          .find(({ name }) => name === 'lm_head.weight')
          ?.read()
      )?.length === undefined
        ? [0]
        : [1];
    };
    const table = (tensors: Map<string, TensorToWrite>): TensorToWrite =>
      [...tensors.values()].find(({ name }) => name.endsWith('wte.weight'))!;
    expect(
      await heads((tensors) => void tensors.set('lm_head.weight', f32('lm_head.weight', shape))),
    ).toEqual([1]);
    expect(
      await heads(
        (tensors) => void tensors.set('lm_head.weight', { ...table(tensors), name: 'lm_head.weight' }),
      ),
    ).toEqual([0]);
    expect(
      await heads((tensors) => {
        const { name } = table(tensors);
        tensors.set('lm_head.weight', { ...table(tensors), name: 'lm_head.weight' });
        tensors.delete(name);
      }),
    ).toEqual([0]);
  });

  it('is refused where it is a layer that a GPT-2 does not have', async () => {
    const name = 'transformer.h.0.crossattention.c_attn.weight';
    const path = await changed(
      join(fixtures, 'decoder-only', 'gpt2'),
      (tensors) => void tensors.set(name, f32(name, [2])),
    );
    await expect(openModel(device, path)).rejects.toThrow(/crossattention/);
  });

  it('a missing config.json of another form is told as missing', async () => {
    await writeFile(join(directory, 'pytorch_model.bin'), 'PK');
    await expect(readModelConfig(directory)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
