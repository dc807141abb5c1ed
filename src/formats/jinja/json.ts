import { Dict, List, PythonError, putText, type Value } from './python/values.js';

const TOKEN = /[[\]{},:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s[\]{},:"]+/y;
// Python reads no longer number.
const MOST_DIGITS = 4300;
const SPACE = /\s*/y;

/**
 * The value of a JSON text as Python reads it: 1.0 is a float and 1 an int, whole numbers are whole however large, and of two
 * entries of one name the last counts.
 *
 * @param text valid JSON
 * @throws PythonError ValueError for a whole number of more than 4,300 digits, as in Python
 */
export function valueOfJson(text: string): Value {
  // Containers that are open, with the key that is read next in a dict.
  const open: { container: List | Dict; key: string | undefined }[] = [];
  let result: Value = null;
  const add = (value: Value): void => {
    const around = open.at(-1);
    if (!around) result = value;
    else if (around.container instanceof List) around.container.items.push(value);
    else if (around.key === undefined) around.key = value as string;
    else {
      putText(around.container, around.key, value);
      around.key = undefined;
    }
  };
  for (const token of tokensOf(text)) {
    if (token === '[' || token === '{') {
      const container = token === '[' ? new List([]) : new Dict();
      add(container);
      open.push({ container, key: undefined });
    } else if (token === ']' || token === '}') open.pop();
    else if (token !== ',' && token !== ':') add(scalarOf(token));
  }
  return result;
}

/** A copy of what {@link valueOfJson} gives, with lists and dicts of its own. */
export function copyOf(value: Value): Value {
  if (value instanceof List) return new List(value.items.map(copyOf));
  if (!(value instanceof Dict)) return value;
  const copy = new Dict();
  for (const [hash, entry] of value.entries)
    copy.entries.set(hash, { key: entry.key, value: copyOf(entry.value) });
  return copy;
}

function* tokensOf(text: string): Generator<string> {
  for (let at = 0; ;) {
    SPACE.lastIndex = at;
    at += SPACE.exec(text)?.[0].length ?? 0;
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) return;
    at += token.length;
    yield token;
  }
}

function scalarOf(token: string): Value {
  if (token.startsWith('"')) return JSON.parse(token) as string;
  if (token === 'true' || token === 'false') return token === 'true';
  if (token === 'null') return null;
  if (!/^-?\d+$/.test(token)) return Number(token);
  if (token.length > MOST_DIGITS + 1)
    throw new PythonError(
      'ValueError',
      `Exceeds the limit (${MOST_DIGITS} digits) for integer string conversion`,
    );
  return BigInt(token);
}
