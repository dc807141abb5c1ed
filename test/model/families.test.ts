import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeDifference } from '../../src/testing/difference.js';
import { concatenate, type RaggedBatch } from '../../src/data/batch.js';
import { openSafetensors, toFloat32, writeSafetensors } from '../../src/formats/safetensors/file.js';
import { Engine } from '../../src/inference/engine.js';
import { examineModel, openModel } from '../../src/model/families/open-model.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { loadModel, saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { parseModelConfig } from '../../src/model/config/config.js';
import { parameterShapes } from '../../src/model/parameters/parameter-shapes.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';
import { PythonRandom } from '../../src/util/mt19937.js';

/** Models and answers of transformers; make.py beside them wrote both. */
const FOLDER = join(import.meta.dirname, '../fixtures/families');
const NAMES = readdirSync(FOLDER).filter((name) => name !== 'make.py');

interface Expected {
  target: number[];
  runs: { ids: number[]; greedy: number[]; decoder: number[]; lastRow: number[] }[];
}

const device = new Device();
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'families-'));
});
afterAll(async () => {
  await device.close();
  await rm(scratch, { recursive: true });
});

async function expectedOf(name: string): Promise<Expected> {
  return JSON.parse(await readFile(join(FOLDER, name, 'expected.json'), 'utf8')) as Expected;
}

function batchOf(input: number[], target: number[]): RaggedBatch {
  return {
    examples: [],
    instructions: concatenate([]),
    inputs: concatenate([Int32Array.from(input)]),
    targets: concatenate([Int32Array.from(target)]),
    taskIndex: Int32Array.of(0),
  } as unknown as RaggedBatch;
}

/** Multiplies each value of a parameter by the `factor` of its row and column. */
async function rescale(
  model: EncoderDecoderModel,
  name: string,
  factor: (row: number, column: number) => number,
): Promise<void> {
  const parameter = model.parameters.get(name);
  const columns = parameter.shape.at(-1) as number;
  const values = (await parameter.read()).map(
    (value, i) => value * factor(Math.floor(i / columns), i % columns),
  );
  device.write(parameter, new Uint8Array(values.buffer));
}

/**
 * The same function, of which some values inside are 1,000 times as large as the others: columns of norms, values of
 * attention and of the feed-forward, each with the smaller row behind it.
 */
async function withOutliers(model: EncoderDecoderModel): Promise<void> {
  const isOutlier = (i: number): boolean => i % 13 === 5;
  const larger = (i: number): number => (isOutlier(i) ? 1000 : 1);
  const behind = (_: number, column: number): number => 1 / larger(column);
  const names = model.parameters.names();
  const ofNorm = async (norm: string, readers: RegExp): Promise<void> => {
    await rescale(model, norm, (_, column) => larger(column));
    for (const name of names.filter((one) => readers.test(one))) await rescale(model, name, behind);
  };
  for (let block = 0; block < model.config.numLayers; ++block) {
    const layer = (at: number): string => `encoder.block.${block}.layer.${at}`;
    await ofNorm(`${layer(0)}.layer_norm.weight`, new RegExp(`^${layer(0)}.SelfAttention.[qkv].weight`));
    await ofNorm(
      `${layer(1)}.layer_norm.weight`,
      new RegExp(`^${layer(1)}.DenseReluDense.wi(_[01])?.weight`),
    );
    await rescale(model, `${layer(0)}.SelfAttention.v.weight`, larger);
    await rescale(model, `${layer(0)}.SelfAttention.o.weight`, behind);
    const gated = `${layer(1)}.DenseReluDense.wi_1.weight`;
    if (!names.includes(gated)) continue;
    await rescale(model, gated, larger);
    await rescale(model, `${layer(1)}.DenseReluDense.wo.weight`, behind);
  }
  await ofNorm('encoder.final_layer_norm.weight', /EncDecAttention\.[kv]\.weight/);
}

