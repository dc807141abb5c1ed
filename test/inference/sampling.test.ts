import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateTokens, type GenerateTokensOptions } from '../../src/inference/decode/generate.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, randomModel, tinyConfig } from './models.js';

let device: Device;
let model: EncoderDecoderModel;
const instruction = Int32Array.of(5, 6, 7, 1);

beforeAll(() => {
  device = new Device({ threads: 2 });
  model = randomModel(device, tinyConfig(FULL_HINT, { vocab_size: 24 }));
});

afterAll(() => {
  device.close();
});

const run = async (inputs: Int32Array[], options: GenerateTokensOptions): Promise<number[][]> =>
  (await generateTokens(model, { instructions: [instruction], inputs, ...options })).map(({ tokens }) => [
    ...tokens,
  ]);

/** The first token of many draws for one input, counted, beside its probability under the model. */
async function firstTokens(
  options: GenerateTokensOptions,
  draws = 4000,
): Promise<{ counts: number[]; probability: number[] }> {
  const input = Int32Array.of(9, 3, 1);
  const inputs = Array.from({ length: draws }, () => input);
  const request = { instructions: [instruction], inputs, maxTokens: 1, logProbs: true, batchSize: 1000 };
  const generated = await generateTokens(model, { ...request, decode: 'sample', ...options });
  const counts = new Array<number>(24).fill(0);
  const probability = new Array<number>(24).fill(0);
  for (const { tokens, logProbs } of generated) {
    const token = tokens[0] as number;
    counts[token] = (counts[token] as number) + 1;
    probability[token] = Math.exp(logProbs?.[0] as number);
  }
  return { counts, probability };
}

/** Every frequency lies within five standard deviations of its probability. */
function expectDrawnFrom(counts: number[], probability: number[]): void {
  const draws = counts.reduce((a, b) => a + b, 0);
  counts.forEach((count, token) => {
    const p = probability[token] as number;
    const deviation = Math.sqrt((p * (1 - p)) / draws);
    expect(Math.abs(count / draws - p)).toBeLessThan(5 * deviation + 1e-9);
  });
}

/** Probabilities after temperature, topK and topP, by the definition. */
function narrowed(
  probability: number[],
  { temperature = 1, topK = 24, topP = 1 }: GenerateTokensOptions,
): number[] {
  const weights = probability.map((p) => p ** (1 / temperature));
  const order = [...weights.keys()].sort((a, b) => (weights[b] as number) - (weights[a] as number));
  const first = order.slice(0, topK);
  const total = first.reduce((sum, id) => sum + (weights[id] as number), 0);
  const kept: number[] = [];
  let mass = 0;
  for (const id of first) {
    if (kept.length > 0 && mass >= topP * total) break;
    kept.push(id);
    mass += weights[id] as number;
  }
  return weights.map((weight, id) => (kept.includes(id) ? weight / mass : 0));
}

describe('sampling', () => {
  it('draws as often as the probabilities say, narrowed as asked', async () => {
    const { counts, probability } = await firstTokens({ seed: 1 });
    expect(probability.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 3);
    expectDrawnFrom(counts, probability);
    for (const options of [
      { temperature: 0.5 },
      { topK: 3 },
      { topP: 0.6 },
      { temperature: 1.7, topK: 9, topP: 0.8 },
    ]) {
      const drawn = await firstTokens({ ...options, seed: 2 });
      expectDrawnFrom(drawn.counts, narrowed(probability, options));
    }
  });

  it('gives an input the same tokens in any company, order and batch', async () => {
    const inputs = Array.from({ length: 12 }, (_, i) => Int32Array.of(2 + i, 5, 1));
    const options = { temperature: 1.2, seed: 42, maxTokens: 40 };
    const together = await run(inputs, options);
    expect(await run(inputs, { ...options, batchSize: 5 })).toEqual(together);
    expect((await run([...inputs].reverse(), options)).reverse()).toEqual(together);
    for (const [i, input] of inputs.entries()) expect(await run([input], options)).toEqual([together[i]]);
    expect(await run(inputs, { ...options, seed: 43 })).not.toEqual(together);
  });

  it('draws an input that is given twice anew', async () => {
    const input = Int32Array.of(4, 4, 1);
    const [first, second] = await run([input, input], { temperature: 2, maxTokens: 12 });
    expect(first).not.toEqual(second);
  });

  it('is greedy at temperature 0, with one token to choose from, or with hardly any probability asked for', async () => {
    const inputs = Array.from({ length: 4 }, (_, i) => Int32Array.of(2 + i, 1));
    const greedy = await run(inputs, { maxTokens: 20 });
    for (const options of [{ temperature: 0 }, { topK: 1 }, { topP: 1e-9 }])
      expect(await run(inputs, { ...options, maxTokens: 20 })).toEqual(greedy);
  });
});

describe('log-probabilities', () => {
  it('of greedy tokens are the largest there are, one per token, and change no token', async () => {
    const inputs = Array.from({ length: 5 }, (_, i) => Int32Array.of(2 + i, 1));
    const request = { instructions: [instruction], inputs, maxTokens: 40 };
    const plain = await generateTokens(model, request);
    const withThem = await generateTokens(model, { ...request, logProbs: true });
    expect(plain.every(({ logProbs }) => logProbs === undefined)).toBe(true);
    withThem.forEach(({ tokens, logProbs }, i) => {
      expect(tokens).toEqual(plain[i]?.tokens);
      expect(logProbs).toHaveLength(tokens.length);
      for (const value of logProbs ?? []) {
        expect(value).toBeLessThanOrEqual(0);
        expect(value).toBeGreaterThanOrEqual(-Math.log(24));
      }
    });
  });
});
