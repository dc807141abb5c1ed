import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { countInputs } from '../answering/lengths.js';
import type { Served } from '../answering/served.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { ApiError } from '../http/errors.js';
import { endingOf } from '../http/ending.js';
import { given, MODEL, NOTES, unsupported } from './parameters.js';
import { addOpenAiRoute } from './route.js';

const BODY = z.strictObject({
  model: MODEL,
  input: z.union([z.string(), z.array(z.string()).min(1)]).describe('A text, or several.'),
  task: z
    .string()
    .nullish()
    .describe('Of this server: the id or name of the task under which inputs are embedded.'),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  ...NOTES,
  dimensions: unsupported(),
});

const RESPONSE = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.int(),
      embedding: z
        .union([z.array(z.number()), z.string()])
        .describe('Numbers, or their little-endian f32 bytes in base64.'),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

/** POST /v1/embeddings: the mean of the encoder's states, under a task where the model needs one. */
export function addEmbeddings(app: FastifyInstance, served: Served, tasks: TaskRegistry): void {
  addOpenAiRoute(app, served, {
    url: '/v1/embeddings',
    summary: 'Embed inputs, under a task where the model needs one',
    body: BODY,
    response: RESPONSE,
    answer: async (body, request, reply) => {
      const inputs = typeof body.input === 'string' ? [body.input] : body.input;
      if (inputs.length > served.limits.answers)
        throw new ApiError(
          400,
          `There are ${inputs.length} inputs, the limit is ${served.limits.answers}; send fewer at once.`,
          { param: 'input', code: 'too_many_answers' },
        );
      const signal = endingOf(request);
      const name = given(body.task);
      const { task, release } = await served.task(
        name === undefined ? undefined : tasks.get(name).instruction,
        signal,
      );
      try {
        const tokens = await countInputs(served, task, inputs);
        served.metrics.addTokens('input', tokens);
        const { inputTokens } = served.limits;
        const vectors = await task.embed(inputs, { signal, maxInputTokens: inputTokens });
        const response: z.infer<typeof RESPONSE> = {
          object: 'list',
          data: vectors.map((vector, index) => ({
            object: 'embedding',
            index,
            embedding: body.encoding_format === 'base64' ? base64(vector) : [...vector],
          })),
          model: served.model,
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        };
        return await reply.send(response);
      } finally {
        release();
      }
    },
  });
}

function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
