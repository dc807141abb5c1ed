import { describe, expect, it } from 'vitest';
import * as api from '../../src/index.js';
import { engine, first, nowhere, task, tokenizer } from './calls.js';

const ids = Int32Array.of(5, 1);
const example = { id: '1', task: 'a', instruction: ids, input: ids, target: ids, references: ['yes'] };

/** Everything that decodes, by what it does with options. */
const decoders: Record<string, (options: object) => Promise<unknown>> = {
  'task.generate': (options) => task.generate('A dog.', options),
  'task.stream': (options) => first(task.stream('A dog.', options)),
  'engine.submit': (options) => engine.submit({ task, input: 'A dog.', ...options }),
  'engine.generate': (options) => engine.generate([{ task, input: 'A dog.', ...options }]),
  'engine.generate for all': (options) => engine.generate([{ task, input: 'A dog.' }], options),
  generateTokens: (options) =>
    api.generateTokens(engine.model, { instructions: [ids], inputs: [ids], ...options }),
  evaluateModel: (options) => api.evaluateModel({ model: engine.model, tokenizer }, [example], options),
};

/** What each of them takes. */
const bag = [
  'decode',
  'numBeams',
  'brevityExponent',
  'temperature',
  'topK',
  'topP',
  'seed',
  'logProbs',
  'maxTokens',
];
/** What goes with texts, and so with all but ids. */
const ofTexts = ['maxInputTokens', 'stop', 'constrain'];
const onIds = new Set(['generateTokens', 'evaluateModel']);

const wrong: [what: string, options: object, message: RegExp][] = [
  ['a misspelt name', { topp: 0.5 }, /topp is unknown; did you mean topP\?/],
  ['beams beyond the most', { numBeams: 65 }, /numBeams is 65; give an integer from 1 to 64/],
  ['a temperature below 0', { temperature: -1 }, /temperature is -1; give a finite number of at least 0/],
  ['no probability mass', { topP: 0 }, /topP is 0; give a finite number above 0, at most 1/],
  ['no token to draw from', { topK: 0 }, /topK is 0; give an integer from 1/],
  ['no token to write', { maxTokens: 0 }, /maxTokens is 0; give an integer from 1/],
  ['an unknown way of decoding', { decode: 'nucleus' }, /decode is "nucleus"; give "greedy"/],
  ['a seed without drawing', { seed: 3 }, /seed does not go with greedy decoding/],
  ['a seed with beams', { numBeams: 2, seed: 3 }, /seed does not go with beam decoding/],
  ['beams with drawing', { decode: 'sample', numBeams: 2 }, /numBeams does not go with sample decoding/],
  [
    'a temperature with beams',
    { numBeams: 2, temperature: 0.5 },
    /temperature does not go with beam decoding/,
  ],
  ['an exponent without beams', { brevityExponent: 1 }, /brevityExponent does not go with greedy decoding/],
];
const wrongOfTexts: typeof wrong = [
  ['an empty stop', { stop: ['a', ''] }, /stop\[1\] is empty/],
  ['an input of no tokens', { maxInputTokens: 0 }, /maxInputTokens is 0; give an integer from 1/],
  ['no constraint', { constrain: {} }, /constrain has 0 of choices, regex and jsonSchema/],
  [
    'a constraint with beams',
    { numBeams: 2, constrain: { regex: 'a' } },
    /constrain does not go with beam search/,
  ],
];

describe.each(Object.keys(decoders))('%s', (name) => {
  const run = decoders[name] as (options: object) => Promise<unknown>;

  it.each([...wrong, ...(onIds.has(name) ? [] : wrongOfTexts)])('refuses %s', async (_, options, message) => {
    await expect(run(options)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('names the same options as all others that decode', async () => {
    const error = (await run({ nothingLikeIt: 1 }).catch((reason: unknown) => reason)) as Error;
    const known = /There are (.*)\.$/.exec(error.message)?.[1]?.split(', ') ?? [];
    expect(known).toEqual(expect.arrayContaining(bag));
    for (const option of ofTexts) expect(known.includes(option), option).toBe(!onIds.has(name));
  });

  it('decodes with beams, and draws, under the names that all have', async () => {
    await run({ numBeams: 2, maxTokens: 1 });
    await run({ temperature: 0.7, topK: 5, topP: 0.9, seed: 1, maxTokens: 1, logProbs: true });
  });
});

it('refuses a dtype that weights cannot have when a model is opened', async () => {
  await expect(api.Engine.open(nowhere, { dtype: 'fp16' as 'f32' })).rejects.toThrow(
    'options.dtype is "fp16"; give "f32", "bf16" or "int8".',
  );
});
