import { expect, it } from 'vitest';
import { z } from 'zod';
import { check, listOf } from '../../src/util/check.js';
import { recordOf } from '../../src/util/record-schema.js';

const schema = z.strictObject({
  a: z.int().min(1).max(9).optional(),
  b: z.enum(['x', 'y', 'z']).optional(),
  c: z.union([z.string(), z.array(z.boolean()).max(2)]).optional(),
  d: z.array(z.string()).min(1).optional(),
  e: z
    .string()
    .regex(/^[a-f]+$/)
    .optional(),
  f: z.number().multipleOf(4).positive().optional(),
  g: listOf(z.string()).optional(),
  h: recordOf(z.number()).optional(),
  i: z.object({ j: z.null() }).optional(),
});

it.each([
  [null, '', 'must be an object'],
  [{ a: 1.5 }, 'a', 'must be a whole number'],
  [{ a: 0 }, 'a', 'must be at least 1'],
  [{ a: 10 }, 'a', 'must be at most 9'],
  [{ a: '1' }, 'a', 'must be a number'],
  [{ b: 'w' }, 'b', 'must be "x", "y" or "z"'],
  [{ c: 1 }, 'c', 'must be a text or a list'],
  [{ c: [1] }, 'c', 'its 0 must be true or false'],
  [{ c: [true, true, true] }, 'c', 'must be a text or must have at most 2 entries'],
  [{ d: [] }, 'd', 'must have at least 1 entry'],
  [{ e: 'g' }, 'e', 'must have the form /^[a-f]+$/'],
  [{ f: 3 }, 'f', 'must be a multiple of 4'],
  [{ f: 0 }, 'f', 'must be above 0'],
  [{ g: ['', 1] }, 'g.1', 'must be a text'],
  [{ h: { k: [] } }, 'h.k', 'must be a number'],
  [{ h: [] }, 'h', 'must be an object'],
  [{ i: { j: 1 } }, 'i.j', 'must be null'],
  [{ i: {} }, 'i.j', 'is missing'],
  [{ k: 1, l: 2 }, '', 'has keys that are not known: k, l'],
])('a value that a schema refuses is told what it must be: %j', (value, path, sentence) => {
  const { faults } = check(schema, value);
  expect(faults?.map((fault) => [fault.path.join('.'), fault.message])).toEqual([[path, sentence]]);
});
