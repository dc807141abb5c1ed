import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Answer, finishReason } from '../answering/answer.js';
import type { Served } from '../answering/served.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { sendEvents, type ServerEvent } from '../http/events.js';
import { newId, nowInSeconds } from './identity.js';
import {
  given,
  MODEL,
  NOTES,
  SAMPLING,
  samplingOf,
  STOP,
  stopsOf,
  TOKENS,
  unsupported,
  unsupportedObject,
} from './parameters.js';
import { addOpenAiRoute } from './route.js';
import { USAGE, usageOf } from './usage.js';

const BODY = z.strictObject({
  model: MODEL,
  prompt: z
    .union([z.string(), z.array(z.string()).min(1)])
    .describe('An input, or several. Token ids are not taken.'),
  task: z
    .string()
    .nullish()
    .describe('Of this server: the id or name of a task, under which the model answers.'),
  ...SAMPLING,
  n: z.int().min(1).nullish().describe('Answers per input.'),
  stop: STOP,
  max_tokens: TOKENS.describe('Most tokens of an answer (default 128).'),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: unsupported(false) })
    .nullish(),
  ...NOTES,
  best_of: unsupported(1),
  echo: unsupported(false),
  frequency_penalty: unsupported(0),
  presence_penalty: unsupported(0),
  logit_bias: unsupportedObject(),
  logprobs: unsupported(),
  suffix: unsupported(),
});

const RESPONSE = z.object({
  id: z.string(),
  object: z.literal('text_completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.int(),
      text: z.string(),
      logprobs: z.null(),
      finish_reason: z.enum(['stop', 'length']),
    }),
  ),
  usage: USAGE,
});

/** POST /v1/completions: the model by itself, or under a task of this server. */
export function addCompletions(app: FastifyInstance, served: Served, tasks: TaskRegistry): void {
  addOpenAiRoute(app, served, {
    url: '/v1/completions',
    summary: 'Go on from inputs, with the model by itself or under a task',
    body: BODY,
    response: RESPONSE,
    answer: async (body, request, reply) => {
      const task = given(body.task);
      const answer = await Answer.begin(
        served,
        {
          instruction: task === undefined ? undefined : tasks.get(task).instruction,
          inputs: typeof body.prompt === 'string' ? [body.prompt] : body.prompt,
          n: body.n ?? 1,
          ...samplingOf(body),
          maxTokens: given(body.max_tokens),
          stop: stopsOf(body.stop),
        },
        endingOf(request),
      );
      const head = {
        id: newId('cmpl-'),
        object: 'text_completion' as const,
        created: nowInSeconds(),
        model: served.model,
      };
      if (body.stream === true)
        return sendEvents(request, reply, chunks(answer, head, body.stream_options?.include_usage === true));
      const answers = await answer.all();
      const response: z.infer<typeof RESPONSE> = {
        ...head,
        choices: answers.map((one, index) => ({
          index,
          text: one.text,
          logprobs: null,
          finish_reason: finishReason(one),
        })),
        usage: usageOf(answer.usage),
      };
      return reply.send(response);
    },
  });
}

async function* chunks(
  answer: Answer,
  head: object,
  wantsUsage: boolean,
): AsyncGenerator<ServerEvent, void, undefined> {
  const none = wantsUsage ? { usage: null } : {};
  for await (const event of answer.events()) {
    const { input: index, text } = event;
    const finish = event.type === 'end' ? finishReason(event.generation) : null;
    if (text === '' && finish === null) continue;
    yield { data: { ...head, choices: [{ index, text, logprobs: null, finish_reason: finish }], ...none } };
  }
  if (wantsUsage) yield { data: { ...head, choices: [], usage: usageOf(answer.usage) } };
  yield { data: '[DONE]' };
}
