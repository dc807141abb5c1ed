import { afterAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { inferenceFlops } from '../../src/accounting/flops.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { SYSTEMS } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { tinyExamples, tinyRun, TINY_T5 } from './tiny-systems.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

function argmaxRows(values: Float32Array, width: number): number[] {
  return Array.from({ length: values.length / width }, (_, row) => {
    const logits = values.subarray(row * width, (row + 1) * width);
    return logits.indexOf(Math.max(...logits));
  });
}

/** Decoder-only systems have tests of their own, in test/model/decoder-only*.test.ts. */
const T5_SYSTEMS = SYSTEMS.filter(({ family }) => family === 't5');

describe.each(T5_SYSTEMS.map((system) => ({ name: system.name, system })))('$name', ({ system }) => {
  it('compiled once a task, answers as the forward pass of training does', async () => {
    const { model } = await tinyRun(device, system);
    const examples = tinyExamples(system);
    const instructions = [0, 1, 2]
      .map((task) => examples[task]!.instruction)
      .filter(({ length }) => length > 0);
    const generated = await generateTokens(model, {
      inputs: examples.map(({ input }) => input),
      ...(instructions.length > 0 ? { instructions, taskIndex: examples.map((_, i) => i % 3) } : {}),
      maxTokens: 6,
    });
    expect(model.hypernetwork?.encodedTasks ?? 0).toBe(instructions.length);
    // Fed its own answer, the uncompiled model must choose the very same tokens.
    const batch = buildBatch(
      examples.map((example, i) => ({ ...example, target: Int32Array.from(generated[i]!.tokens) })),
    );
    const logits = device.tidy(() =>
      ops.linear(device.now(model.forward(batch)).hidden, model.parameters.get('lm_head.weight')),
    );
    const chosen = argmaxRows(new Float32Array(await logits.readBytes()), TINY_T5.vocab_size);
    expect(chosen).toEqual([...batch.targets.ids]);
    expect(new Set(chosen).size).toBeGreaterThan(1);
  });

  it('is counted in the FLOPs report: a task costs something only where an instruction is compiled', async () => {
    const { model } = await tinyRun(device, system);
    const { hint } = model.config;
    const lengths = { instruction: 9, input: 4, output: 3, examples: 10, instructionInInput: false };
    const { perTask, perExample, flops } = inferenceFlops(model.config, lengths);
    expect(flops).toBe(2 * (perTask.total + 10 * perExample.total));
    expect(perTask.total > 0).toBe(hint !== undefined && hint.generator !== 'static');
    const longer = inferenceFlops(model.config, { ...lengths, instruction: 90 });
    expect(longer.perTask.total > perTask.total).toBe(model.hypernetwork?.readsInstruction === true);
    expect(perExample.adaptations > 0).toBe((hint?.adapterSize ?? 0) + (hint?.loraRanks.q ?? 0) > 0);
  });
});
