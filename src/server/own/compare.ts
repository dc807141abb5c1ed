import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Engine } from '../../inference/engine.js';
import type { GeneratedText, Task } from '../../inference/task/task.js';
import { checkInstruction, countInputs } from '../answering/lengths.js';
import type { Instruction, Served } from '../answering/served.js';
import { Turns } from '../../util/turns.js';
import { endingOf } from '../http/ending.js';
import { ApiError } from '../http/errors.js';
import { INSTRUCTION, instructionOf } from './schemas.js';

/** Most tokens of an answer that is timed: enough to see the difference, and soon over. */
const MOST_TOKENS = 128;
/** A timing is the median of so many runs, or of as many as fit into this time. */
const RUNS = 3;
const MOST_MILLISECONDS = 4000;

const BODY = z.strictObject({
  ...INSTRUCTION,
  input: z.string(),
  max_tokens: z
    .int()
    .min(1)
    .max(MOST_TOKENS)
    .optional()
    .describe(`Most tokens of the answer (default 16, at most ${MOST_TOKENS}).`),
});

const SIDE = z.object({
  text: z.string(),
  read_tokens: z.int().describe('Read for this input, where that is so with the instruction.'),
  output_tokens: z.int(),
  milliseconds: z.number().describe('From the input to the whole answer, the median of up to three.'),
  flops: z.number().describe('Of the matrix products for this input, two per multiply-add.'),
});
const RESPONSE = z.object({
  object: z.literal('comparison'),
  compiled: SIDE.extend({
    instruction_tokens: z.int().describe('Read once for all inputs.'),
    compile_flops: z.number().describe('Spent once for all inputs.'),
  }),
  plain: SIDE.describe(
    'The same model without its hypernetwork. It was not trained so: its text tells nothing.',
  ),
});
type Side = z.infer<typeof SIDE>;

/** POST /v1/compare: an input under a compiled instruction, and by the plain T5 that reads the instruction with it. */
export function addCompare(app: FastifyInstance, served: Served): void {
  // Two at once would time each other.
  const turns = new Turns(1);
  app.route<{ Body: z.infer<typeof BODY> }>({
    method: 'POST',
    url: '/v1/compare',
    schema: {
      summary: 'Time an input beside the plain T5 that reads the instruction every time',
      tags: ['Tasks'],
      body: BODY,
      response: { 200: RESPONSE },
    },
    handler: async (request, reply) => {
      const { input, max_tokens: maxTokens = 16, ...rest } = request.body;
      const instruction = instructionOf(rest);
      checkInstruction(served, instruction);
      const twin = served.engine.plainTwin();
      if (!twin)
        throw new ApiError(
          400,
          'The model has no hypernetwork: it reads the instruction with every input itself, and there is nothing to compare it with.',
          { code: 'nothing_to_compare' },
        );
      const signal = endingOf(request);
      const response = await turns.run(signal, () =>
        compare(served, twin, { instruction, input, maxTokens }, signal),
      );
      return reply.send(response);
    },
  });
}

interface Compared {
  instruction: Instruction;
  input: string;
  maxTokens: number;
}

async function compare(
  served: Served,
  twin: Engine,
  { instruction, input, maxTokens }: Compared,
  signal: AbortSignal,
): Promise<z.infer<typeof RESPONSE>> {
  const { task, release } = await served.task(instruction, signal);
  try {
    const inputTokens = await countInputs(served, task, [input]);
    const own = await timed(served, task, input, maxTokens, signal);
    // The twin's budget is for instruction and input together, with the words that its format adds.
    using plain = await twin.compile({
      ...served.requestOf(instruction),
      maxInstructionTokens: 2 * (served.limits.instructionTokens + served.limits.inputTokens),
      signal,
    });
    // As many tokens as the other, so that what differs is what is read.
    const other = await timed(served, plain, input, Math.max(1, own.side.output_tokens), signal);
    return {
      object: 'comparison',
      compiled: {
        ...own.side,
        read_tokens: inputTokens,
        instruction_tokens: task.instructionTokens,
        compile_flops: own.compileFlops,
      },
      plain: other.side,
    };
  } finally {
    release();
  }
}

async function timed(
  { limits }: Served,
  task: Task,
  input: string,
  maxTokens: number,
  signal: AbortSignal,
): Promise<{ side: Side; compileFlops: number }> {
  const options = { maxTokens, signal, maxInputTokens: limits.inputTokens };
  // Once unmeasured: the first run of a shape makes what later ones find.
  await task.generate(input, options);
  const began = performance.now();
  const times: number[] = [];
  let answer: GeneratedText | undefined;
  while (times.length === 0 || (times.length < RUNS && performance.now() - began < MOST_MILLISECONDS)) {
    const start = performance.now();
    [answer] = await task.generate(input, options);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const { text = '', tokens = new Int32Array(0) } = answer ?? {};
  const { compile, input: flops } = task.flops(input, Math.max(1, tokens.length));
  const side = {
    text,
    read_tokens: task.inputTokens(input),
    output_tokens: tokens.length,
    milliseconds: times[times.length >> 1] as number,
    flops,
  };
  return { side, compileFlops: compile };
}
