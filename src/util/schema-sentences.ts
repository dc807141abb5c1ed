import type { z } from 'zod';

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
  nan: 'a number',
};

const UNITS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
};

/**
 * The requirement that a value violates, as a clause after its name and value: `must be at least 1`.
 *
 * @returns undefined when the schema has a sentence of its own
 */
export function schemaSentence(fault: z.core.$ZodRawIssue): string | undefined {
  switch (fault.code) {
    case 'invalid_type':
      if (fault.input === undefined) return 'is missing';
      return `must be ${KINDS[fault.expected] ?? fault.expected}`;
    case 'invalid_value':
      return `must be ${oneOf(fault.values.map((value) => (typeof value === 'string' ? JSON.stringify(value) : String(value))))}`;
    case 'too_small':
      return bound(fault.origin, fault.inclusive ? 'at least' : 'above', fault.minimum);
    case 'too_big':
      return bound(fault.origin, fault.inclusive ? 'at most' : 'below', fault.maximum);
    case 'not_multiple_of':
      return `must be a multiple of ${fault.divisor}`;
    case 'invalid_format':
      return fault.pattern === undefined ? undefined : `must have the form ${fault.pattern}`;
    case 'unrecognized_keys':
      return `has keys that are not known: ${fault.keys.slice(0, 20).join(', ')}`;
    case 'invalid_union':
      return forms(fault.errors);
    default:
      return undefined;
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  const unit = UNITS[origin];
  if (unit === undefined) return `must be ${relation} ${limit}`;
  return `must have ${relation} ${limit} ${unit[Number(limit) === 1 ? 0 : 1]}`;
}

function oneOf(values: readonly string[]): string {
  if (values.length < 2) return values.join('');
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

/**
 * The faults of a union: those inside the value when one form fits its type, otherwise the requirement of each form.
 */
function forms(errors: readonly (readonly z.core.$ZodIssue[])[]): string {
  const first = errors.flatMap(([issue]) => (issue ? [issue] : []));
  const inside = first.filter(({ path }) => path.length > 0);
  if (inside.length === 1 && inside[0]) return `its ${inside[0].path.join('.')} ${inside[0].message}`;
  const asked = [...new Set(first.filter(({ path }) => path.length === 0).map(({ message }) => message))];
  if (asked.length === 0) return 'has a form that is not known';
  const must = 'must be ';
  return asked.every((one) => one.startsWith(must))
    ? `${must}${oneOf(asked.map((one) => one.slice(must.length)))}`
    : oneOf(asked);
}
