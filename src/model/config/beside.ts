import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson } from '../../util/read-file.js';

/** The fields of an object in a JSON file. */
export type Fields = Record<string, unknown>;

/**
 * The object in a file of a model directory; undefined where there is no such file. A file that holds something else has no fields.
 *
 * @throws HintError IO, INVALID_JSON
 */
export async function readBeside(directory: string, name: string): Promise<Fields | undefined> {
  const path = join(directory, name);
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const json = await readJson(path, name);
  return isObject(json) ? json : {};
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
