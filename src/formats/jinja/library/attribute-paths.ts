import { itemOf } from '../python/attributes.js';
import { charactersOf, isDigit, withAsciiDigits } from '../python/characters.js';
import { isText, List, textOf, Undefined, type Runtime, type Value } from '../python/values.js';

/** Reads a value's part. */
export type Getter = (value: Value) => Value;

/** Text in lower case; anything else as it is. */
export function withoutCase(value: Value): Value {
  return isText(value) ? textOf(value).toLowerCase() : value;
}

function stepsOf(path: Value): Value[] {
  if (path === null) return [];
  if (!isText(path)) return [path];
  return textOf(path)
    .split('.')
    .map((part) => (part !== '' && charactersOf(part).every(isDigit) ? BigInt(withAsciiDigits(part)) : part));
}

/**
 * What a path such as `address.city` or `0.name` reads.
 *
 * @param otherwise for what is not there; null: none
 */
export function attributeGetter(
  path: Value,
  runtime: Runtime,
  { after, otherwise = null }: { after?: Getter | undefined; otherwise?: Value } = {},
): Getter {
  // prettier-ignore
  const steps = stepsOf(path);
  return (value) => {
    let found = value;
    for (const step of steps) {
      found = itemOf(found, step, runtime);
      if (otherwise !== null && found instanceof Undefined) found = otherwise;
    }
    return after ? after(found) : found;
  };
}

/** What several paths with commas between them read, as a list. */
export function attributesGetter(paths: Value, runtime: Runtime, after?: Getter): Getter {
  const all = isText(paths) ? textOf(paths).split(',') : [paths];
  const getters = all.map((path) => attributeGetter(path, runtime, { after }));
  return (value) => new List(getters.map((get) => get(value)));
}
