import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BeamSearch } from '../../src/inference/decode/beam-search.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { CounterRng } from '../../src/util/counter-rng.js';

const FOLDER = fileURLToPath(new URL('../fixtures/beam-model', import.meta.url));

interface Expected {
  limit: number;
  inputs: number[][];
  greedy: number[][];
  cases: {
    numBeams: number;
    brevityExponent: number;
    tokens: number[][];
    scores: number[];
    transformers?: ({ tokens: number[]; score: number } | null)[];
  }[];
}

let device: Device;
let model: EncoderDecoderModel;
let expected: Expected;
let inputs: Int32Array[];

beforeAll(async () => {
  device = new Device({ threads: 2 });
  model = await loadModel(device, FOLDER);
  expected = JSON.parse(await readFile(join(FOLDER, 'expected.json'), 'utf8')) as Expected;
  inputs = expected.inputs.map((ids) => Int32Array.from(ids));
});

afterAll(() => {
  device.close();
});

const lists = (generated: { tokens: Int32Array }[]): number[][] =>
  generated.map(({ tokens }) => Array.from(tokens));

describe('beam search on a T5', () => {
  it('gives the tokens and scores of the definition, for one beam and several, batched', async () => {
    for (const { numBeams, brevityExponent, tokens, scores } of expected.cases) {
      const options = { maxTokens: expected.limit, brevityExponent, numBeams };
      const generated = await generateTokens(model, { inputs, ...options, batchSize: 24 });
      expect(lists(generated)).toEqual(tokens);
      generated.forEach(({ score }, i) => expect(score).toBeCloseTo(scores[i] as number, 4));
      expect(generated.map(({ finished }) => finished)).toEqual(tokens.map((ids) => ids.at(-1) === 1));
    }
  });

  it('one beam is not greedy: what t5x-beam1 names is in the fixture, and both differ', async () => {
    const options = { inputs, maxTokens: expected.limit };
    const one = lists(await generateTokens(model, { ...options, decode: 't5x-beam1' }));
    const greedy = lists(await generateTokens(model, options));
    expect(one).toEqual(expected.cases.find(({ numBeams }) => numBeams === 1)?.tokens);
    expect(greedy).toEqual(expected.greedy);
    expect(one).not.toEqual(greedy);
  });

  it('agrees with transformers where both search for the same: no brevity penalty, an output that ends', () => {
    const {
      tokens,
      scores,
      transformers = [],
    } = expected.cases.find(({ brevityExponent }) => brevityExponent === 0) ?? expected.cases[0]!;
    const same = transformers.filter((theirs, i) => theirs && theirs.tokens.join() === tokens[i]?.join());
    expect(same.length).toBeGreaterThan(4);
    // transformers drops ends that are not among the n best continuations; t5x looks at 2n, and finds no worse.
    transformers.forEach((theirs, i) => {
      if (theirs) expect(scores[i]).toBeGreaterThan(theirs.score - 1e-6);
    });
  });

  it('does not depend on the company, and finds scores no worse than greedy', async () => {
    const options = { numBeams: 4, brevityExponent: 0, maxTokens: 40, logProbs: true };
    const together = await generateTokens(model, { inputs, ...options });
    const greedy = await generateTokens(model, { inputs, maxTokens: 40, logProbs: true });
    for (const [i, input] of inputs.entries()) {
      const [alone] = await generateTokens(model, { inputs: [input], ...options });
      expect(alone?.tokens).toEqual(together[i]?.tokens);
    }
    const total = (row: { logProbs?: Float32Array } | undefined): number =>
      row?.logProbs?.reduce((sum, value) => sum + value, 0) ?? NaN;
    const both = together
      .map((row, i) => [row, greedy[i]] as const)
      .filter(([row, other]) => row.finished && other?.finished);
    expect(both.length).toBeGreaterThan(3);
    for (const [row, other] of both) expect(total(row)).toBeGreaterThanOrEqual(total(other) - 1e-4);
    for (const row of together) expect(total(row)).toBeCloseTo(row.score as number, 3);
  });

  it('gives its memory back, also when it is aborted', async () => {
    const run = (signal?: AbortSignal): Promise<unknown> =>
      generateTokens(model, { inputs, numBeams: 3, maxTokens: 80, signal });
    // Memory is given back in stream order: what was disposed last is free once the stream has got there.
    const bytesInUse = async (): Promise<number> => {
      await device.synchronize();
      return device.statistics().bytesInUse;
    };
    await run();
    const before = await bytesInUse();
    const controller = new AbortController();
    const aborted = expect(run(controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    setTimeout(() => controller.abort(), 5);
    await aborted;
    await run();
    expect(await bytesInUse()).toBeLessThanOrEqual(before);
  });

  it('names options that are wrong or contradict each other', async () => {
    const failing: [object, RegExp][] = [
      [{ decode: 'beams' }, /decode is "beams"; give "greedy", "t5x-beam1", "beam" or "sample"/],
      [{ numBeams: 0 }, /numBeams is 0; give an integer from 1 to 64/],
      [{ decode: 't5x-beam1', numBeams: 2 }, /numBeams does not go with t5x-beam1/],
      [{ decode: 'greedy', temperature: 1 }, /temperature does not go with greedy/],
      [{ temperature: -1 }, /temperature is -1/],
      [{ topP: 0 }, /topP is 0/],
      [{ topK: 1.5 }, /topK is 1.5/],
      [{ decode: 'sample', seed: -3 }, /seed is -3/],
    ];
    for (const [options, message] of failing) {
      const work = generateTokens(model, { inputs, ...options });
      await expect(work).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(work).rejects.toThrow(message);
    }
  });
});

/** A language over a few tokens whose probabilities depend on everything so far. */
function toyLanguage(seed: number, vocab: number): (prefix: readonly number[]) => Float32Array {
  return (prefix) => {
    const rng = new CounterRng(
      seed,
      prefix.reduce((hash, token) => Math.imul(hash, 31) + token + 7, 1) >>> 0,
    );
    const weights = Array.from({ length: vocab }, () => rng.uniform() ** 3 + 1e-3);
    const sum = weights.reduce((a, b) => a + b, 0);
    return Float32Array.from(weights, (weight) => Math.log(weight / sum));
  };
}

/** Runs the search over a toy language. */
function search(beams: number, limit: number, language: (prefix: readonly number[]) => Float32Array) {
  const beam = new BeamSearch(beams, 0.6, limit, new Set([1]));
  while (!beam.done) {
    const prefixes = beam.live.map(({ node }) => {
      const tokens: number[] = [];
      for (let at = node; at; at = at.before) tokens.unshift(at.token);
      return tokens;
    });
    const rows = prefixes.map((prefix) => {
      const logProbs = language(prefix);
      return [...logProbs.keys()]
        .sort((a, b) => (logProbs[b] as number) - (logProbs[a] as number))
        .map((id) => [id, logProbs[id] as number] as const);
    });
    const width = rows[0]?.length ?? 0;
    beam.advance(
      Int32Array.from(rows.flat(), ([id]) => id),
      Float32Array.from(rows.flat(), ([, logProb]) => logProb),
      (row) => row * width,
      width,
    );
  }
  return beam.result();
}

/** The search as method §9.2 writes it: one hypothesis, the two most probable tokens of each step. */
function oneBeam(limit: number, language: (prefix: readonly number[]) => Float32Array) {
  const penalty = (n: number): number => ((5 + n) / 6) ** 0.6;
  let live: number[] = [];
  let total = 0;
  let best: { tokens: number[]; score: number } | undefined;
  for (let n = 1; n <= limit; n++) {
    if (best && best.score > total / penalty(limit + 1)) break;
    const logProbs = language(live);
    const two = [...logProbs.keys()]
      .sort((a, b) => (logProbs[b] as number) - (logProbs[a] as number))
      .slice(0, 2)
      .map((id) => ({ id, total: total + (logProbs[id] as number) }));
    const end = two.find(({ id }) => id === 1);
    if (end && !(best && best.score >= end.total / penalty(n)))
      best = { tokens: [...live, 1], score: end.total / penalty(n) };
    const next = two.find(({ id }) => id !== 1) as { id: number; total: number };
    live = [...live, next.id];
    total = next.total;
  }
  return best?.tokens ?? live;
}

describe('the search alone, over toy languages', () => {
  it('with one beam does what the definition does', () => {
    const results = Array.from({ length: 200 }, (_, seed) => {
      const language = toyLanguage(seed, 5);
      const tokens = search(1, 12, language).tokens;
      expect(tokens).toEqual(oneBeam(12, language));
      return tokens;
    });
    expect(new Set(results.map(({ length }) => length)).size).toBeGreaterThan(4);
  });

  it('with beams for everything finds the best of all outputs', () => {
    for (let seed = 0; seed < 20; seed++) {
      const language = toyLanguage(seed, 3);
      let best = -Infinity;
      const visit = (prefix: number[], total: number): void => {
        language(prefix).forEach((logProb, id) => {
          const score = (total + logProb) / ((5 + prefix.length + 1) / 6) ** 0.6;
          if (id === 1) best = Math.max(best, score);
          else if (prefix.length < 4) visit([...prefix, id], total + logProb);
        });
      };
      visit([], 0);
      expect(search(64, 5, language).score).toBeCloseTo(best, 5);
    }
  });

  it('more beams never lose the search its end', () => {
    for (let seed = 0; seed < 50; seed++) {
      const { tokens, finished, logProbs } = search(4, 6, toyLanguage(seed, 4));
      expect(finished).toBe(tokens.at(-1) === 1);
      expect(tokens.indexOf(1)).toBe(finished ? tokens.length - 1 : -1);
      expect(logProbs).toHaveLength(tokens.length);
    }
  });
});