/** Logits of the last decoder position. */
async function lastRow(
  model: EncoderDecoderModel,
  { ids, decoder }: Pick<Expected['runs'][0], 'ids' | 'decoder'>,
): Promise<Float32Array> {
  // The decoder input is the target, moved right behind the start token.
  const batch = batchOf(ids, [...decoder.slice(1), 0]);
  const work = function* () {
    const { hidden } = yield* model.forward(batch);
    return model.t5.logits(hidden);
  };
  const rows = await model.device.inSlices(model.device.tidied(work()));
  return (await rows.read()).slice(-model.config.vocabSize);
}

async function differences(model: EncoderDecoderModel, { runs }: Expected): Promise<number> {
  const all = [];
  for (const run of runs)
    all.push(relativeDifference(await lastRow(model, run), Float32Array.from(run.lastRow)));
  return Math.max(...all);
}

/** Inputs of 3 to 11 tokens. */
function drawnInputs(vocabSize: number): number[][] {
  const random = new PythonRandom(7);
  return Array.from({ length: 40 }, () =>
    Array.from({ length: 3 + random.below(9) }, () => random.below(vocabSize)),
  );
}

/** Of the first token of each answer. */
async function firstLogits(model: EncoderDecoderModel, inputs: readonly number[][]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const ids of inputs) rows.push(await lastRow(model, { ids, decoder: [0] }));
  return rows;
}

function bestOf(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}

/** How far the best logit is above the next, over the largest. */
function leadOf(logits: Float32Array): number {
  const [best, next] = [...logits].sort((a, b) => b - a) as [number, number];
  return (best - next) / logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

async function greedy(model: EncoderDecoderModel, { runs }: Expected): Promise<number[][]> {
  const inputs = runs.map(({ ids }) => Int32Array.from(ids));
  const made = await generateTokens(model, { instructions: [], inputs, maxTokens: 6 });
  return made.map(({ tokens }) => [...tokens]);
}

describe.each(NAMES)('%s of transformers', (name) => {
  const directory = join(FOLDER, name);

  it('has its logits and greedy tokens here', async () => {
    const expected = await expectedOf(name);
    const model = await loadModel(device, directory, { mapped: true });
    expect(await differences(model, expected)).toBeLessThan(2e-5);
    expect(await greedy(model, expected)).toEqual(expected.runs.map((run) => run.greedy));
    model.dispose();
  });

  it.each(['f32', 'bf16', 'int8'] as const)('has them with weights packed in %s', async (dtype) => {
    const expected = await expectedOf(name);
    const model = await loadModel(device, directory, { mapped: true });
    model.inferenceDType = dtype;
    await model.prepareInference();
    expect(await differences(model, expected)).toBeLessThan(dtype === 'f32' ? 2e-5 : 0.1);
    model.dispose();
  });

  it('is as exact in int8 where values inside are 1,000 times as large as others', async () => {
    const expected = await expectedOf(name);
    const model = await loadModel(device, directory);
    await withOutliers(model);
    expect(await differences(model, expected), 'the same function in f32').toBeLessThan(1e-4);
    const inputs = drawnInputs(model.config.vocabSize);
    const exact = await firstLogits(model, inputs);
    model.inferenceDType = 'int8';
    await model.prepareInference();
    const quantized = await firstLogits(model, inputs);
    const errors = quantized.map((logits, i) => relativeDifference(logits, exact[i] as Float32Array));
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length, 'the mean error').toBeLessThan(
      5e-2,
    );
    // At a width of 12, many tokens are too near to each other for eight bits to tell which is greedy.
    const clear = exact.flatMap((logits, i) => (leadOf(logits) > 0.1 ? [i] : []));
    expect(clear.map((i) => bestOf(quantized[i] as Float32Array))).toEqual(
      clear.map((i) => bestOf(exact[i] as Float32Array)),
    );
    model.dispose();
  });

  it('has its gradients here', async () => {
    const { target, runs } = await expectedOf(name);
    const model = await loadModel(device, directory, { dropoutRate: 0 });
    const batch = batchOf(runs[0]?.ids ?? [], target);
    const gradients = new Gradients(device);
    const tape = new Tape(device, model.parameters.all());
    const loss = tape.run(() => ops.sum(device.now(model.loss(batch)).loss));
    tape.backward([loss], gradients);
    await using file = await openSafetensors(join(directory, 'gradients.safetensors'));
    expect([...file.tensors.keys()].sort()).toEqual(model.parameters.names().sort());
    for (const [key, { dtype }] of file.tensors) {
      const gradient = gradients.get(model.parameters.get(key));
      const wanted = toFloat32(await file.read(key), dtype);
      expect(relativeDifference((await gradient?.read()) ?? new Float32Array(), wanted), key).toBeLessThan(
        2e-5,
      );
    }
    gradients.dispose();
    model.dispose();
  });

  it('is the same model after it was saved', async () => {
    const expected = await expectedOf(name);
    const model = await loadModel(device, directory);
    const saved = join(scratch, name);
    await saveModel(model, saved);
    const again = await loadModel(device, saved);
    expect(again.config).toEqual(model.config);
    expect(await differences(again, expected)).toBeLessThan(2e-5);
    model.dispose();
    again.dispose();
  });

  it('has an adapter parallel to its feed-forward once it has a hypernetwork', async () => {
    const hint = parseModelConfig({
      ...(JSON.parse(await readFile(join(directory, 'config.json'), 'utf8')) as object),
      hint: { generator: 'static', adapter_size: 4, prefix_length: 2, instruction_fusion: false },
    }).hint;
    const expected = await expectedOf(name);
    const model = await loadModel(device, directory, { hint, dropoutRate: 0 });
    const withPrefixes = await lastRow(model, expected.runs[0] as Expected['runs'][0]);
    // Learned adapters start without effect, prefixes do not.
    ops.fill(model.parameters.get('peft.adapter_up'), 0.3);
    const withBoth = await lastRow(model, expected.runs[0] as Expected['runs'][0]);
    expect(relativeDifference(withBoth, withPrefixes)).toBeGreaterThan(1e-3);
    const gradients = new Gradients(device);
    const tape = new Tape(device, model.parameters.all());
    const batch = batchOf(expected.runs[0]?.ids ?? [], expected.target);
    const loss = tape.run(() => ops.sum(device.now(model.loss(batch)).loss));
    tape.backward([loss], gradients);
    for (const key of model.parameters.names()) {
      const values = await gradients.get(model.parameters.get(key))?.read();
      expect(
        values?.some((value) => value !== 0),
        key,
      ).toBe(true);
    }
    gradients.dispose();
    model.dispose();
  });
});

