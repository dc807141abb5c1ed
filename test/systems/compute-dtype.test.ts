import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { initialiseDecoderOnlyModel } from '../../src/model/decoder-only/checkpoint.js';
import { parseDecoderOnlyConfig } from '../../src/model/decoder-only/config.js';
import { findSystem, SYSTEMS } from '../../src/systems/index.js';
import type { FloatDType } from '../../src/tensor/ops.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import { contentOf, readOptimizerState, writeContent } from '../../src/training/run/checkpoint.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { tinyPool, valuesOf } from '../training/tiny.js';
import { floatsOf, tinyConfig, tinyExamples, tinyRun, train, trainerOf } from './tiny-systems.js';

const device = new Device({ threads: 1 });
const hint = findSystem('hint');
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-dtype-'));
});
afterAll(async () => {
  device.close();
  await rm(scratch, { recursive: true, force: true });
});

const T5_SYSTEMS = SYSTEMS.filter(({ family }) => family === 't5').map(({ name }) => name);

describe('training that computes in bf16', () => {
  it.each(T5_SYSTEMS)('%s: losses follow those of f32 within 2 percent', async (name) => {
    const system = findSystem(name);
    const losses: number[][] = [];
    for (const computeDtype of ['f32', 'bf16'] as const) {
      const { model, trainer } = await tinyRun(device, system, { computeDtype, learningRate: 5e-3 });
      model.parameters.computeDtype = computeDtype;
      losses.push((await train(trainer)).map(({ loss }) => loss));
      model.dispose();
    }
    const [exact, rounded] = losses as [number[], number[]];
    rounded.forEach((loss, step) => expect(Math.abs(loss / exact[step]! - 1)).toBeLessThan(0.02));
    // Not the f32 run over again.
    expect(rounded).not.toEqual(exact);
  });

  it('keeps weights, moments and gradients in f32: small updates are not lost', async () => {
    const { model, optimizer, trainer } = await tinyRun(device, hint, { steps: 2 });
    model.parameters.computeDtype = 'bf16';
    const gradients = new Gradients(device);
    const { sums } = await accumulateGradients(model, buildBatch(tinyExamples(hint)), gradients, {
      parameters: optimizer.parameters(),
      zLoss: 0,
    });
    await sums;
    await train(trainer);
    const isRounded = (values: Float32Array): boolean =>
      new Uint32Array(values.buffer).every((bits) => (bits & 0xffff) === 0);
    for (const name of [
      'encoder.block.0.layer.0.SelfAttention.q.weight',
      'hypernetwork.adapter_down.wi.weight',
    ]) {
      expect(isRounded(await floatsOf(model, name))).toBe(false);
      const gradient = gradients.get(model.parameters.get(name))!;
      expect(gradient.dtype).toBe('f32');
      expect(isRounded(await gradient.read())).toBe(false);
    }
    gradients.dispose();
    model.dispose();
  });

  it('gives the same with layers that are run again in the backward pass', async () => {
    const runs: number[][] = [];
    for (const changes of [{}, { recompute: true }]) {
      const { model, trainer } = await tinyRun(device, hint, { dropout: 0.1, ...changes });
      model.parameters.computeDtype = 'bf16';
      runs.push((await train(trainer)).map(({ loss, gradientNorm }) => loss + gradientNorm));
      model.dispose();
    }
    expect(runs[1]).toEqual(runs[0]);
  });

  it('goes on from a checkpoint to the bit', async () => {
    const computing = async (changes = {}): ReturnType<typeof tinyRun> => {
      const run = await tinyRun(device, hint, { dropout: 0.1, ...changes });
      run.model.parameters.computeDtype = 'bf16';
      return run;
    };
    const whole = await computing();
    const losses = (await train(whole.trainer)).map(({ loss }) => loss);
    const half = await computing();
    for await (const { step } of half.trainer.steps({ settleAt: (at) => at === 2 })) if (step === 2) break;
    const folder = join(scratch, 'resumed');
    await writeContent(folder, contentOf(half.model, half.optimizer));
    const model = await loadModel(device, folder, { dropoutRate: 0.1 });
    model.parameters.computeDtype = 'bf16';
    const { optimizer, trainer } = await trainerOf(model, half.config, hint);
    await readOptimizerState(folder, optimizer);
    await trainer.restore(half.trainer.state);
    expect((await train(trainer)).map(({ loss }) => loss)).toEqual(losses.slice(2));
    expect(await valuesOf(model)).toEqual(await valuesOf(whole.model));
  });

  it('generates afterwards as a model that was never trained so', async () => {
    const { model, trainer } = await tinyRun(device, hint, { steps: 1 });
    model.parameters.computeDtype = 'bf16';
    await train(trainer);
    const batch = buildBatch(tinyExamples(hint));
    const logits = async (): Promise<Float32Array> =>
      model.t5.logits((await device.inSlices(model.forward(batch))).hidden).read();
    await model.prepareInference();
    const packed = await logits();
    model.releaseInference();
    model.parameters.computeDtype = 'f32';
    const plain = await logits();
    const largest = Math.max(...plain.map(Math.abs));
    plain.forEach((value, i) => expect(Math.abs(value - packed[i]!)).toBeLessThan(1e-4 * largest));
    model.dispose();
  });

  it('is part of what a run is, and of a known dtype', async () => {
    const output = join(scratch, 'precision');
    const config = { ...tinyConfig(hint), output };
    await new RunDirectory(output).create(config);
    await expect(
      trainFromConfig({ ...config, computeDtype: 'bf16' }, { resume: true }),
    ).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/computeDtype "bf16".*started with "f32"/),
    });
    expect(() => parseTrainingConfig({ ...config, computeDtype: 'f16' })).toThrow(
      /computeDtype is "f16".*bf16/,
    );
  });
});

