import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { cudaReport, Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { GREEDY_MODEL } from '../inference/models.js';
import { tinyTrainer } from '../training/tiny.js';

const { devices, reason } = cudaReport();
const available = devices.length > 0;

async function lossesOn(name: string): Promise<number[]> {
  using device = new Device({ device: name, threads: 1 });
  const { trainer } = tinyTrainer(device);
  const losses: number[] = [];
  for await (const { loss } of trainer.steps()) losses.push(loss);
  return losses;
}

async function tokensOn(name: string): Promise<number[][]> {
  using device = new Device({ device: name, threads: 1 });
  const model = await loadModel(device, GREEDY_MODEL);
  const { max_tokens: maxTokens, examples } = JSON.parse(
    readFileSync(join(GREEDY_MODEL, 'inputs.json'), 'utf8'),
  ) as { max_tokens: number; examples: { instruction: number[]; input: number[] }[] };
  const generated = await generateTokens(model, {
    instructions: examples.map(({ instruction }) => Int32Array.from(instruction)),
    inputs: examples.map(({ input }) => Int32Array.from(input)),
    taskIndex: examples.map((_, i) => i),
    maxTokens,
  });
  return generated.map(({ tokens }) => [...tokens]);
}

describe.runIf(available)('on CUDA', () => {
  it('a training run loses what it loses on the CPU, dropout included', async () => {
    const [expected, actual] = [await lossesOn('cpu'), await lossesOn('cuda')];
    expect(actual.length).toBe(expected.length);
    for (const [step, loss] of actual.entries()) expect(loss).toBeCloseTo(expected[step] as number, 3);
  }, 300_000);

  it.each(['nearest', 'stochastic'] as const)(
    'weights rounded to bf16 (%s) are those of the CPU, bit for bit',
    async (rounding) => {
      const roundedOn = async (name: string, shape: readonly number[]): Promise<Uint8Array[]> => {
        using device = new Device({ device: name, threads: 1 });
        const [gradient, first, second, full] = [0, 1, 2, 3].map(() => device.full(shape, 0)) as [
          Tensor,
          ...Tensor[],
        ];
        // Without gradients an update is its rounding alone.
        const draws = { rounding, roundingSeed: 2 ** 53 - 1, roundingStep: 3, roundingStream: 2 ** 32 - 1 };
        const updates: ((parameter: Tensor) => void)[] = [
          (parameter) =>
            ops.adamw(
              parameter,
              gradient,
              { first: first!, second: second! },
              { learningRate: 0.1, step: 1, ...draws },
            ),
          (parameter) =>
            ops.adafactor(parameter, gradient, { full: full! }, { learningRate: 0.1, decay: 0.9, ...draws }),
        ];
        return await Promise.all(
          updates.map(async (update) => {
            const parameter = device.tensor(null, shape, 'f32');
            ops.randomFill(parameter, 'uniform', { scale: 0.1, seed: 1, stream: 2 });
            update(parameter);
            return new Uint8Array(await parameter.readBytes());
          }),
        );
      };
      // In one block, and by eights with some left over.
      for (const shape of [[7], [128, 129], [3, 71, 101]])
        expect(await roundedOn('cuda', shape)).toEqual(await roundedOn('cpu', shape));
    },
  );

  it('greedy decoding, recorded and replayed, gives the tokens of the CPU', async () => {
    expect(await tokensOn('cuda')).toEqual(await tokensOn('cpu'));
  }, 300_000);

  it('an id outside the vocabulary fails what depends on it, by name, and nothing else', async () => {
    using device = new Device({ device: 'cuda' });
    const table = device.tensor(new Float32Array(40).fill(2), [10, 4]);
    const bad = device.apply('embedding', [device.tensor(Int32Array.of(1, 10), [2]), table])[0]!;
    const dependent = device.apply('add', [bad, bad])[0]!;
    const good = device.apply('embedding', [device.tensor(Int32Array.of(9), [1]), table])[0]!;
    await expect(dependent.read()).rejects.toThrow(/id 10 at position 1/);
    expect([...(await good.read())]).toEqual([2, 2, 2, 2]);
  });
});

describe.runIf(!available)(`without CUDA (${reason})`, () => {
  it('asking for it is refused with the reason, and the CPU is named as the way out', () => {
    expect(() => new Device({ device: 'cuda' })).toThrow(reason);
    expect(() => new Device({ device: 'cuda' })).toThrow(/"cpu"/);
  });
});

it.each(['gpu', 'cuda:', 'cpu:1', 'cuda:x', ''])('a device named "%s" is refused by name', (name) => {
  expect(() => new Device({ device: name })).toThrow(/use cpu, cuda or cuda:N/);
});
