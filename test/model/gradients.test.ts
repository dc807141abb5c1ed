import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readFixtureInputs } from '../../src/cli/commands/verify/fixture-inputs.js';
import { batchOf } from '../../src/cli/commands/verify/model-case.js';
import { relativeDifference } from '../../src/testing/difference.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { openSafetensors, toFloat32 } from '../../src/formats/safetensors/file.js';
import * as ops from '../../src/tensor/ops.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';

/** Random small models of every kind of generator; make.py beside them makes others for HINT_GRADIENT_MODELS. */
const FOLDER =
  process.env['HINT_GRADIENT_MODELS'] ?? join(import.meta.dirname, '..', 'fixtures', 'gradients');
/**
 * Of f32 against float64, per tensor, as max |a − b| / max |b|: half of what fixtures of the original code are held to. In
 * which order a product's terms are summed depends on the processor; on one with AMX, a tensor is 5.5e-6 off.
 */
const BOUND = 1e-5;

const devices = [1, 2].map((threads) => new Device({ threads }));
afterAll(() => Promise.all(devices.map((device) => device.close())));

async function lossAndGradients(device: Device, directory: string): Promise<Map<string, Float32Array>> {
  const inputs = await readFixtureInputs(directory);
  const model = await loadModel(device, directory, { dropoutRate: 0 });
  const batch = batchOf(inputs);
  const gradients = new Gradients(device);
  const tape = new Tape(device, model.parameters.all());
  const perToken = 1 / batch.targets.ids.length;
  const [loss, zTerm] = tape.run(() => {
    const terms = device.now(
      model.loss(batch, { zLoss: inputs.z_loss, instructionLength: inputs.instruction_length }),
    );
    return [ops.sum(terms.loss, perToken), ops.sum(terms.zTerm, perToken)] as const;
  });
  tape.backward([loss, zTerm], gradients);
  const [ce, z] = await Promise.all([loss.read(), zTerm.read()]);
  const values = new Map<string, Float32Array>([
    ['loss.total_mean', Float32Array.of((ce[0] as number) + (z[0] as number))],
  ]);
  for (const [name, parameter] of model.parameters.entries()) {
    const gradient = gradients.get(parameter);
    values.set(`grad_z.${name}`, gradient ? await gradient.read() : new Float32Array(parameter.size));
  }
  gradients.dispose();
  model.dispose();
  return values;
}

describe.each(
  readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name),
)('%s', (name) => {
  it.each([1, 2])('keeps the loss and every gradient near float64, with %i threads', async (threads) => {
    const directory = join(FOLDER, name);
    await using expected = await openSafetensors(join(directory, 'expected.safetensors'));
    const actual = await lossAndGradients(devices[threads - 1] as Device, directory);
    const beyond: string[] = [];
    for (const [key, { dtype }] of expected.tensors) {
      const values = actual.get(key) ?? new Float32Array();
      const difference = relativeDifference(values, toFloat32(await expected.read(key), dtype));
      if (!(difference <= BOUND)) beyond.push(`${key} ${difference.toExponential(1)}`);
    }
    expect(beyond).toEqual([]);
  });
});
