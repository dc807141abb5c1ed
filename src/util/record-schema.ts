import { z } from 'zod';

/**
 * An object whose keys a file chooses, as zod's `record`, but with every key: zod drops one that is named `__proto__`.
 * The result has no prototype, so that looking `constructor` up in it finds nothing that the file does not hold.
 */
export function recordOf<T>(value: z.ZodType<T>): z.ZodType<Record<string, T>, Record<string, unknown>> {
  return z
    .custom<Record<string, unknown>>((given) => isPlainObject(given), 'Invalid input: expected record')
    .transform((given, context) => {
      const result = Object.create(null) as Record<string, T>;
      for (const [key, one] of Object.entries(given)) {
        const parsed = value.safeParse(one);
        if (parsed.success) result[key] = parsed.data;
        else
          for (const { message, path } of parsed.error.issues)
            context.addIssue({ code: 'custom', message, path: [key, ...path] });
      }
      return result;
    });
}

/** Whether a value is what JSON calls an object. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
