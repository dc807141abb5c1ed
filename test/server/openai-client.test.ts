import OpenAI from 'openai';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import type { Engine } from '../../src/index.js';
import type { RunningServer } from '../../src/server/index.js';
import { tinyConfig } from '../inference/models.js';
import { openTiny, serve } from './served.js';

let engine: Engine;
let server: RunningServer;
let client: OpenAI;
const model = 'tiny';
const definition = 'Name the animal in the sentence.';
const input = 'A horse and two birds.';
const messages = [
  { role: 'system', content: definition },
  { role: 'user', content: input },
] as const;

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

async function expected(
  options: object = {},
  examples: { input: string; output: string }[] = [],
): Promise<string> {
  using task = await engine.tasks.get({ definition, examples });
  const [one] = await task.generate(input, { maxTokens: 12, ...options });
  return one?.text ?? '';
}

describe('chat completions', () => {
  it('compile the system message once, and tell what was read and what was not', async () => {
    const create = () => client.chat.completions.create({ model, messages: [...messages], max_tokens: 12 });
    const first = await create();
    const misses = engine.tasks.metrics.misses;
    const second = await create();
    expect(engine.tasks.metrics.misses).toBe(misses);
    expect(first.choices[0]).toMatchObject({
      index: 0,
      message: { role: 'assistant', content: await expected() },
      finish_reason: 'length',
    });
    using task = await engine.tasks.get({ definition });
    const read = task.instructionTokens + task.inputTokens(input);
    expect(task.instructionTokens).toBeGreaterThan(3);
    expect(first.usage).toMatchObject({
      prompt_tokens: read,
      completion_tokens: 12,
      total_tokens: read + 12,
      prompt_tokens_details: { cached_tokens: 0 },
    });
    expect(second.usage?.prompt_tokens_details?.cached_tokens).toBe(task.instructionTokens);
    expect(second.choices).toEqual(first.choices);
  });

  it('take pairs of user and assistant as examples of the instruction', async () => {
    const examples = [{ input: 'A cat sleeps.', output: 'cat' }];
    const { choices } = await client.chat.completions.create({
      model,
      max_completion_tokens: 12,
      messages: [
        { role: 'developer', content: [{ type: 'text', text: definition }] },
        { role: 'user', content: 'A cat sleeps.' },
        { role: 'assistant', content: 'cat' },
        { role: 'user', content: [{ type: 'text', text: input }] },
      ],
    });
    expect(choices[0]?.message.content).toBe(await expected({}, examples));
    expect(choices[0]?.message.content).not.toBe(await expected());
  });

  it('stream the same text, with usage where it is asked for', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [...messages],
      max_tokens: 12,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(await expected());
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(['length']);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it('draw by temperature, top_p and seed, n at once and each anew', async () => {
    const create = (seed: number) =>
      client.chat.completions.create({
        model,
        messages: [...messages],
        max_tokens: 12,
        temperature: 1.5,
        top_p: 0.95,
        seed,
        n: 3,
      });
    const [first, again, other] = [await create(-5), await create(-5), await create(6)];
    const texts = first.choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBe(3);
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(again.choices).toEqual(first.choices);
    expect(other.choices.map(({ message }) => message.content)).not.toEqual(texts);
    expect(first.usage?.completion_tokens).toBe(36);
  });

  it('end before a stop string, and give log-probabilities', async () => {
    const whole = await expected();
    const stop = whole.slice(4, 7);
    const { choices } = await client.chat.completions.create({
      model,
      messages: [...messages],
      max_tokens: 12,
      stop,
      logprobs: true,
    });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: whole.split(stop)[0] } });
    const tokens = choices[0]?.logprobs?.content ?? [];
    expect(tokens.length).toBeGreaterThan(0);
    for (const { token, logprob, bytes } of tokens) {
      expect(Buffer.from(bytes ?? []).toString()).toBe(token);
      expect(logprob).toBeLessThanOrEqual(0);
    }
  });

  it('that a client leaves no longer run', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [...messages],
      max_tokens: 4096,
      stream: true,
    });
    await stream[Symbol.asyncIterator]().next();
    stream.controller.abort();
    await eventually(() => expect(engine.serving).toMatchObject({ running: 0, queued: 0 }));
    const abort = new AbortController();
    const answer = client.chat.completions.create(
      { model, messages: [...messages], max_tokens: 4096 },
      { signal: abort.signal },
    );
    await eventually(() => expect(engine.serving.running).toBe(1));
    abort.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    await eventually(() => expect(engine.serving.running).toBe(0));
    expect(engine.serving.cancelled).toBe(2);
  });
});

describe('responses', () => {
  it('answer an input under instructions, as a chat does', async () => {
    const response = await client.responses.create({
      model,
      instructions: definition,
      input,
      max_output_tokens: 12,
    });
    expect(response.output_text).toBe(await expected());
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      usage: { output_tokens: 12 },
    });
    expect(response.usage?.input_tokens_details.cached_tokens).toBeGreaterThan(0);
  });

  it('stream as the client reads it', async () => {
    const stream = client.responses.stream({
      model,
      input: [
        { role: 'system', content: definition },
        { role: 'user', content: input },
      ],
      max_output_tokens: 12,
    });
    let text = '';
    stream.on('response.output_text.delta', ({ delta }) => (text += delta));
    const final = await stream.finalResponse();
    expect(text).toBe(await expected());
    expect(final.output_text).toBe(text);
  });
});

