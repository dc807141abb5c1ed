import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Answer } from '../answering/answer.js';
import type { Instruction, Served } from '../answering/served.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { ApiError } from '../http/errors.js';
import { sendEvents, type ServerEvent } from '../http/events.js';
import { allOrNone } from '../../util/abortable.js';
import {
  DECODING,
  decodingOf,
  INSTRUCTION,
  instructionOf,
  OUTPUT,
  outputBody,
  OWN_USAGE,
  TASK_PARAMS,
  usageBody,
} from './schemas.js';

const OF_TASK = z.strictObject({
  inputs: z.union([z.string(), z.array(z.string()).min(1)]).describe('An input, or several.'),
  ...DECODING,
  stream: z.boolean().optional(),
});

const RESPONSE = z.object({ object: z.literal('generation'), outputs: z.array(OUTPUT), usage: OWN_USAGE });

const ONE = z.strictObject({
  task: z.string().optional().describe('Id or name of a task.'),
  instruction: INSTRUCTION.instruction.optional().describe('Instead of a task: what to do.'),
  examples: INSTRUCTION.examples,
  input: z.string(),
  ...DECODING,
});
const MIXED = z.strictObject({ requests: z.array(ONE).min(1) });

/** POST /v1/tasks/{id}/generate and /v1/generate: inputs of one task, and of several. */
export function addGenerate(app: FastifyInstance, served: Served, tasks: TaskRegistry): void {
  app.route<{ Body: z.infer<typeof OF_TASK>; Params: z.infer<typeof TASK_PARAMS> }>({
    method: 'POST',
    url: '/v1/tasks/:id/generate',
    schema: {
      summary: 'Run inputs through a task',
      tags: ['Tasks'],
      params: TASK_PARAMS,
      body: OF_TASK,
      response: { 200: RESPONSE },
    },
    handler: async (request, reply) => {
      const { body, params } = request;
      const inputs = typeof body.inputs === 'string' ? [body.inputs] : body.inputs;
      const { instruction } = tasks.get(params.id);
      const question = { instruction, inputs, n: 1, ...decodingOf(body) };
      const answer = await Answer.begin(served, question, endingOf(request));
      if (body.stream === true) return sendEvents(request, reply, events(answer));
      const outputs = (await answer.all()).map(outputBody);
      return reply.send({ object: 'generation', outputs, usage: usageBody(answer.usage) });
    },
  });

  app.route<{ Body: z.infer<typeof MIXED> }>({
    method: 'POST',
    url: '/v1/generate',
    schema: {
      summary: 'Run inputs of several tasks together',
      tags: ['Tasks'],
      body: MIXED,
      response: { 200: RESPONSE },
    },
    handler: async (request, reply) => {
      const { requests } = request.body;
      if (requests.length > served.limits.answers)
        throw new ApiError(
          400,
          `There are ${requests.length} requests, the limit is ${served.limits.answers}; send fewer at once.`,
          { param: 'requests', code: 'too_many_answers' },
        );
      const questions = requests.map((one, i) => ({
        instruction: instructionFor(one, i, tasks),
        inputs: [one.input],
        n: 1,
        ...decodingOf(one),
      }));
      const usage = { instruction: 0, cached: 0, input: 0, output: 0 };
      const answers = await allOrNone(
        endingOf(request),
        questions.map((question) => async (signal: AbortSignal) => {
          const answer = await Answer.begin(served, question, signal);
          const [one] = await answer.all();
          for (const kind of Object.keys(usage) as (keyof typeof usage)[]) usage[kind] += answer.usage[kind];
          return one;
        }),
      );
      const outputs = answers.flatMap((one, index) => (one ? [outputBody(one, index)] : []));
      return reply.send({ object: 'generation', outputs, usage: usageBody(usage) });
    },
  });
}

function instructionFor(
  one: z.infer<typeof ONE>,
  index: number,
  tasks: TaskRegistry,
): Instruction | undefined {
  const { task, instruction, examples } = one;
  if (task !== undefined && (instruction !== undefined || examples !== undefined))
    throw new ApiError(400, `Request number ${index} has both a task and an instruction; give one of them.`, {
      param: `requests.${index}`,
      code: 'invalid_value',
    });
  if (task !== undefined) return tasks.get(task).instruction;
  if (instruction !== undefined) return instructionOf({ instruction, examples });
  if (examples === undefined) return undefined;
  throw new ApiError(400, `Request number ${index} has examples, but no instruction; give one.`, {
    param: `requests.${index}.instruction`,
    code: 'instruction_missing',
  });
}

async function* events(answer: Answer): AsyncGenerator<ServerEvent, void, undefined> {
  for await (const event of answer.events()) {
    const { input: index, text } = event;
    if (text !== '') yield { data: { object: 'generation.delta', index, text } };
    if (event.type === 'end')
      yield { data: { object: 'generation.output', ...outputBody(event.generation, index) } };
  }
  yield { data: { object: 'generation.end', usage: usageBody(answer.usage) } };
  yield { data: '[DONE]' };
}
