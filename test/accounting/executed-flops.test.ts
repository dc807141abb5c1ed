import { describe, expect, it } from 'vitest';
import { buildBatch, type Ragged } from '../../src/data/batch.js';
import { compileMultiplyAdds, exampleMultiplyAdds } from '../../src/accounting/flops.js';
import { foldedForward, trainingFlops } from '../../src/accounting/training-flops.js';
import { adaptationTable } from '../../src/model/modules/adaptations.js';
import { slotsOf } from '../../src/model/modules/slots.js';
import { compileTasks } from '../../src/inference/compile/compiled-tasks.js';
import { disposeTasks, type CompiledTasks } from '../../src/inference/contract/compiled-tasks.js';
import { BACKWARD_PLANS } from '../../src/model/memory/backward-plan.js';
import { decodeBatch } from '../../src/inference/decode/decode.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { FULL_HINT, randomModel, tinyConfig } from '../inference/models.js';

const NEVER_GENERATED = 199;
const MODELS: [string, Record<string, unknown> | null][] = [
  ['plain T5', null],
  ['adapters, prefixes, LoRA and fusion', FULL_HINT],
  ['adapters alone', { adapter_size: 8, instruction_fusion: false }],
  ['adapters and LoRA so large that products are folded', { adapter_size: 24, lora_ranks: [16, 16, 16, 16] }],
  ['prefixes', { prefix_length: 5 }],
  ['fusion alone', {}],
  ['LoRA on every projection', { lora_ranks: [4, 3, 4, 2] }],
  ['an untied hyperencoder', { adapter_size: 4, prefix_length: 3, tie_hyperencoder: false }],
  [
    'a per-layer decoder generator',
    {
      generator: 'decoder',
      prefix_length: 5,
      generator_layer_norm: true,
      per_layer_generators: true,
      embedding_slots: 16,
    },
  ],
  ['HyperTune', { generator: 'decoder', prefix_length: 5, instruction_fusion: false }],
  [
    'Hypter',
    {
      generator: 'hypter',
      adapter_size: 6,
      instruction_fusion: false,
      tie_hyperencoder: false,
      per_layer_generators: true,
    },
  ],
  [
    'component embeddings',
    { generator: 'embedding', adapter_size: 6, prefix_length: 3, instruction_fusion: false },
  ],
  ['learned PEFT', { generator: 'static', adapter_size: 8, prefix_length: 5, instruction_fusion: false }],
];

function tokens(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => 3 + ((i * 7 + seed * 13) % 90));
}

function ragged(lengths: readonly number[]): Ragged {
  const offsets = [0];
  for (const length of lengths) offsets.push((offsets.at(-1) as number) + length);
  return { ids: tokens(offsets.at(-1) as number, 0), offsets: Int32Array.from(offsets) };
}

/** Multiply-adds of the ops that ran on the device during `body`, as the native op table counts them. */
async function executed(device: Device, body: () => unknown): Promise<number> {
  await device.synchronize();
  const before = device.statistics().flops;
  await body();
  await device.synchronize();
  return (device.statistics().flops - before) / 2;
}

describe('the multiply-adds counted are those the engine executes', () => {
  it.each(MODELS)('compiling tasks and answering: %s', async (_, hint) => {
    using device = new Device({ threads: 1 });
    const model = randomModel(device, tinyConfig(hint, { vocab_size: 200, eos_token_id: NEVER_GENERATED }));
    let tasks: CompiledTasks | undefined;
    const compiling = await executed(device, async () => {
      tasks = await compileTasks(model, ragged([7, 7]));
    });
    const compiled = tasks as unknown as CompiledTasks;
    const answering = await executed(device, async () => {
      const rows = await decodeBatch(model, compiled, ragged([5, 5, 5]), Int32Array.of(0, 1, 1), {
        decoding: { kind: 'greedy' },
        maxTokens: 4,
        logProbs: false,
        streams: new Int32Array(6),
        tokenBudget: 4096,
      });
      expect(rows.map((row) => row.tokens.length)).toEqual([4, 4, 4]);
    });
    disposeTasks(compiled);
    const { encode, generate, fuse } = compileMultiplyAdds(model.config, 7, 2);
    // Weights that nobody packed are those of training, which folds the products of large generators.
    const folded = adaptationTable(model.config).map(({ name, components }) =>
      foldedForward(model.config, 2 * slotsOf(model.config, name).length * components),
    );
    const saved = folded.reduce((sum, one) => sum + one, 0);
    expect(encode.total + generate.total + fuse.total - saved).toBe(compiling);
    const lengths = { instruction: 7, input: 5, output: 4, instructionInInput: false };
    expect(3 * exampleMultiplyAdds(model.config, lengths).total).toBe(answering);
  });

  it.each(MODELS)('training on a batch: %s', async (_, hint) => {
    using device = new Device({ threads: 1 });
    const model = randomModel(device, tinyConfig(hint, { vocab_size: 200 }));
    const batch = buildBatch(
      Array.from({ length: 6 }, (_example, i) => ({
        id: `${i}`,
        task: `${i % 2}`,
        instruction: tokens(hint ? 7 : 0, i % 2),
        input: tokens(5, i),
        target: tokens(4, i),
        references: [],
      })),
    );
    const parameters = [...model.parameters.entries()].map(([, tensor]) => tensor);
    const lengths = {
      ...{ instruction: 7, input: 5, output: 4, instructionInInput: false },
      ...{ tasks: 2, examples: 3 },
    };
    for (const backward of BACKWARD_PLANS) {
      const gradients = new Gradients(device);
      const training = await executed(device, () =>
        accumulateGradients(model, batch, gradients, { parameters, zLoss: 1e-4, backward }),
      );
      gradients.dispose();
      expect(trainingFlops(model.config, { ...lengths, backward }).flops / 2, backward).toBe(training);
    }
  });
});
