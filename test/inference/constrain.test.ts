import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type Task } from '../../src/index.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];
const inputs = ['A horse and two birds.', 'A cow.', 'Three cats sleep under the tree.'];
let engine: Engine;
let task: Task;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[0] as string, { threads: 1 });
  task = await engine.compile({ definition: 'Name the animal.' });
});
afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

const texts = async (
  constrain: NonNullable<Parameters<Task['generate']>[1]>['constrain'],
  rest = {},
): Promise<string[]> =>
  (await task.generate(inputs, { constrain, maxTokens: 64, ...rest })).map((one) => {
    expect(one.finished).toBe(true);
    return one.text;
  });

describe('a constrained answer', () => {
  it('is one of the choices, whole', async () => {
    const choices = ['horse', 'horses', 'two birds', 'blue cow', 'Ångström 5'];
    for (const text of await texts({ choices })) expect(choices).toContain(text);
    const drawn = await texts({ choices }, { temperature: 3, seed: 1 });
    for (const text of drawn) expect(choices).toContain(text);
    const all = new Set<string>();
    for (let seed = 0; seed < 12; seed++)
      for (const text of await texts({ choices: ['red', 'green'] }, { temperature: 3, seed })) all.add(text);
    expect(all).toEqual(new Set(['red', 'green']));
  });

  it('is the more probable of two choices of one token', async () => {
    const { tokenizer } = engine;
    const pair = ['cat', 'dog'];
    expect(pair.map((text) => tokenizer?.tokenLength(text))).toEqual([2, 2]);
    const scored = await task.scoreChoices(
      inputs,
      pair.map((text) => (tokenizer?.encode(text) as Int32Array).subarray(0, 1)),
    );
    expect(await texts({ choices: pair })).toEqual(scored.map(({ best }) => pair[best]));
  });

  it('is a whole match of a regular expression', async () => {
    for (const text of await texts({ regex: '[0-9]{1,3} (cats|dogs)( and [a-z]{2,4})?' }))
      expect(text).toMatch(/^[0-9]{1,3} (cats|dogs)( and [a-z]{2,4})?$/);
  });

  it('is JSON of a schema, with the signs that the vocabulary lacks', async () => {
    const jsonSchema = {
      type: 'object',
      properties: {
        kind: { enum: ['cat', 'cow'] },
        count: { type: 'integer', minimum: 0, maximum: 99 },
        tags: { type: 'array', items: { enum: ['a', 'b'] }, minItems: 1, maxItems: 2 },
        inner: {
          type: 'object',
          properties: { ok: { type: 'boolean' } },
          required: ['ok'],
          additionalProperties: false,
        },
      },
      required: ['kind', 'count', 'tags', 'inner'],
      additionalProperties: false,
    };
    expect(engine.tokenizer?.encode('{').includes(engine.tokenizer.unkId)).toBe(true);
    for (const text of await texts({ jsonSchema })) {
      const value = JSON.parse(text) as {
        kind: string;
        count: number;
        tags: string[];
        inner: { ok: boolean };
      };
      expect(Object.keys(value)).toEqual(['kind', 'count', 'tags', 'inner']);
      expect(['cat', 'cow']).toContain(value.kind);
      expect(value.count).toBeGreaterThanOrEqual(0);
      expect(value.count).toBeLessThan(100);
      expect(value.tags.every((tag) => ['a', 'b'].includes(tag))).toBe(true);
      expect(typeof value.inner.ok).toBe('boolean');
    }
  });

  it('streams the text that it has in the end', async () => {
    const constrain = { jsonSchema: { type: 'object', properties: { a: { enum: ['x', 'y'] } }, required: ['a'], additionalProperties: false } }; // prettier-ignore
    const expected = await texts(constrain);
    const streamed = inputs.map(() => '');
    for await (const { input, text } of task.stream(inputs, { constrain, maxTokens: 64 }))
      streamed[input] += text;
    expect(streamed).toEqual(expected);
    expect(expected[0]).toMatch(/^\{"a": "[xy]"\}$/);
  });

  it('is that of running each input alone, with stop strings and log-probabilities too', async () => {
    const constrain = { regex: '(one|two|three)( (one|two|three)){3}' };
    const together = await task.generate(inputs, { constrain, logProbs: true });
    for (const [i, input] of inputs.entries()) {
      const [alone] = await task.generate(input, { constrain, logProbs: true });
      expect(alone?.text).toBe(together[i]?.text);
      expect(alone?.logProbs?.every((value) => value <= 0)).toBe(true);
    }
    const [cut] = await task.generate(inputs[0] as string, { constrain, stop: [' '] });
    expect(['one', 'two', 'three']).toContain(cut?.text);
  });

  it('that is cut says so', async () => {
    const [cut] = await task.generate('A cow.', { constrain: { regex: '[a-z]{500}' }, maxTokens: 3 });
    expect(cut?.finished).toBe(false);
    expect(cut?.text).toMatch(/^[a-z]+$/);
  });
});

