import { afterAll, describe, expect, it } from 'vitest';
import { buildBatch, type RaggedBatch } from '../../src/data/batch.js';
import type { BackwardPlan } from '../../src/model/memory/backward-plan.js';
import { DropoutPlan } from '../../src/model/trainable/dropout.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { FULL_HINT, randomModel, tinyConfig } from '../inference/models.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

const BY_SLOT: [string, Record<string, unknown>][] = [
  ['adapters, prefixes, LoRA and fusion', FULL_HINT],
  ['adapters with biases', { adapter_size: 4, adapter_bias: true, instruction_fusion: false }],
  ['prefixes', { prefix_length: 3, prefix_activation: 'tanh', generator_layer_norm: true }],
  ['LoRA on every projection, with fusion', { lora_ranks: [2, 3, 2, 2] }],
  ['an untied hyperencoder', { adapter_size: 4, prefix_length: 3, tie_hyperencoder: false }],
  ['a decoder generator', { generator: 'decoder', adapter_size: 4, prefix_length: 3 }],
  [
    'component embeddings',
    { generator: 'embedding', adapter_size: 4, prefix_length: 3, instruction_fusion: false },
  ],
];
const TOGETHER: [string, Record<string, unknown>][] = [
  [
    'a per-layer decoder generator',
    { generator: 'decoder', prefix_length: 3, per_layer_generators: true, embedding_slots: 6 },
  ],
  [
    'Hypter',
    {
      generator: 'hypter',
      adapter_size: 4,
      instruction_fusion: false,
      tie_hyperencoder: false,
      per_layer_generators: true,
    },
  ],
  ['learned PEFT', { generator: 'static', adapter_size: 4, prefix_length: 3, instruction_fusion: false }],
];

function batchOf(tasks: number, instruction = true): RaggedBatch {
  const word = (i: number): number => 3 + ((i * 7) % 90);
  return buildBatch(
    Array.from({ length: 2 * tasks + 1 }, (_, i) => ({
      id: `${i}`,
      task: `${i % tasks}`,
      instruction: Int32Array.from({ length: instruction ? 3 + (i % tasks) : 0 }, (_, k) =>
        word(k + (i % tasks)),
      ),
      input: Int32Array.from({ length: 2 + (i % 4) }, (_, k) => word(k + 3 * i)),
      target: Int32Array.from({ length: 1 + (i % 3) }, (_, k) => word(5 * k + i)),
      references: [],
    })),
  );
}

interface Pass {
  loss: number;
  gradients: Map<string, Float32Array>;
}

async function pass(model: EncoderDecoderModel, batch: RaggedBatch, backward?: BackwardPlan): Promise<Pass> {
  const gradients = new Gradients(device);
  const parameters = model.parameters.all();
  const dropout = new DropoutPlan(0.2, 11, 0.3);
  const { sums } = await accumulateGradients(model, batch, gradients, {
    parameters,
    zLoss: 1e-4,
    dropout,
    backward,
  });
  const { crossEntropy, zLoss } = await sums;
  const read = new Map<string, Float32Array>();
  for (const [name, tensor] of model.parameters.entries()) {
    const gradient = gradients.get(tensor);
    if (gradient) read.set(name, await gradient.read());
  }
  gradients.dispose();
  return { loss: crossEntropy + zLoss, gradients: read };
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

describe.each([
  ['where they are read', 'modules'],
  ['inside layers that run again', 'both'],
] as const)('modules generated %s', (_where, backward) => {
  it.each([...BY_SLOT, ...TOGETHER])(
    'give the loss and gradients of modules that are kept: %s',
    async (_, hint) => {
      const model = randomModel(device, tinyConfig(hint, { vocab_size: 100 }));
      const batch = batchOf(3, hint.generator !== 'embedding' && hint.generator !== 'static');
      const kept = await pass(model, batch);
      const again = await pass(model, batch, backward);
      // Not to the bit: products of few rows have kernels of their own.
      expect(Math.abs(again.loss / kept.loss - 1)).toBeLessThan(1e-6);
      expect([...again.gradients.keys()].sort()).toEqual([...kept.gradients.keys()].sort());
      for (const [name, expected] of kept.gradients) {
        const found = again.gradients.get(name) as Float32Array;
        const error = found.reduce(
          (most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))),
          0,
        );
        const relative = error / (largest(expected) || 1);
        expect(relative, name).toBeLessThan(1e-5);
      }
      model.dispose();
    },
  );
});

describe('memory of a backward pass', () => {
  const peakOf = async (
    model: EncoderDecoderModel,
    batch: RaggedBatch,
    backward: BackwardPlan,
  ): Promise<number> => {
    await pass(model, batch, backward);
    await device.synchronize();
    const { bytesInUse } = device.statistics();
    device.resetPeakMemory();
    await pass(model, batch, backward);
    return device.statistics().peakBytesInUse - bytesInUse;
  };

  it('of many tasks does not grow with the modules of every layer when they are regenerated', async () => {
    const model = randomModel(
      device,
      tinyConfig({ adapter_size: 16, prefix_length: 8 }, { vocab_size: 100, num_layers: 6 }),
    );
    const batch = batchOf(24);
    const peaks: number[] = [];
    for (const backward of ['none', 'layers', 'modules', 'both'] as const)
      peaks.push(await peakOf(model, batch, backward));
    const [kept, layers, modules, both] = peaks as [number, number, number, number];
    // Modules with their gradients: 18 prefixes of 2 · 8 rows, 12 adapters of 2 · 16.
    const modulesOfAll = 4 * 24 * 32 * (18 * 2 * 8 + 12 * 2 * 16);
    expect(kept - modules).toBeGreaterThan(1.5 * modulesOfAll);
    expect(layers - both).toBeGreaterThan(1.5 * modulesOfAll);
    expect(both).toBeLessThan(modules);
    model.dispose();
  });
});
