import { z } from 'zod';
import { schemaSentence } from './schema-sentences.js';

/**
 * An object with any keys, as zod's `record`, but with every key: zod drops a key named `__proto__`. Checking ends at
 * the first wrong value. The result has no prototype, so that looking `constructor` up in it finds nothing that the
 * file does not hold.
 */
export function recordOf<Value extends z.ZodType>(
  value: Value,
): z.ZodType<Record<string, z.output<Value>>, Record<string, z.input<Value>>> {
  return z
    .custom<Record<string, z.input<Value>>>((given) => isPlainObject(given), 'must be an object')
    .transform((given, context) => {
      const result = Object.create(null) as Record<string, z.output<Value>>;
      for (const [key, one] of Object.entries(given)) {
        const parsed = value.safeParse(one, { error: schemaSentence });
        if (parsed.success) result[key] = parsed.data;
        else {
          // Only the first fault is described, because there may be millions.
          for (const issue of parsed.error.issues)
            context.issues.push({ ...issue, path: [key, ...issue.path], input: one } as z.core.$ZodRawIssue);
          return z.NEVER;
        }
      }
      return result;
    });
}

/** Whether a value is an object in the sense of JSON. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