describe('the models of transformers', () => {
  it.each([...NAMES, '../decoder-only/gpt2', '../decoder-only/opt'])(
    'are examined without reading weights, with what loading makes of them: %s',
    async (name) => {
      const directory = join(FOLDER, name);
      const contents = await examineModel(directory);
      const model = await openModel(device, directory);
      expect(contents).toMatchObject({ config: model.configFile(), missingTensors: [] });
      expect(contents?.parameters['total']).toBe(
        model.parameters.storedEntries().reduce((total, [, { size }]) => total + size, 0),
      );
      model.dispose();
    },
  );

  it('answer by themselves, without an instruction', async () => {
    const [run] = (await expectedOf('t5-v1.0')).runs;
    await using engine = await Engine.open(join(FOLDER, 't5-v1.0'));
    using plain = await engine.plain();
    const [answer] = await plain.generate([Int32Array.from(run?.ids ?? [])], { maxTokens: 6 });
    expect([...(answer?.tokens ?? [])]).toEqual(run?.greedy);
    await using gpt2 = await Engine.open(join(FOLDER, '../decoder-only/gpt2'));
    using alone = await gpt2.plain();
    const [more] = await alone.generate([Int32Array.of(5, 6, 7)], { maxTokens: 3 });
    expect(more?.tokens).toHaveLength(3);
  });

  it.each([1, 3])('end at whichever of several ids comes first, with %i beams', async (numBeams) => {
    const [run] = (await expectedOf('mt5')).runs;
    const model = await loadModel(device, join(FOLDER, 'mt5'));
    const request = { instructions: [], inputs: [Int32Array.from(run?.ids ?? [])], maxTokens: 6 };
    const decoding = numBeams === 1 ? {} : { numBeams };
    const [whole] = await generateTokens(model, { ...request, ...decoding });
    const third = whole?.tokens[2] as number;
    Object.assign(model, { config: { ...model.config, moreEosTokenIds: [third] } });
    const [cut] = await generateTokens(model, { ...request, ...decoding });
    expect(cut?.finished).toBe(true);
    expect([1, third]).toContain(cut?.tokens.at(-1));
    expect([...(cut?.tokens ?? [])].slice(0, -1)).not.toContain(third);
    model.dispose();
  });
});

