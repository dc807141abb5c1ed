import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { checkLevels } from '../../util/read-file.js';

type JsonObject = Record<string, unknown>;

/**
 * Applies `--set` arguments to a parsed JSON object: `a.b=3` sets field b of object a. The value is read as JSON and,
 * where it is none, taken as text; objects on the way are made. The argument is not changed.
 *
 * @throws HintError INVALID_ARGUMENT for an assignment without a key, or a path through something that is no object
 */
export function applyOverrides(json: unknown, assignments: readonly string[]): unknown {
  checkLevels(json, 'The configuration', 'INVALID_CONFIG');
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
    checkLevels(owner[last], `The value of --set ${path}`, 'INVALID_CONFIG');
  }
  return result;
}

/**
 * Puts settings over others: objects are merged field by field, everything else is replaced. What is no object is
 * left for the configuration's own check to refuse.
 */
export function mergeSettings(under: unknown, over: unknown): unknown {
  for (const settings of [under, over]) checkLevels(settings, 'The configuration', 'INVALID_CONFIG');
  return merged(under, over);
}

function merged(under: unknown, over: unknown): unknown {
  if (!isPlainObject(under) || !isPlainObject(over)) return structuredClone(over);
  const result = new Map(Object.entries(structuredClone(under)));
  for (const [key, value] of Object.entries(over))
    result.set(key, result.has(key) ? merged(result.get(key), value) : structuredClone(value));
  return Object.fromEntries(result);
}

function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown, assignment: string, path: string): JsonObject {
  if (isPlainObject(value)) return value;
  throw new HintError(
    'INVALID_ARGUMENT',
    `Cannot set ${JSON.stringify(assignment)}: ${path} is ${showValue(value)}, not an object with fields.`,
  );
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
