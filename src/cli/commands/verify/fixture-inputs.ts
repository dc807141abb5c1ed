import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../../../util/errors.js';
import { check, listOf } from '../../../util/check.js';
import { readJson } from '../../../util/read-file.js';

const ids = listOf(
  z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
);

// Most tokens of one sequence; fixtures have a few dozen.
const MOST_TOKENS = 1 << 14;

const modelInputs = z.object({
  examples: listOf(z.object({ instruction: ids, input: ids, target: ids.optional() })).refine(
    (examples) => examples.length > 0,
    { error: 'must have at least one example' },
  ),
  instruction_length: z.int().min(0).max(MOST_TOKENS).default(0),
  z_loss: z.number().default(0),
  max_tokens: z.int().min(1).max(MOST_TOKENS).optional(),
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
  return readJson(path, 'the fixture');
}

/** @throws HintError INVALID_DATA naming the file and the first wrong field */
export function validate<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const { data, faults } = check(schema, value);
  if (!faults) return data;
  const [issue] = faults;
  throw new HintError(
    'INVALID_DATA',
    `${path}: ${issue.path.join('.') || 'the file'} ${issue.message}; see the fixture's README.`,
  );
}