describe('a checkpoint whose tensors are not those of its config.json', () => {
  async function copyOf(name: string, change: Record<string, unknown>): Promise<string> {
    const copy = join(scratch, `changed-${Math.random()}`);
    await cp(join(FOLDER, name), copy, { recursive: true });
    const path = join(copy, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...config, ...change }));
    return copy;
  }

  it.each([
    [
      'a bias table in every layer of a t5',
      'umt5',
      { model_type: 't5' },
      /has the tensor (en|de)coder\.block\.\d\.layer\.0\.SelfAttention\.relative_attention_bias\.weight.*set model_type to "umt5"/,
    ],
    [
      'a gate where config.json has none',
      't5-v1.1',
      { feed_forward_proj: 'relu', dense_act_fn: 'relu', is_gated_act: false },
      /with a gate \(wi_0, wi_1\), but its config\.json says without one/,
    ],
    [
      'no gate where config.json has one',
      't5-v1.0',
      { feed_forward_proj: 'gated-gelu', dense_act_fn: 'gelu_new', is_gated_act: true },
      /without a gate \(wi\), but its config\.json says with one/,
    ],
  ])('is refused: %s', async (_, name, change, message) => {
    await expect(loadModel(device, await copyOf(name, change))).rejects.toThrow(message);
  });

  it('is tied where no head is stored, whatever config.json says of scaling', async () => {
    const folder = await copyOf('t5-tied-unscaled', {
      tie_word_embeddings: false,
      scale_decoder_outputs: undefined,
    });
    const model = await loadModel(device, folder);
    expect(model.config.variant).toMatchObject({ tiedHead: true, scaledHead: false });
    const expected = await expectedOf('t5-tied-unscaled');
    expect(await greedy(model, expected)).toEqual(expected.runs.map((run) => run.greedy));
    model.dispose();
  });

  it('is refused as an encoder where it has no decoder', async () => {
    const folder = await copyOf('t5-v1.0', { architectures: ['T5EncoderModel'] });
    const config = parseModelConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
    const encoder = Array.from(parameterShapes(config)).filter(([name]) => !name.startsWith('decoder.'));
    await writeSafetensors(
      join(folder, 'model.safetensors'),
      encoder.map(([name, shape]) => ({
        name,
        dtype: 'F32',
        shape,
        data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
      })),
    );
    await expect(loadModel(device, folder)).rejects.toThrow(/holds an encoder alone, without a decoder/);
  });

  it('has the head that is stored, and a stored copy of the embeddings is the tied head', async () => {
    const untied = await loadModel(device, join(FOLDER, 't5-v1.0-untied'));
    expect(untied.config.variant).toMatchObject({ tiedHead: false, scaledHead: true });
    const shared = await untied.parameters.read('shared.weight');
    device.write(untied.parameters.get('lm_head.weight'), new Uint8Array(shared.buffer));
    const twice = join(scratch, 'twice');
    await saveModel(untied, twice);
    const tied = await loadModel(device, twice);
    expect(tied.config.variant).toMatchObject({ tiedHead: true, scaledHead: true });
    expect(tied.parameters.has('lm_head.weight')).toBe(false);
    untied.dispose();
    tied.dispose();
  });
});