describe('embeddings, models and completions', () => {
  it('embed under a task, as numbers and as base64, which is the default of the client', async () => {
    const made = await fetch(`${server.url}/v1/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instruction: definition, name: 'animal' }),
    });
    expect(made.status).toBe(201);
    using task = await engine.tasks.get({ definition });
    const [vector] = await task.embed([input, 'A cat.']);
    for (const format of [undefined, 'float', 'base64'] as const) {
      const { data, usage } = await client.embeddings.create({
        model,
        input: [input, 'A cat.'],
        ...(format ? { encoding_format: format } : {}),
        ...({ task: 'animal' } as object),
      });
      const given = data[0]?.embedding as unknown as number[] | string;
      const numbers =
        typeof given === 'string'
          ? new Float32Array(Uint8Array.from(Buffer.from(given, 'base64')).buffer)
          : given;
      expect(Float32Array.from(numbers)).toEqual(vector);
      expect(data).toHaveLength(2);
      expect(usage.prompt_tokens).toBe(task.inputTokens(input) + task.inputTokens('A cat.'));
    }
  });

  it('tell which model there is', async () => {
    const models = await client.models.list();
    expect(models.data).toMatchObject([{ id: 'tiny', object: 'model' }]);
    expect(await client.models.retrieve('tiny')).toMatchObject({ id: 'tiny' });
    await expect(client.models.retrieve('gpt-4o')).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
  });

  it('go on from prompts, under a task or with a model that needs none', async () => {
    const plain = await openTiny(tinyConfig(null));
    const served = await serve(plain);
    const other = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'unused', maxRetries: 0 });
    using task = await plain.plain();
    const texts = (await task.generate([input, 'A cat.'], { maxTokens: 6 })).map(({ text }) => text);
    const { choices } = await other.completions.create({ model, prompt: [input, 'A cat.'], max_tokens: 6 });
    expect(choices.map(({ text }) => text)).toEqual(texts);
    let streamed = '';
    for await (const chunk of await other.completions.create({
      model,
      prompt: input,
      max_tokens: 6,
      stream: true,
    }))
      streamed += chunk.choices[0]?.text ?? '';
    expect(streamed).toBe(texts[0]);
    const under = await client.completions.create({
      model,
      prompt: input,
      max_tokens: 12,
      ...({ task: 'animal' } as object),
    });
    expect(under.choices[0]?.text).toBe(await expected());
    await expect(client.completions.create({ model, prompt: input })).rejects.toMatchObject({
      status: 400,
      code: 'instruction_missing',
    });
  });
});

describe('what is refused', () => {
  const create = (changed: object) =>
    client.chat.completions.create({ model, messages: [...messages], ...changed } as never);

  it.each<[object, string, string]>([
    [{ frequency_penalty: 0.5 }, 'frequency_penalty', 'unsupported_parameter'],
    [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools', 'unsupported_parameter'],
    [{ logit_bias: { 5: 1 } }, 'logit_bias', 'unsupported_parameter'],
    [{ response_format: { type: 'json_object' } }, 'response_format.type', 'unsupported_parameter'],
    [{ temprature: 1 }, 'temprature', 'unknown_parameter'],
    [{ temperature: 3 }, 'temperature', 'invalid_value'],
    [{ max_tokens: 0 }, 'max_tokens', 'invalid_value'],
    [{ n: 1.5 }, 'n', 'invalid_value'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: [{ role: 'assistant', content: 'x' }] }, 'messages.0.role', 'invalid_value'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.role', 'unsupported_parameter'],
  ])('%j is refused by the name %s', async (changed, param, code) => {
    await expect(create(changed)).rejects.toMatchObject({
      status: 400,
      param,
      code,
      type: 'invalid_request_error',
    });
  });

  it('an unknown parameter is told with the one that may be meant', async () => {
    await expect(create({ temprature: 1 })).rejects.toThrow(/did you mean temperature\?/);
  });

  it.each<[string, string, string, RegExp]>([
    [
      'an input',
      'Count.',
      'cat '.repeat(1500),
      /^400 The input has 1501 tokens, the limit of this server is 1024;/,
    ],
    [
      'an input of 100,000 tokens',
      'Count.',
      'cat '.repeat(1e5),
      /^400 The input has 400000 characters, .* 1024 tokens/,
    ],
    ['an instruction', 'cat '.repeat(1500), input, /instruction has \d+ tokens, the limit is 1024/],
    ['an instruction of 100,000 tokens', 'cat '.repeat(1e5), input, /instruction has 400000 characters/],
  ])('%s that is too long is told by how much', async (_, system, user, sentence) => {
    const asked = {
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
    };
    await expect(create(asked)).rejects.toMatchObject({
      status: 400,
      message: expect.stringMatching(sentence) as string,
    });
  });

  it('more examples than may be are refused, before any is looked at', async () => {
    const pair = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    const many = Array.from({ length: 8000 }, () => pair).flat();
    await expect(create({ messages: [messages[0], ...many, messages[1]] })).rejects.toMatchObject({
      status: 400,
      code: 'too_many_examples',
    });
    await expect(
      create({ messages: [messages[0], ...many.slice(0, 128), messages[1]], max_tokens: 1 }),
    ).resolves.toBeDefined();
  });

  it('a model that reads instructions asks for one', async () => {
    await expect(create({ messages: [messages[1]] })).rejects.toMatchObject({
      status: 400,
      code: 'instruction_missing',
    });
    await expect(create({ model: 'gpt-4o' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  });

  it('parameters that ask for nothing are taken', async () => {
    const answer = await create({
      frequency_penalty: 0,
      presence_penalty: null,
      tools: [],
      user: 'me',
      store: false,
      max_tokens: 2,
      response_format: { type: 'text' },
    });
    expect(answer.choices).toHaveLength(1);
  });
});
