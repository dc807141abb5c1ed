import type { z } from 'zod';
import { HintError, type HintErrorCode } from './errors.js';
import { check, type Checked } from './check.js';
import { shown } from './shown.js';

/**
 * Checks a value against a schema; the value may be any that JavaScript has, not only what JSON files hold.
 *
 * @param source names the value in errors
 * @throws HintError `code` where looking at the value throws: a getter, a proxy
 */
export function parseSafely<T>(
  schema: z.ZodType<T>,
  value: unknown,
  source: string,
  code: HintErrorCode = 'INVALID_CONFIG',
): Checked<T> {
  try {
    return check(schema, value);
  } catch (cause) {
    if (cause instanceof HintError) throw cause;
    const reason = cause instanceof Error ? cause.message : 'a getter threw';
    throw new HintError(
      code,
      `${source} cannot be read (${shown(reason.slice(0, 200))}); give plain values.`,
      { cause },
    );
  }
}

/** The member of a value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
}
