import { afterEach, expect, it } from 'vitest';
import { heldOn, unpackedWeightMemory, weightMemory } from '../../src/accounting/weight-memory.js';
import { Engine } from '../../src/inference/engine.js';
import { parameterCount } from '../../src/model/parameters/parameter-shapes.js';
import { Device, platformReport } from '../../src/tensor/device.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { randomModel, removeAll, tinyConfig, writeModel } from '../inference/models.js';
import { UnpackedDevice } from '../inference/unpacked-device.js';

// Sides are multiples of 64, so that packing pads nothing.
const EVEN = { vocab_size: 512, d_model: 128, d_kv: 32, d_ff: 192 };
const HINT = { adapter_size: 64, adapter_bias: false, prefix_length: 64 };
const held = heldOn(platformReport().isa);
const devices: Device[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});

it.each(['f32', 'bf16', 'int8'] as const)(
  'what hint memory says of weights in %s is what an engine holds',
  async (dtype) => {
    const device = new Device({ threads: 1 });
    devices.push(device);
    const config = tinyConfig(HINT, EVEN);
    const model = randomModel(device, config);
    model.inferenceDType = dtype;
    await device.synchronize();
    const engine = new Engine(model);
    const before = engine.memory.bytes;
    const expected = weightMemory(config, dtype, held);
    await model.prepareInference();
    await device.synchronize();
    const packed = engine.memory.bytes - before;
    // Buffers are rounded up to whole lines.
    const { matrices, generators, exact, componentQueries } = expected.packed;
    expect(packed).toBeGreaterThanOrEqual(matrices + generators);
    expect(packed / (matrices + generators)).toBeLessThan(1.01);
    const task = await engine.compileTokens(Int32Array.of(5, 6, 7));
    task.dispose();
    await device.synchronize();
    const withFirstTask = (engine.memory.bytes - before - packed) / (exact + componentQueries);
    expect(withFirstTask).toBeGreaterThanOrEqual(1);
    expect(withFirstTask).toBeLessThan(1.02);
    expect(expected.parameters.f32).toBe(4 * parameterCount(config));
  },
);

it.each(['f32', 'bf16'] as const)('and so it is in %s where weights are read as they are', async (dtype) => {
  const config = tinyConfig(HINT, EVEN);
  const directory = await writeModel(config, { tokenizer: false });
  const device = new UnpackedDevice({ threads: 1 });
  devices.push(device);
  const model = await loadModel(device, directory, { dtype });
  await removeAll([directory]);
  model.inferenceDType = dtype;
  const engine = new Engine(model);
  const task = await engine.compileTokens(Int32Array.of(5, 6, 7));
  task.dispose();
  await device.synchronize();
  const ratio = engine.memory.bytes / unpackedWeightMemory(config, dtype);
  expect(ratio).toBeGreaterThanOrEqual(1);
  // Buffers are rounded up to whole lines, and the rows of component embeddings are known by number.
  expect(ratio).toBeLessThan(1.05);
});

it('a machine without AVX-512 holds f32 whatever is asked for, and int8 keeps what ends a block exact', () => {
  const config = tinyConfig(HINT, EVEN);
  const nowhere = heldOn(['avx2']);
  const everywhere = heldOn(['avx2', 'avx512f']);
  const of = (dtype: 'f32' | 'bf16' | 'int8', machine: typeof nowhere): number =>
    weightMemory(config, dtype, machine).packed.matrices;
  expect(of('int8', nowhere)).toBe(of('f32', nowhere));
  expect(of('bf16', everywhere)).toBe(of('f32', everywhere) / 2);
  expect(of('int8', everywhere)).toBeLessThan(of('bf16', everywhere));
  expect(of('int8', everywhere)).toBeGreaterThan(of('f32', everywhere) / 4);
});
