import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { checkCharacters, countInputs } from '../answering/lengths.js';
import type { Served } from '../answering/served.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { ApiError } from '../http/errors.js';
import { TASK_PARAMS } from './schemas.js';

const BODY = z.strictObject({
  inputs: z.union([z.string(), z.array(z.string()).min(1)]).describe('An input, or several.'),
  choices: z.array(z.string().min(1)).min(2).describe('The answers that every input chooses from.'),
  length_normalised: z
    .boolean()
    .optional()
    .describe('Mean instead of sum of the log-probabilities over the tokens of a choice.'),
});

const RESPONSE = z.object({
  object: z.literal('ranking'),
  results: z.array(
    z.object({
      index: z.int(),
      best: z.string(),
      scores: z.array(z.number()).describe('Log-probability of each choice, in their order.'),
    }),
  ),
});

/** POST /v1/tasks/{id}/rank: which of some answers is most probable. */
export function addRank(app: FastifyInstance, served: Served, tasks: TaskRegistry): void {
  app.route<{ Body: z.infer<typeof BODY>; Params: z.infer<typeof TASK_PARAMS> }>({
    method: 'POST',
    url: '/v1/tasks/:id/rank',
    schema: {
      summary: 'Rank answers by their probability under a task',
      tags: ['Tasks'],
      params: TASK_PARAMS,
      body: BODY,
      response: { 200: RESPONSE },
    },
    handler: async (request, reply) => {
      const { body, params } = request;
      const { choices } = body;
      const inputs = typeof body.inputs === 'string' ? [body.inputs] : body.inputs;
      const { answers, inputTokens } = served.limits;
      if (inputs.length * choices.length > answers)
        throw new ApiError(
          400,
          `This asks for ${inputs.length * choices.length} scores, the limit is ${answers}; ask for fewer at once.`,
          { code: 'too_many_answers' },
        );
      const signal = endingOf(request);
      const { task, release } = await served.task(tasks.get(params.id).instruction, signal);
      try {
        served.metrics.addTokens('input', await countInputs(served, task, inputs));
        checkChoices(served, choices);
        const scored = await task.scoreChoices(inputs, choices, {
          lengthNormalised: body.length_normalised === true,
          maxInputTokens: inputTokens,
          signal,
        });
        const results = scored.map(({ best, scores }, index) => ({
          index,
          best: choices[best] as string,
          scores,
        }));
        const response: z.infer<typeof RESPONSE> = { object: 'ranking', results };
        return await reply.send(response);
      } finally {
        release();
      }
    },
  });
}

function checkChoices({ engine, limits }: Served, choices: readonly string[]): void {
  for (const [i, choice] of choices.entries()) {
    checkCharacters(`Choice number ${i}`, choice.length, limits.inputTokens);
    const tokens = engine.tokenizer?.tokenLength(choice) ?? 0;
    if (tokens <= limits.inputTokens) continue;
    throw new ApiError(
      400,
      `Choice number ${i} has ${tokens} tokens, the limit is ${limits.inputTokens}; shorten it.`,
      { param: `choices.${i}`, code: 'context_length_exceeded' },
    );
  }
}
