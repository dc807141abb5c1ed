import { z } from 'zod';

/** Why another format of answers is refused. */
export const FORMATS = 'is not supported by this server (only "text" and "json_schema"); leave it out';

/** An answer as it comes. */
export const TEXT_FORMAT = z.strictObject({ type: z.literal('text') });

/** A JSON schema as OpenAI's API names it. It is always followed to the letter. */
export const NAMED_SCHEMA = {
  name: z.string().min(1),
  description: z.string().nullish().describe('Ignored.'),
  schema: z.looseObject({}),
  strict: z.boolean().nullish().describe('Ignored: an answer is always of the schema.'),
};
