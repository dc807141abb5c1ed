import { join } from 'node:path';
import { z } from 'zod';
import { generateTokens } from '../../inference/generate.js';
import { loadModel } from '../../model/checkpoint.js';
import type { Device } from '../../tensor/device.js';
import type { Comparison } from './difference.js';
import { readFixtureJson, validate, type FixtureInputs } from './fixture-inputs.js';

const schema = z.object({ tokens: z.array(z.array(z.int())) });

/** Greedy token ids, which must be equal one by one: in a mixed-task batch, through the compiled path. */
export async function verifyGreedyCase(
  device: Device,
  directory: string,
  inputs: FixtureInputs,
  signal: AbortSignal | undefined,
): Promise<Comparison[]> {
  const expected = validate(
    schema,
    await readFixtureJson(directory, 'expected.json'),
    join(directory, 'expected.json'),
  );
  const model = await loadModel(device, directory, { dropoutRate: 0, signal });
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
    return expected.tokens.map((wanted, i) => ({
      name: `tokens.${i}`,
      difference: JSON.stringify([...(generated[i]?.tokens ?? [])]) === JSON.stringify(wanted) ? 0 : 1,
      bound: 0,
    }));
  } finally {
    model.dispose();
  }
}
