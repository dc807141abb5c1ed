import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Answer } from '../answering/answer.js';
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
  TOKENS,
  unsupported,
  unsupportedList,
} from './parameters.js';
import { addOpenAiRoute } from './route.js';

const ITEM = MESSAGE.extend({
  type: z.literal('message', { error: 'is not supported by this server; give messages only' }).optional(),
  id: z.string().optional().describe('Ignored.'),
  status: z.string().optional().describe('Ignored.'),
});

const SCHEMA_FORMAT = z.strictObject({ type: z.literal('json_schema'), ...NAMED_SCHEMA });

const BODY = z.strictObject({
  model: MODEL,
  instructions: z.string().nullish().describe('What the task is; compiled once.'),
  input: z
    .union([z.string(), z.array(ITEM).min(1)])
    .describe(
      'The input, or messages as in a chat: examples are part of the instruction, the last one is the input.',
    ),
  temperature: SAMPLING.temperature,
  top_p: SAMPLING.top_p,
  max_output_tokens: TOKENS.describe('Most tokens of the answer (default 128).'),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: unsupported(false) }).nullish(),
  ...NOTES,
  metadata: z.looseObject({}).nullish(),
  text: z
    .strictObject({
      format: z
        .discriminatedUnion('type', [TEXT_FORMAT, SCHEMA_FORMAT], { error: FORMATS })
        .nullish()
        .describe('With a JSON schema, the answer is JSON of it.'),
      verbosity: unsupported('medium'),
    })
    .nullish(),
  truncation: unsupported('disabled'),
  store: unsupported(false),
  background: unsupported(false),
  conversation: unsupported(),
  previous_response_id: unsupported(),
  prompt: unsupported(),
  include: unsupportedList(),
  tools: unsupportedList(),
  tool_choice: unsupported('none', 'auto'),
  parallel_tool_calls: unsupported(true, false),
  max_tool_calls: unsupported(),
  reasoning: unsupported(),
  service_tier: unsupported('auto', 'default'),
  top_logprobs: unsupported(0),
});
type Body = z.infer<typeof BODY>;

const STATUS = z.enum(['in_progress', 'completed', 'incomplete']);
const CONTENT = z.object({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(z.never()),
});
const OUTPUT = z.object({
  type: z.literal('message'),
  id: z.string(),
  status: STATUS,
  role: z.literal('assistant'),
  content: z.array(CONTENT),
});
const RESPONSE = z.object({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.int(),
  status: STATUS,
  error: z.null(),
  incomplete_details: z.object({ reason: z.literal('max_output_tokens') }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  model: z.string(),
  output: z.array(OUTPUT),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.null(),
  store: z.boolean(),
  temperature: z.number().nullable(),
  text: z.object({ format: z.union([TEXT_FORMAT, SCHEMA_FORMAT]) }),
  tool_choice: z.literal('none'),
  tools: z.array(z.never()),
  top_p: z.number().nullable(),
  truncation: z.literal('disabled'),
  usage: z
    .object({
      input_tokens: z.int(),
      input_tokens_details: z.object({ cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.object({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
  metadata: z.looseObject({}),
});
type Response = z.infer<typeof RESPONSE>;
type Output = z.infer<typeof OUTPUT>;

/** POST /v1/responses: `instructions` are compiled once, `input` is answered. Nothing is stored. */
export function addResponses(app: FastifyInstance, served: Served): void {
  addOpenAiRoute(app, served, {
    url: '/v1/responses',
    summary: 'Answer an input under instructions, which are compiled once',
    body: BODY,
    response: RESPONSE,
    answer: async (body, request, reply) => {
      const messages =
        typeof body.input === 'string' ? [{ role: 'user' as const, content: body.input }] : body.input;
      const { instruction, input } = questionOf(messages, given(body.instructions));
      const answer = await Answer.begin(
        served,
        {
          instruction,
          inputs: [input],
          n: 1,
          ...samplingOf(body),
          maxTokens: given(body.max_output_tokens),
          constrain:
            body.text?.format?.type === 'json_schema' ? { jsonSchema: body.text.format.schema } : undefined,
        },
        endingOf(request),
      );
      const begun = responseOf(body, served.model);
      if (body.stream === true) return sendEvents(request, reply, numbered(events(begun, answer)));
      const [one] = await answer.all();
      const output = outputOf(
        newId('msg_'),
        one?.text ?? '',
        one?.finished === true ? 'completed' : 'incomplete',
      );
      return reply.send(ended(begun, output, answer));
    },
  });
}

function responseOf(body: Body, model: string): Response {
  return {
    id: newId('resp_'),
    object: 'response',
    created_at: nowInSeconds(),
    status: 'in_progress',
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model,
    output: [],
    parallel_tool_calls: false,
    previous_response_id: null,
    store: false,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: 'none',
    tools: [],
    top_p: body.top_p ?? null,
    truncation: 'disabled',
    usage: null,
    metadata: body.metadata ?? {},
  };
}

function contentOf(text: string): z.infer<typeof CONTENT> {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function outputOf(id: string, text: string, status: Output['status']): Output {
  return { type: 'message', id, status, role: 'assistant', content: [contentOf(text)] };
}

function ended(begun: Response, output: Output, { usage }: Answer): Response {
  const input = usage.instruction + usage.input;
  return {
    ...begun,
    status: output.status,
    incomplete_details: output.status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    output: [output],
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: usage.cached },
      output_tokens: usage.output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + usage.output,
    },
  };
}

interface ResponseEvent {
  type: string;
  [member: string]: unknown;
}

async function* events(begun: Response, answer: Answer): AsyncGenerator<ResponseEvent, void, undefined> {
  const id = newId('msg_');
  const place = { item_id: id, output_index: 0, content_index: 0 };
  let isFirst = true;
  for await (const event of answer.events()) {
    if (isFirst) {
      yield { type: 'response.created', response: begun };
      yield { type: 'response.in_progress', response: begun };
      const item = { ...outputOf(id, '', 'in_progress'), content: [] };
      yield { type: 'response.output_item.added', output_index: 0, item };
      yield { type: 'response.content_part.added', ...place, part: contentOf('') };
      isFirst = false;
    }
    if (event.text !== '')
      yield { type: 'response.output_text.delta', ...place, delta: event.text, logprobs: [] };
    if (event.type !== 'end') continue;
    const { text, finished } = event.generation;
    const item = outputOf(id, text, finished ? 'completed' : 'incomplete');
    yield { type: 'response.output_text.done', ...place, text, logprobs: [] };
    yield { type: 'response.content_part.done', ...place, part: contentOf(text) };
    yield { type: 'response.output_item.done', output_index: 0, item };
    yield { type: `response.${item.status}`, response: ended(begun, item, answer) };
  }
}

async function* numbered(
  events: AsyncGenerator<ResponseEvent, void, undefined>,
): AsyncGenerator<ServerEvent, void, undefined> {
  let number = 0;
  for await (const event of events) yield { name: event.type, data: { ...event, sequence_number: number++ } };
}
