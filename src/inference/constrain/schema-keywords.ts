/** What the library passes over without a word; an answer would not be held to it. */
const PASSED_OVER: ReadonlySet<string> = new Set([
  ...['not', 'if', 'then', 'else', 'dependentRequired', 'dependentSchemas', 'dependencies'],
  ...['multipleOf', 'uniqueItems', 'contains', 'minContains', 'maxContains'],
]);
/** Keywords whose value is a schema or a list of schemas, and those whose value has a schema for each of its names. */
const SCHEMAS: ReadonlySet<string> = new Set([
  ...['items', 'prefixItems', 'additionalItems', 'unevaluatedItems'],
  ...['additionalProperties', 'unevaluatedProperties', 'propertyNames', 'anyOf', 'oneOf', 'allOf'],
]);
const NAMED_SCHEMAS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
]);

/** The first keyword of a schema that would not be followed; other names, as those of properties, and values are none. */
export function passedOver(schema: unknown): string | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  if (Array.isArray(schema)) return firstOf(schema);
  for (const [keyword, value] of Object.entries(schema) as [string, unknown][]) {
    const asksForNothing = keyword === 'uniqueItems' && value === false;
    if (PASSED_OVER.has(keyword) && !asksForNothing) return keyword;
    if (SCHEMAS.has(keyword)) {
      const inside = passedOver(value);
      if (inside !== undefined) return inside;
    }
    if (NAMED_SCHEMAS.has(keyword) && typeof value === 'object' && value !== null) {
      const inside = firstOf(Object.values(value));
      if (inside !== undefined) return inside;
    }
  }
  return undefined;
}

function firstOf(schemas: readonly unknown[]): string | undefined {
  for (const schema of schemas) {
    const keyword = passedOver(schema);
    if (keyword !== undefined) return keyword;
  }
  return undefined;
}
