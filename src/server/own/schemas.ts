import { z } from 'zod';
import { finishReason, type Usage } from '../answering/answer.js';
import type { Constraint } from '../../inference/constrain/constraint.js';
import type { CachedTask } from '../../inference/serving/task-cache.js';
import type { Instruction, Served } from '../answering/served.js';
import type { RegisteredTask } from '../answering/task-registry.js';
import type { GeneratedText } from '../../inference/task/task.js';

/** An example of a task, as the instruction shows it. */
const EXAMPLE = z.strictObject({ input: z.string(), output: z.string() });

/** What says what to do. */
export const INSTRUCTION = {
  instruction: z.string().min(1).describe('What to do, in natural language.'),
  examples: z.array(EXAMPLE).optional().describe('Examples that belong to the instruction.'),
};

const TASK_NAME = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,63}$/, {
    error: 'must be a name of up to 64 letters, digits and -_., which begins with a letter or digit',
  })
  .refine((name) => !name.startsWith('task-'), { error: 'must not begin with "task-", as ids do' });

/** What a task is registered by. */
export const TASK_BODY = z.strictObject({
  ...INSTRUCTION,
  name: TASK_NAME.optional().describe('A name to call it by, beside its id and the names it has.'),
});

/** What a task file is registered by, beside the file. */
export const TASK_FILE_QUERY = z.strictObject({ name: TASK_NAME.optional() });

/** How tokens are chosen. */
export const DECODING = {
  temperature: z.number().min(0).optional().describe('Greedy where neither it, top_p nor top_k is given.'),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().min(1).optional(),
  seed: z.int().optional(),
  max_tokens: z.int().min(1).optional().describe('Most tokens of an output (default 128).'),
  stop: z.array(z.string().min(1)).max(16).optional(),
  choices: z.array(z.string().min(1)).min(1).optional().describe('An output is one of these texts.'),
  regex: z.string().min(1).optional().describe('An output is a whole match of this regular expression.'),
  json_schema: z.looseObject({}).optional().describe('An output is JSON of this schema, on one line.'),
};
type DecodingBody = z.infer<z.ZodObject<typeof DECODING>>;

/** A task by its id or name. */
export const TASK_PARAMS = z.strictObject({ id: z.string() });

/** What the cache has of a task. */
export const CACHED = {
  tier: z.enum(['full', 'encoded', 'file', 'arriving']),
  bytes: z.int(),
  hits: z.int().describe('How often it was there when it was asked for.'),
  since: z.int().describe('When it came into the cache, in seconds since 1970.'),
};
const CACHE = z.object(CACHED);

export const TASK = z.object({
  id: z.string().describe('Made of the instruction: the same on every server.'),
  object: z.literal('task'),
  name: z.string().nullable().describe('The first of its names.'),
  names: z.array(z.string()),
  created: z.int(),
  instruction: z.string(),
  examples: z.array(EXAMPLE),
  instruction_tokens: z
    .int()
    .describe('Read once; 0 where the model reads the instruction with every input.'),
  unknown_tokens: z
    .int()
    .describe(
      'Tokens of the instruction for pieces that the vocabulary lacks, which the model cannot tell apart.',
    ),
  training: z
    .object({ examples: z.int(), steps: z.int() })
    .nullable()
    .describe('Of a task that was trained on examples after it was compiled; it stays on the device.'),
  cache: CACHE.nullable().describe(
    'What is kept of it on the device; null where the next use compiles it, and of a trained task.',
  ),
  compile_milliseconds: z
    .number()
    .optional()
    .describe(
      'What reading the instruction took, waiting for a turn included; only where this request read it.',
    ),
});

export const OUTPUT = z.object({
  index: z.int(),
  text: z.string(),
  finish_reason: z.enum(['stop', 'length']),
});

export const OWN_USAGE = z.object({
  instruction_tokens: z.int(),
  cached_instruction_tokens: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
});

export function instructionOf(body: {
  instruction: string;
  examples?: readonly z.infer<typeof EXAMPLE>[] | undefined;
}): Instruction {
  return { definition: body.instruction, examples: body.examples ?? [] };
}

export function decodingOf(body: DecodingBody): {
  temperature: number | undefined;
  topP: number | undefined;
  topK: number | undefined;
  seed: number | undefined;
  maxTokens: number | undefined;
  stop: readonly string[] | undefined;
  constrain: Constraint | undefined;
} {
  const { temperature, top_p: topP, top_k: topK, seed, max_tokens: maxTokens, stop } = body;
  const { choices, regex, json_schema: jsonSchema } = body;
  const isConstrained = (choices ?? regex ?? jsonSchema) !== undefined;
  const constrain = isConstrained
    ? {
        ...(choices ? { choices } : {}),
        ...(regex === undefined ? {} : { regex }),
        ...(jsonSchema ? { jsonSchema } : {}),
      }
    : undefined;
  return { temperature, topP, topK, seed, maxTokens, stop, constrain };
}

/** A task, with what the cache has of it now. */
export function taskBody(
  served: Served,
  { id, names, created, instruction, instructionTokens, unknownTokens, training }: RegisteredTask,
): z.infer<typeof TASK> {
  const cached = instruction.trained ? undefined : served.engine.tasks.find(served.requestOf(instruction));
  return {
    id,
    object: 'task',
    name: names[0] ?? null,
    names: [...names],
    created,
    instruction: instruction.definition,
    examples: instruction.examples.map(({ input, output }) => ({ input, output })),
    instruction_tokens: instructionTokens,
    unknown_tokens: unknownTokens,
    training: training ? { examples: training.examples, steps: training.steps } : null,
    cache: cached ? cacheBody(cached) : null,
  };
}

export function cacheBody({ tier, bytes, hits, since }: CachedTask): z.infer<typeof CACHE> {
  return { tier, bytes, hits, since: Math.floor(since / 1000) };
}

export function outputBody(generation: GeneratedText, index: number): z.infer<typeof OUTPUT> {
  return { index, text: generation.text, finish_reason: finishReason(generation) };
}

export function usageBody({ instruction, cached, input, output }: Usage): z.infer<typeof OWN_USAGE> {
  return {
    instruction_tokens: instruction,
    cached_instruction_tokens: cached,
    input_tokens: input,
    output_tokens: output,
  };
}
