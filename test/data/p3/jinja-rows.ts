import { valueOfJson } from '../../../src/formats/jinja/json.js';
import { Dict, type Value } from '../../../src/formats/jinja/python/values.js';

/** The fields of a row of JSON lines as templates get them. */
export function rowOfJson(text: string): Map<string, Value> {
  const row = valueOfJson(text);
  if (!(row instanceof Dict)) throw new Error(`${text} is no row`);
  return new Map([...row.entries.values()].map(({ key, value }) => [key as string, value]));
}

/** A row of fields that JSON can hold. */
export function rowOf(fields: Readonly<Record<string, unknown>>): Map<string, Value> {
  return rowOfJson(JSON.stringify(fields));
}