const nestedGroups = (levels: number): string => `${'('.repeat(levels)}a${')'.repeat(levels)}`;

function nestedLists(levels: number): Record<string, unknown> {
  let schema: Record<string, unknown> = { type: 'integer' };
  for (let i = 0; i < levels; i++) schema = { type: 'array', items: schema };
  return schema;
}

/** Objects, each of which has its member by a reference to the next. */
function chained(count: number): Record<string, unknown> {
  const one = (i: number): object => ({
    type: 'object',
    properties: { next: { $ref: `#/$defs/${i + 1}` } },
    required: ['next'],
  });
  const places = Array.from({ length: count }, (_, i) => [String(i), one(i)] as const);
  return { $ref: '#/$defs/0', $defs: { ...Object.fromEntries(places), [count]: { type: 'integer' } } };
}

describe('what cannot be a constraint', () => {
  it.each<[string, object, RegExp]>([
    ['nothing', {}, /has 0 of choices, regex and jsonSchema; give one of them/],
    ['two things', { choices: ['a'], regex: 'a' }, /has 2 of/],
    ['no choice', { choices: [] }, /has 0 choices/],
    ['an empty choice', { choices: ['a', ''] }, /empty choice/],
    ['an open bracket', { regex: '[0-9' }, /Unclosed '\['/],
    ['a look-ahead', { regex: '(?=a)b' }, /Lookahead is not supported/],
    ['an unknown type', { jsonSchema: { type: 'objec' } }, /Unsupported type "objec"/],
    [
      'a part that would be passed over',
      { jsonSchema: { type: 'string', pattern: '^a+$', minLength: 3 } },
      /not supported/,
    ],
    [
      'a multiple',
      { jsonSchema: { type: 'integer', multipleOf: 5 } },
      /with "multipleOf", which is not followed/,
    ],
    [
      'a part deep inside',
      { jsonSchema: { anyOf: [{ type: 'object', properties: { not: { items: { not: { const: 1 } } } } }] } },
      /with "not", which is not followed/,
    ],
    ['a misspelt name', { choises: ['a'] }, /choises is unknown; did you mean choices\?/],
    ['a long regex', { regex: 'a'.repeat(5000) }, /regex of 5000 characters/],
    ['groups within groups', { regex: nestedGroups(49) }, /groups are nested deeper than 48 levels/],
    ['lists within lists', { jsonSchema: nestedLists(40) }, /nested deeper than 40 levels/],
    ['references in a long row', { jsonSchema: chained(13) }, /with what its references lead to/],
  ])('%s is refused', async (_, constrain, message) => {
    await expect(task.generate('A cow.', { constrain })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
    // And harms no other.
    expect(await texts({ choices: ['red'] })).toEqual(['red', 'red', 'red']);
  });

  it('what is nested as deeply as may be is none of it', async () => {
    const kept = {
      type: 'object',
      properties: { next: { $ref: '#' }, all: { type: 'array', items: { $ref: '#' } } },
    };
    const named = { type: 'object', properties: { not: { enum: ['if'] } }, required: ['not'] };
    for (const constrain of [
      { regex: `${nestedGroups(48)}\\([(](b|c)` },
      ...[nestedLists(39), chained(12), kept, named].map((jsonSchema) => ({ jsonSchema })),
    ])
      expect((await task.generate('A cow.', { constrain, maxTokens: 2 })).length).toBe(1);
  });

  it('a choice between signs that the vocabulary lacks is refused by their names', async () => {
    await expect(task.generate('A cow.', { constrain: { regex: 'a(\\{|\\})' } })).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringMatching(/After " a" the constraint asks for one of "\{", "\}"/) as string,
    });
    await expect(task.generate('A cow.', { constrain: { choices: ['a'] }, numBeams: 2 })).rejects.toThrow(
      /beam search/,
    );
  });
});

it('an engine closes while its answers are constrained, and a process ends that leaves it open', async () => {
  const own = new Engine(engine.model, engine.tokenizer);
  const mine = await own.compile({ definition: 'Count.' });
  const running = mine.generate(inputs, { constrain: { regex: '[a-z]{2000}' }, maxTokens: 3000 });
  running.catch(() => undefined);
  await mine.generate('A cow.', { constrain: { choices: ['x'] } });
  await own.close();
  await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
});
