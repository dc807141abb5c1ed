import { HintError } from '../errors.js';

type JsonObject = Record<string, unknown>;

/**
 * Applies `--set` arguments to a parsed JSON object: `a.b=3` sets field b of object a. The value is read as JSON and,
 * where it is none, taken as text; objects on the way are made. The argument is not changed.
 *
 * @throws HintError INVALID_ARGUMENT for an assignment without a key, or a path through something that is no object
 */
export function applyOverrides(json: unknown, assignments: readonly string[]): unknown {
  const result = structuredClone(json);
  for (const assignment of assignments) {
    const [, path, text] = /^([^=]+)=(.*)$/s.exec(assignment) ?? [];
    const keys = path?.trim().split('.') ?? [];
    if (text === undefined || keys.some((key) => key === '' || key === '__proto__')) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `Cannot set ${JSON.stringify(assignment)}; write key=value, with dots between nested keys, such as data.positives=2.`,
      );
    }
    const last = keys.pop() as string;
    const owner = keys.reduce(
      (object, key, depth) => {
        const inner = Object.hasOwn(object, key) ? object[key] : (object[key] = {});
        return asObject(inner, assignment, keys.slice(0, depth + 1).join('.'));
      },
      asObject(result, assignment, 'the configuration'),
    );
    owner[last] = parseValue(text);
  }
  return result;
}

/**
 * Puts settings over others: objects are merged field by field, everything else is replaced. What is no object is
 * left for the configuration's own check to refuse.
 */
export function mergeSettings(under: unknown, over: unknown): unknown {
  if (!isPlainObject(under) || !isPlainObject(over)) return structuredClone(over);
  const merged = new Map(Object.entries(structuredClone(under)));
  for (const [key, value] of Object.entries(over))
    merged.set(key, merged.has(key) ? mergeSettings(merged.get(key), value) : structuredClone(value));
  return Object.fromEntries(merged);
}

function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown, assignment: string, path: string): JsonObject {
  if (isPlainObject(value)) return value;
  throw new HintError(
    'INVALID_ARGUMENT',
    `Cannot set ${JSON.stringify(assignment)}: ${path} is ${JSON.stringify(value)}, not an object with fields.`,
  );
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
