import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { GeneratedText } from '../../inference/task/task.js';
import { Answer, finishReason } from '../answering/answer.js';
import type { Served } from '../answering/served.js';
import { endingOf } from '../http/ending.js';
import { sendEvents, type ServerEvent } from '../http/events.js';
import { FORMATS, NAMED_SCHEMA, TEXT_FORMAT } from './formats.js';
import { newId, nowInSeconds } from './identity.js';
import { MESSAGE, questionOf } from './messages.js';
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
  unsupportedList,
  unsupportedObject,
} from './parameters.js';
import { addOpenAiRoute } from './route.js';
import { USAGE, usageOf } from './usage.js';

const BODY = z.strictObject({
  model: MODEL,
  messages: z
    .array(MESSAGE)
    .min(1)
    .describe(
      'System messages say what the task is, pairs of user and assistant are its examples: together the instruction, which is compiled once. The last user message is the input.',
    ),
  ...SAMPLING,
  n: z.int().min(1).nullish().describe('Answers to the input.'),
  stop: STOP,
  max_tokens: TOKENS.describe('Most tokens of an answer (default 128).'),
  max_completion_tokens: TOKENS.describe('The same as max_tokens.'),
  logprobs: z.boolean().nullish().describe('Also give the log-probability of every token.'),
  top_logprobs: unsupported(0),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: unsupported(false) })
    .nullish(),
  response_format: z
    .discriminatedUnion(
      'type',
      [
        TEXT_FORMAT,
        z.strictObject({ type: z.literal('json_schema'), json_schema: z.strictObject(NAMED_SCHEMA) }),
      ],
      { error: FORMATS },
    )
    .nullish()
    .describe('With a JSON schema, an answer is JSON of it.'),
  ...NOTES,
  metadata: z.looseObject({}).nullish().describe('Ignored.'),
  store: unsupported(false),
  frequency_penalty: unsupported(0),
  presence_penalty: unsupported(0),
  logit_bias: unsupportedObject(),
  tools: unsupportedList(),
  tool_choice: unsupported('none', 'auto'),
  parallel_tool_calls: unsupported(true, false),
  functions: unsupportedList(),
  function_call: unsupported('none', 'auto'),
  modalities: z
    .array(z.literal('text', { error: 'is not supported by this server (only "text"); leave it out' }))
    .nullish(),
  audio: unsupported(),
  prediction: unsupported(),
  reasoning_effort: unsupported('none'),
  verbosity: unsupported('medium'),
  service_tier: unsupported('auto', 'default'),
  web_search_options: unsupported(),
});

const LOG_PROBS = z
  .object({
    content: z.array(
      z.object({
        token: z.string(),
        logprob: z.number(),
        bytes: z.array(z.int()),
        top_logprobs: z.array(z.never()),
      }),
    ),
    refusal: z.null(),
  })
  .nullable();
type LogProbs = z.infer<typeof LOG_PROBS>;

const RESPONSE = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
      logprobs: LOG_PROBS,
      finish_reason: z.enum(['stop', 'length']),
    }),
  ),
  usage: USAGE,
});

/** POST /v1/chat/completions: the system message is the instruction, the last user message the input. */
export function addChat(app: FastifyInstance, served: Served): void {
  addOpenAiRoute(app, served, {
    url: '/v1/chat/completions',
    summary: 'Answer a chat: what its system messages and examples say is compiled once',
    body: BODY,
    response: RESPONSE,
    answer: async (body, request, reply) => {
      const { instruction, input } = questionOf(body.messages);
      const answer = await Answer.begin(
        served,
        {
          instruction,
          inputs: [input],
          n: body.n ?? 1,
          ...samplingOf(body),
          maxTokens: given(body.max_completion_tokens ?? body.max_tokens),
          stop: stopsOf(body.stop),
          logProbs: body.logprobs === true,
          constrain:
            body.response_format?.type === 'json_schema'
              ? { jsonSchema: body.response_format.json_schema.schema }
              : undefined,
        },
        endingOf(request),
      );
      const head = { id: newId('chatcmpl-'), created: nowInSeconds(), model: served.model };
      if (body.stream === true) {
        const wantsUsage = body.stream_options?.include_usage === true;
        return sendEvents(request, reply, chunks(answer, head, served.engine.tokenizer, wantsUsage));
      }
      const answers = await answer.all();
      const response: z.infer<typeof RESPONSE> = {
        ...head,
        object: 'chat.completion',
        choices: answers.map((one, index) => ({
          index,
          message: { role: 'assistant', content: one.text, refusal: null },
          logprobs: logProbsOf(served.engine.tokenizer, one),
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
  tokenizer: Tokenizer | undefined,
  wantsUsage: boolean,
): AsyncGenerator<ServerEvent, void, undefined> {
  const chunk = (index: number, delta: object, finish: string | null, logprobs: LogProbs): ServerEvent => ({
    data: {
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs, finish_reason: finish }],
      // With usage, every chunk has the field; it is told in the last one.
      ...(wantsUsage ? { usage: null } : {}),
    },
  });
  const begun = new Set<number>();
  for await (const event of answer.events()) {
    const { input: index, text } = event;
    if (!begun.has(index)) yield chunk(index, { role: 'assistant', content: '', refusal: null }, null, null);
    begun.add(index);
    const logprobs =
      event.type === 'token' && event.logProb !== undefined
        ? logProbsOf(tokenizer, {
            tokens: Int32Array.of(event.token),
            logProbs: Float32Array.of(event.logProb),
          })
        : null;
    if (text !== '' || logprobs) yield chunk(index, { content: text }, null, logprobs);
    if (event.type === 'end') yield chunk(index, {}, finishReason(event.generation), null);
  }
  if (wantsUsage)
    yield { data: { ...head, object: 'chat.completion.chunk', choices: [], usage: usageOf(answer.usage) } };
  yield { data: '[DONE]' };
}

function logProbsOf(
  tokenizer: Tokenizer | undefined,
  { tokens, logProbs }: Pick<GeneratedText, 'tokens' | 'logProbs'>,
): LogProbs {
  if (!logProbs) return null;
  const content = Array.from(tokens, (id, i) => {
    const token = tokenizer?.decode([id], { skipSpecialTokens: false }) ?? '';
    return { token, logprob: logProbs[i] as number, bytes: [...Buffer.from(token)], top_logprobs: [] };
  });
  return { content, refusal: null };
}
