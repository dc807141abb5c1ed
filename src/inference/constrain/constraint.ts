import { list, optional, options, text, where, type Kind } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { passedOver } from './schema-keywords.js';

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
/** Deeper ones would exhaust the stack of the library that reads them, which it does not notice. */
const MOST_GROUPS = 48;
const MOST_LEVELS = 40;

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
    if (groupsOf(regex) > MOST_GROUPS)
      throw refusal(
        `has a regex whose groups are nested deeper than ${MOST_GROUPS} levels, the limit; write it flatter`,
      );
    return { kind: 'regex', pattern: regex };
  }
  const json = jsonOf(jsonSchema);
  if (json.length > MOST_CHARACTERS)
    throw refusal(`has a schema of ${json.length} characters, the limit is ${MOST_CHARACTERS}; shorten it`);
  const plain: unknown = JSON.parse(json);
  checkSchemaLevels(plain);
  const keyword = passedOver(plain);
  if (keyword !== undefined)
    throw refusal(
      `has a schema with ${JSON.stringify(keyword)}, which is not followed; leave it out and check the answer for it`,
    );
  return { kind: 'schema', json };
}

/** How deeply groups of a regular expression are nested. */
function groupsOf(regex: string): number {
  let level = 0;
  let most = 0;
  // Signs that are escaped, or in a class, open no group.
  for (const [sign] of regex.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|[()]/gs)) {
    if (sign === '(') level++;
    else if (sign === ')') level--;
    most = Math.max(most, level);
  }
  return most;
}

/**
 * Refuses a schema that is nested too deeply, where what a reference leads to lies below it. One that leads to where it is
 * itself adds nothing: the library reads every place once.
 */
function checkSchemaLevels(schema: unknown): void {
  const known = new Map<object, number>();
  const levelsBelow = (value: unknown, level: number): number => {
    if (typeof value !== 'object' || value === null) return 0;
    let below = known.get(value);
    if (below === undefined && level <= MOST_LEVELS) {
      known.set(value, 0);
      below = 1;
      for (const [key, part] of Object.entries(value) as [string, unknown][]) {
        const inside = key === '$ref' && typeof part === 'string' ? placeOf(schema, part) : part;
        below = Math.max(below, 1 + levelsBelow(inside, level + 1));
      }
      known.set(value, below);
    }
    if (below === undefined || level + below > MOST_LEVELS)
      throw refusal(
        `has a schema that is nested deeper than ${MOST_LEVELS} levels, the limit, with what its references lead to; write it flatter`,
      );
    return below;
  };
  levelsBelow(schema, 0);
}

/** What a reference leads to; undefined for one of another document, or to nothing. */
function placeOf(schema: unknown, reference: string): unknown {
  const [start, ...names] = reference.split('/');
  if (start !== '#') return undefined;
  return names.reduce<unknown>(
    (place, name) =>
      typeof place === 'object' && place !== null && Object.hasOwn(place, name)
        ? (place as Record<string, unknown>)[name]
        : undefined,
    schema,
  );
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
