import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { initialiseDecoderOnlyModel } from '../../src/model/decoder-only/checkpoint.js';
import { parseDecoderOnlyConfig } from '../../src/model/decoder-only/config.js';
import { openModel } from '../../src/model/families/open-model.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { contentOf, readOptimizerState, writeContent } from '../../src/training/run/checkpoint.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { Optimizer } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { trainOnBatch } from '../../src/training/step/train-on-batch.js';
import type { TrainableModel } from '../../src/model/trainable/trainable.js';
import { tinyPool } from '../training/tiny.js';

const device = new Device({ threads: 1 });
const folders: string[] = [];
afterAll(async () => {
  device.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

const SMALL = {
  gpt2: {
    model_type: 'gpt2',
    vocab_size: 201,
    n_embd: 32,
    n_layer: 2,
    n_head: 2,
    n_positions: 32,
    bos_token_id: 1,
    eos_token_id: 1,
  },
  opt: {
    model_type: 'opt',
    vocab_size: 201,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    ffn_dim: 64,
    max_position_embeddings: 32,
    bos_token_id: 1,
    eos_token_id: 1,
  },
};

const ADAMW = { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;
const batch = buildBatch(tinyPool(24));

function optimizerOf(model: TrainableModel, name: string): Optimizer {
  const groups = assignGroups(model.parameters.entries(), findSystem(name).groups, {
    firstStep: 0,
    multiplyByParameterScale: false,
  });
  return new Optimizer(device, ADAMW, groups);
}

describe.each(['gpt2', 'opt'] as const)('the system %s', (name) => {
  const fresh = () => initialiseDecoderOnlyModel(device, parseDecoderOnlyConfig(SMALL[name]), 1);

  it('learns with AdamW: the loss of a small batch falls far below that of guessing', async () => {
    const model = fresh();
    const losses = await trainOnBatch(model, batch, optimizerOf(model, name), {
      updates: 40,
      learningRate: 1e-2,
      zLoss: 0,
    });
    expect(losses[0]!.crossEntropyMean).toBeGreaterThan(4);
    expect(losses.at(-1)!.crossEntropyMean).toBeLessThan(losses[0]!.crossEntropyMean / 3);
    model.dispose();
  });

  it('goes on from a checkpoint, to the bit, as if nothing had been', async () => {
    const steps = (updates: number) => ({ updates, learningRate: 1e-3, zLoss: 0 });
    const directory = await mkdtemp(join(tmpdir(), 'hint-lm-'));
    folders.push(directory);
    const whole = fresh();
    const optimizer = optimizerOf(whole, name);
    await trainOnBatch(whole, batch, optimizer, steps(3));
    await writeContent(directory, contentOf(whole, optimizer));
    const resumed = await openModel(device, directory);
    const restored = optimizerOf(resumed, name);
    await readOptimizerState(directory, restored);
    const expected = await trainOnBatch(whole, batch, optimizer, steps(2));
    expect(await trainOnBatch(resumed, batch, restored, steps(2))).toEqual(expected);
    for (const model of [whole, resumed]) model.dispose();
  });

  it('refuses a sequence that is longer than the model has positions, with the numbers', () => {
    const model = fresh();
    const long = { ...tinyPool(1)[0]!, input: new Int32Array(40).fill(5) };
    expect(() => device.now(model.loss(buildBatch([long])))).toThrow(
      /4\d tokens, but the model has 32 positions/,
    );
    model.dispose();
  });

  it('is trained as the paper does it unless the run says otherwise', () => {
    const run = { system: name, model: { init: 'x' }, data: { directory: 'd' }, output: 'o' };
    expect(parseTrainingConfig(run)).toMatchObject({
      optimizer: { name: 'adamw' },
      schedule: 'linear',
      warmupSteps: 1000,
      batchSize: 32,
      zLoss: 0,
    });
    expect(parseTrainingConfig({ ...run, batchSize: 8 }).batchSize).toBe(8);
  });
});

it('saves names and layouts that Hugging Face reads: a second save is the first', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hint-lm-'));
  folders.push(directory);
  const model = initialiseDecoderOnlyModel(device, parseDecoderOnlyConfig(SMALL.gpt2), 2);
  await saveModel(model, directory);
  const again = await openModel(device, directory);
  expect(again.config).toEqual(model.config);
  const stored = again.storedTensors();
  expect(stored.map(({ name }) => name)).toContain('transformer.h.1.attn.c_attn.weight');
  for (const [i, tensor] of model.storedTensors().entries()) {
    expect(await stored[i]!.read()).toEqual(await tensor.read());
  }
});
