import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { fuzzParser, Runner } from './fuzz.mjs';
import { PARSERS } from './parsers.mjs';

// The same inputs on every machine; `npm run test:fuzz` tries others.
const SEED = 20_261_128;
const INPUTS = 40;
const MOST_MILLISECONDS = 10_000;

let runner: Runner;

beforeAll(async () => {
  await ensureCompiledWorker();
  runner = new Runner();
});

afterAll(() => runner.close());

describe('damaged and hostile input gives a value or one of our errors, in bounded time and memory', () => {
  it.each(Object.keys(PARSERS))('%s', async (name) => {
    const options = { seed: SEED, inputs: INPUTS, milliseconds: MOST_MILLISECONDS, runner };
    const { inputs, findings } = await fuzzParser(name, options);
    expect(findings.map(({ fault, bytes }) => `${fault}\n${bytes.toString('latin1', 0, 500)}`)).toEqual([]);
    // One of the parser's own samples at least, however slow the machine is.
    expect(inputs).toBeGreaterThan(0);
  });
});
