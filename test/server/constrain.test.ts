import OpenAI from 'openai';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from './served.js';

let server: RunningServer;
let client: OpenAI;
const instruction = 'Name the animal in the sentence.';
const inputs = ['A horse and two birds.', 'A cow.'];
const schema = {
  type: 'object',
  properties: { animal: { enum: ['horse', 'cow'] }, legs: { enum: [2, 4] } },
  required: ['animal', 'legs'],
  additionalProperties: false,
};
const animal = /^\{"animal": "(horse|cow)", "legs": (2|4)\}$/;
const messages = [
  { role: 'system' as const, content: instruction },
  { role: 'user' as const, content: inputs[0] as string },
];

beforeAll(async () => {
  server = await serve(await openTiny());
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  await ask(server, 'POST', '/v1/tasks', { instruction, name: 'animal' });
});

describe('a constrained answer over HTTP', () => {
  it('of a chat is JSON of the schema, streamed or not', async () => {
    const body = {
      model: 'tiny',
      messages,
      response_format: {
        type: 'json_schema' as const,
        json_schema: { name: 'animal', strict: true, schema },
      },
    };
    const answer = await client.chat.completions.create(body);
    const [choice] = answer.choices;
    expect(choice?.message.content).toMatch(animal);
    expect(choice?.finish_reason).toBe('stop');
    let streamed = '';
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? '';
    expect(streamed).toBe(choice?.message.content);
  });

  it('of a response says its format again', async () => {
    const format = { type: 'json_schema' as const, name: 'animal', schema };
    const answer = await client.responses.create({
      model: 'tiny',
      instructions: instruction,
      input: inputs[1] as string,
      text: { format },
    });
    expect(answer.output_text).toMatch(animal);
    expect(answer.text?.format).toEqual(format);
  });

  it.each<[string, object, RegExp]>([
    ['choices', { choices: ['horse', 'two birds'] }, /^(horse|two birds)$/],
    ['a regular expression', { regex: '[0-9]{2} (cats|dogs)' }, /^[0-9]{2} (cats|dogs)$/],
    ['a schema', { json_schema: schema }, animal],
  ])('of a task follows %s', async (_, constraint, expected) => {
    const { body } = await ask<{ outputs: { text: string; finish_reason: string }[] }>(
      server,
      'POST',
      '/v1/tasks/animal/generate',
      { inputs, ...constraint },
    );
    expect(body.outputs).toHaveLength(2);
    for (const { text, finish_reason: reason } of body.outputs) {
      expect(text).toMatch(expected);
      expect(reason).toBe('stop');
    }
  });

  it.each<[object, RegExp]>([
    [{ choices: ['a'], regex: 'b' }, /has 2 of choices, regex and jsonSchema/],
    [{ regex: '[0-9' }, /Unclosed '\['/],
    [{ regex: 'a(\\{|\\})' }, /asks for one of "\{", "\}", which the vocabulary of the model lacks/],
    [{ json_schema: { type: 'objec' } }, /Unsupported type "objec"/],
    [{ json_schema: { $ref: '#/none' } }, /Cannot find field none/],
  ])('that is none is refused: %j', async (constraint, message) => {
    const { status, body } = await ask<{ error: { message: string } }>(
      server,
      'POST',
      '/v1/tasks/animal/generate',
      { inputs, ...constraint },
    );
    expect([status, body.error.message]).toEqual([400, expect.stringMatching(message)]);
    expect(body.error.message).not.toMatch(/\.cc|\n/);
  });
});

it('a task tells how many pieces of its instruction the vocabulary lacks', async () => {
  const { body } = await ask(server, 'GET', '/v1/tasks/animal');
  expect(body).toMatchObject({ unknown_tokens: 0 });
  const braces = await ask(server, 'POST', '/v1/tasks', { instruction: 'Write { and then }, as JSON does.' });
  expect(braces.body).toMatchObject({ unknown_tokens: 2 });
});
