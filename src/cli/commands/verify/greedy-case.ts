import { join } from 'node:path';
import { z } from 'zod';
import { generateTokens } from '../../../inference/decode/generate.js';
import { listOf } from '../../../util/check.js';
import { loadModel } from '../../../model/checkpoint/checkpoint.js';
import type { Device } from '../../../tensor/device.js';
import type { WeightDType } from '../../../tensor/ops.js';
import type { Comparison } from './difference.js';
import { readFixtureJson, validate, type FixtureInputs } from './fixture-inputs.js';

const schema = z.object({ tokens: listOf(listOf(z.int())) });

/**
 * Share of inputs whose greedy tokens may differ where weights are rounded; of fewer than 50 inputs it is one, as a
 * share that would not allow any says nothing of rounding.
 */
const ROUNDED_BOUND = 0.02;

/**
 * Greedy token ids, in a mixed-task batch, through the compiled path: in f32 equal one by one, else for at least 98 % of
 * the inputs, or for all but one.
 */
export async function verifyGreedyCase(
  device: Device,
  directory: string,
  inputs: FixtureInputs,
  dtype: WeightDType,
  signal: AbortSignal | undefined,
): Promise<Comparison[]> {
  const expected = validate(
    schema,
    await readFixtureJson(directory, 'expected.json'),
    join(directory, 'expected.json'),
  );
  const model = await loadModel(device, directory, { dropoutRate: 0, signal });
  model.inferenceDType = dtype;
  try {
    const readsInstruction = model.hypernetwork?.readsInstruction ?? false;
    const generated = await generateTokens(model, {
      ...(readsInstruction
        ? { instructions: inputs.examples.map(({ instruction }) => Int32Array.from(instruction)) }
        : {}),
      inputs: inputs.examples.map(({ input }) => Int32Array.from(input)),
      taskIndex: inputs.examples.map((_, i) => (readsInstruction ? i : 0)),
      maxTokens: inputs.max_tokens ?? 128,
      signal,
    });
    const differs = expected.tokens.map((wanted, i) =>
      JSON.stringify([...(generated[i]?.tokens ?? [])]) === JSON.stringify(wanted) ? 0 : 1,
    );
    if (dtype === 'f32')
      return differs.map((difference, i) => ({ name: `tokens.${i}`, difference, bound: 0 }));
    const share = differs.reduce<number>((sum, one) => sum + one, 0) / differs.length;
    return [
      {
        name: 'inputs whose tokens differ',
        difference: share,
        bound: Math.max(ROUNDED_BOUND, 1 / differs.length),
      },
    ];
  } finally {
    model.dispose();
  }
}