const SMALL = {
  gpt2: { model_type: 'gpt2', vocab_size: 201, n_embd: 32, n_layer: 2, n_head: 2, n_positions: 32 },
  opt: {
    model_type: 'opt',
    vocab_size: 201,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    ffn_dim: 64,
    max_position_embeddings: 32,
  },
};
const OPT_WITHOUT = { ...SMALL.opt, do_layer_norm_before: false, word_embed_proj_dim: 16 };

describe('decoder-only models in bf16', () => {
  it.each([
    ['GPT-2', SMALL.gpt2],
    ['OPT', SMALL.opt],
    ['OPT with norms behind and projections', OPT_WITHOUT],
  ])('%s: gradients are those of f32 to a few percent', async (_, file) => {
    const config = parseDecoderOnlyConfig({ ...file, bos_token_id: 1, eos_token_id: 1 });
    const batch = buildBatch(tinyPool(24));
    const gradientsIn = async (dtype: FloatDType): Promise<Map<string, Float32Array>> => {
      const model = await initialiseDecoderOnlyModel(device, config, 1);
      model.parameters.computeDtype = dtype;
      const gradients = new Gradients(device);
      const parameters = model.parameters.all();
      await (
        await accumulateGradients(model, batch, gradients, { parameters, zLoss: 0 })
      ).sums;
      const values = new Map<string, Float32Array>();
      for (const [name, parameter] of model.parameters.entries())
        values.set(name, (await gradients.get(parameter)?.read()) ?? new Float32Array(parameter.size));
      gradients.dispose();
      model.dispose();
      return values;
    };
    const [exact, rounded] = [await gradientsIn('f32'), await gradientsIn('bf16')];
    const all = Math.max(...[...exact.values()].map((values) => Math.max(...values.map(Math.abs))));
    for (const [name, values] of exact) {
      const largest = Math.max(...values.map(Math.abs), 1e-3 * all);
      const difference = Math.max(...values.map((value, i) => Math.abs(value - rounded.get(name)![i]!)));
      expect([name, difference / largest < 8e-2]).toEqual([name, true]);
    }
  });
});
