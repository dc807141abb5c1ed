import { z } from 'zod';

/**
 * A parameter of OpenAI's API that does nothing here. It may be given where it asks for nothing: null, or one of these
 * values.
 */
export function unsupported(...neutral: readonly (string | number | boolean)[]): z.ZodType {
  const allowed = neutral.map((value) => JSON.stringify(value)).join(', ');
  const message = `is not supported by this server${allowed === '' ? '' : ` (only ${allowed})`}; leave it out`;
  return z
    .literal([null, ...neutral], { error: message })
    .optional()
    .describe(`Not supported${allowed === '' ? '' : `, except as ${allowed}`}.`);
}

/** {@link unsupported} for a list, which may be empty. */
export function unsupportedList(): z.ZodType {
  return z
    .array(z.never(), { error: 'is not supported by this server; leave it out' })
    .max(0, 'is not supported by this server; leave it out')
    .nullish()
    .describe('Not supported, except as an empty list.');
}

/** {@link unsupported} for an object, which may be empty. */
export function unsupportedObject(): z.ZodType {
  return z
    .looseObject({}, { error: 'is not supported by this server; leave it out' })
    .refine((value) => Object.keys(value).length === 0, 'is not supported by this server; leave it out')
    .nullish()
    .describe('Not supported, except as an empty object.');
}

/** What every request may say of how its tokens are chosen. */
export const SAMPLING = {
  temperature: z
    .number()
    .min(0)
    .max(2)
    .nullish()
    .describe('Tokens are drawn at this temperature; greedy where neither it nor top_p is given.'),
  top_p: z.number().min(0).max(1).nullish().describe('Draw from the fewest tokens of this probability.'),
  seed: z
    .int()
    .nullish()
    .describe('Equal requests with one seed get equal answers; drawn at random where absent.'),
};

/** How tokens are chosen, from the members of {@link SAMPLING}. */
export function samplingOf(body: {
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  seed?: number | null | undefined;
}): { temperature: number | undefined; topP: number | undefined; seed: number | undefined } {
  const { temperature, top_p: topP, seed } = body;
  return { temperature: given(temperature), topP: given(topP), seed: given(seed) };
}

export const MODEL = z.string().describe('Name of the model, as GET /v1/models tells it.');

/** One text, or up to four, before which an answer ends. */
export const STOP = z
  .union([z.string().min(1), z.array(z.string().min(1)).max(4)])
  .nullish()
  .describe('An answer ends before the first of these texts.');

/** Accepted and ignored: notes that clients make for themselves. */
export const NOTES = {
  user: z.string().nullish().describe('Ignored.'),
  safety_identifier: z.string().nullish().describe('Ignored.'),
  prompt_cache_key: z.string().nullish().describe('Ignored: instructions are found by their content.'),
};

export const TOKENS = z.int().min(1).nullish();

export function stopsOf(stop: string | readonly string[] | null | undefined): readonly string[] {
  return typeof stop === 'string' ? [stop] : (stop ?? []);
}

/** Null counts as left out. */
export function given<T>(value: T | null | undefined): T | undefined {
  return value ?? undefined;
}
