import { list, optional, options, text, where, type Kind } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';

/** What an answer has to be: exactly one of these is given. */
export interface Constraint {
  /** One of these texts. */
  choices?: readonly string[];
  /** A whole match of a regular expression, without look-around and references back. */
  regex?: string;
  /** JSON of this schema, as one line: `", "` between members and `": "` behind names. */
  jsonSchema?: Readonly<Record<string, unknown>>;
}

const MOST_CHOICES = 1000;
const MOST_CHARACTERS = 64 * 1024;
const MOST_PATTERN = 4096;

const schema = where<Readonly<Record<string, unknown>>>(
  'a JSON schema, an object such as { type: "object" }',
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);
const MEMBERS = options<Constraint>(
  { choices: optional(list(text)), regex: optional(text), jsonSchema: optional(schema) },
  'an object such as { choices: ["yes", "no"] }, { regex: "[0-9]+" } or { jsonSchema }',
);
/** A constraint whose parts are what they have to be; {@link sourceOf} says whether it can be one. */
export const CONSTRAINT: Kind<Constraint> = MEMBERS;

/** A constraint as the thread of grammars takes it. */
export type ConstraintSource =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'schema'; readonly json: string };

/** @throws HintError INVALID_ARGUMENT for a constraint that says nothing, several things, or too much */
export function sourceOf({ choices, regex, jsonSchema }: Constraint): ConstraintSource {
  const given = [choices, regex, jsonSchema].filter((one) => one !== undefined).length;
  if (given !== 1) throw refusal(`has ${given} of choices, regex and jsonSchema; give one of them`);
  if (choices) {
    const characters = choices.reduce((total, { length }) => total + length, 0);
    if (choices.length === 0 || choices.length > MOST_CHOICES || characters > MOST_CHARACTERS)
      throw refusal(
        `has ${choices.length} choices of ${characters} characters; give 1 to ${MOST_CHOICES}, of at most ${MOST_CHARACTERS} characters together`,
      );
    if (choices.includes('')) throw refusal('has an empty choice; give texts of at least one character');
    return { kind: 'choices', choices };
  }
  if (regex !== undefined) {
    if (regex === '' || regex.length > MOST_PATTERN)
      throw refusal(`has a regex of ${regex.length} characters; give 1 to ${MOST_PATTERN}`);
    return { kind: 'regex', pattern: regex };
  }
  const json = jsonOf(jsonSchema);
  if (json.length > MOST_CHARACTERS)
    throw refusal(`has a schema of ${json.length} characters, the limit is ${MOST_CHARACTERS}; shorten it`);
  return { kind: 'schema', json };
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw refusal('has a schema that is no JSON, such as one that contains itself; give plain values', cause);
  }
}

function refusal(what: string, cause?: unknown): HintError {
  return new HintError('INVALID_ARGUMENT', `constrain ${what}.`, { cause });
}
