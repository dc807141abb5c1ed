import type { Command } from 'commander';
import type { Constraint } from '../../inference/constrain/constraint.js';
import { HintError } from '../../util/errors.js';
import { readJson } from '../../util/read-file.js';
import { isPlainObject } from '../../util/record-schema.js';
import { collect } from './options.js';

/** Options of commands whose answers can be held to something. */
export interface ConstraintFlags {
  choices: string[];
  regex?: string;
  jsonSchema?: string;
}

/** Adds --choices, --regex and --json-schema. */
export function addConstraintFlags(command: Command): Command {
  return command
    .option('--choices <text>', 'hold outputs to this text or another of --choices, repeatable', collect, [])
    .option('--regex <pattern>', 'hold outputs to matches of a regular expression')
    .option('--json-schema <file>', 'hold outputs to JSON of the schema in a file');
}

/** What the flags ask for, as an option of the library. @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_FILE */
export async function constraintOf(
  { choices, regex, jsonSchema }: ConstraintFlags,
  signal: AbortSignal,
): Promise<Constraint | undefined> {
  const schema =
    jsonSchema === undefined ? undefined : await readJson(jsonSchema, 'the schema (--json-schema)', signal);
  if (schema !== undefined && !isPlainObject(schema))
    throw new HintError('INVALID_FILE', `${jsonSchema} holds no JSON schema, which is an object.`);
  const constraint = {
    ...(choices.length > 0 ? { choices } : {}),
    ...(regex === undefined ? {} : { regex }),
    ...(schema === undefined ? {} : { jsonSchema: schema }),
  };
  return Object.keys(constraint).length > 0 ? constraint : undefined;
}
