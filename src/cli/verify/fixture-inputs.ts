import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../../errors.js';
import { parseJson, readBytes } from '../../util/read-file.js';

const ids = z.array(z.int().min(0));

const modelInputs = z.object({
  examples: z.array(z.object({ instruction: ids, input: ids, target: ids.optional() })).min(1),
  instruction_length: z.int().min(0).default(0),
  z_loss: z.number().default(0),
  max_tokens: z.int().min(1).optional(),
});

/** inputs.json of a model or greedy fixture. */
export type FixtureInputs = z.infer<typeof modelInputs>;

/** @throws HintError NOT_FOUND, INVALID_JSON, INVALID_DATA */
export async function readFixtureInputs(directory: string): Promise<FixtureInputs> {
  return validate(
    modelInputs,
    await readFixtureJson(directory, 'inputs.json'),
    join(directory, 'inputs.json'),
  );
}

export async function readFixtureJson(directory: string, name: string): Promise<unknown> {
  const path = join(directory, name);
  return parseJson((await readBytes(path, 'fixture file')).toString('utf8'), path, 'fixture file');
}

/** @throws HintError INVALID_DATA naming the file and the first wrong field */
export function validate<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new HintError(
    'INVALID_DATA',
    `${path}: ${issue?.path.join('.') || 'the file'} ${issue?.message ?? 'is wrong'}; see the fixture's README.`,
  );
}
