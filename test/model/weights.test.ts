import { describe, expect, it } from 'vitest';
import { T5Model } from '../../src/model/hint/t5-model.js';
import { HintModel } from '../../src/model/hint/hint-model.js';
import { ModelWeights } from '../../src/model/weights/model-weights.js';
import type { GeneratorWeights } from '../../src/model/weights/weights.js';
import { initialiseParameters } from '../../src/model/parameters/initialise.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { Tape } from '../../src/tensor/tape.js';
import { FULL_HINT, tinyConfig } from '../inference/models.js';
import { UnpackedDevice } from '../inference/unpacked-device.js';

const CONFIG = tinyConfig(FULL_HINT);
const PROJECTION = 'encoder.block.0.layer.0.SelfAttention.q';

function open(device: Device) {
  const parameters = initialiseParameters(device, CONFIG, 1);
  return { parameters, weights: new ModelWeights(device, CONFIG, parameters) };
}

/** What a layer would compute with them: a product, a norm, rows of a table, a generator. */
async function numbersOf(device: Device, weights: GeneratorWeights): Promise<Record<string, Float32Array>> {
  const x = device.tensor(
    Float32Array.from({ length: 2 * CONFIG.dModel }, (_, i) => Math.sin(i)),
    [2, CONFIG.dModel],
  );
  const ids = device.tensor(Int32Array.of(3, 7), [2]);
  const input = weights.computeDtype === 'f32' ? x : ops.cast(x, weights.computeDtype);
  const { folded, second } = weights.generator('adapter_up', 1);
  const made = {
    product: weights.multiply(input, PROJECTION, { outputDType: 'f32' }),
    norm: weights.norm('encoder.final_layer_norm'),
    rows: weights.gather(ids, 'shared.weight', 'f32'),
    generated: second(input),
  };
  expect(typeof folded).toBe('boolean');
  const read = async (tensor: (typeof made)['norm']) =>
    (tensor.dtype === 'f32' ? tensor : ops.cast(tensor, 'f32')).read();
  const entries = Object.entries(made).map(async ([name, tensor]) => [name, await read(tensor)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

function furthest(a: Float32Array, b: Float32Array): number {
  const scale = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0) / scale;
}

describe('the weights of a model', () => {
  it.each([
    ['packed in f32', () => new Device({ threads: 1 }), 'f32', 1e-5],
    ['packed in bf16', () => new Device({ threads: 1 }), 'bf16', 2e-2],
    ['packed in int8', () => new Device({ threads: 1 }), 'int8', 5e-2],
    ['rounded', () => new UnpackedDevice({ threads: 1 }), 'bf16', 2e-2],
  ] as const)('are the parameters’ numbers when they are %s', async (_, make, dtype, bound) => {
    using device = make();
    const { parameters, weights } = open(device);
    const before = await numbersOf(device, weights.ofHypernetwork);
    await weights.prepare(dtype);
    expect(weights.inference).toBeDefined();
    const after = await numbersOf(device, weights.ofHypernetwork);
    const ofModel = weights.ofModel as GeneratorWeights;
    const model = await numbersOf(device, ofModel);
    for (const name of Object.keys(before)) {
      expect(furthest(after[name]!, before[name]!), name).toBeLessThan(bound);
      expect(furthest(model[name]!, before[name]!), name).toBeLessThan(bound);
    }
    expect(after['norm']).toEqual(before['norm']);
    weights.release();
    parameters.dispose();
  });

  it('are those that inference made only while nothing is recorded and no parameter has changed', async () => {
    using device = new UnpackedDevice({ threads: 1 });
    const { parameters, weights } = open(device);
    expect(weights.ofModel.computeDtype).toBe('f32');
    await weights.prepare('bf16');
    expect(weights.ofModel.computeDtype).toBe('bf16');
    new Tape(device, []).run(() => {
      expect(weights.ofModel.computeDtype).toBe('f32');
      expect(weights.ofModel.streamDtype).toBe('f32');
    });
    expect(weights.ofModel.computeDtype).toBe('bf16');
    ops.fill(parameters.get('encoder.final_layer_norm.weight'), 2);
    expect(weights.inference).toBeUndefined();
    expect(weights.ofModel.computeDtype).toBe('f32');
    weights.release();
    parameters.dispose();
  });

  it('are missed by name', () => {
    using device = new Device({ threads: 1 });
    const { parameters, weights } = open(device);
    expect(() => weights.ofModel.norm('encoder.norm')).toThrow(/no tensor named "encoder.norm.weight"/);
    parameters.dispose();
  });
});

describe('a model’s class', () => {
  it('is not HINT’s for a plain T5, nor a plain T5’s for HINT', () => {
    using device = new Device({ threads: 1 });
    const plain = tinyConfig(null);
    const parameters = initialiseParameters(device, plain, 1);
    const full = initialiseParameters(device, CONFIG, 1);
    expect(() => new HintModel(device, plain, parameters)).toThrow(/no hypernetwork.*T5Model/);
    expect(() => new T5Model(device, CONFIG, full)).toThrow(/has a hypernetwork.*HintModel/);
    expect(new T5Model(device, plain, parameters).hypernetwork).toBeUndefined();
    for (const held of [parameters, full]) held.dispose();
  });
});
