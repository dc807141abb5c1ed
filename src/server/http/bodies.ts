import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';
import { check } from '../../util/check.js';
import { HintError } from '../../util/errors.js';
import { nearest } from '../../util/nearest.js';
import { decodeText, parseJson } from '../../util/read-file.js';
import { ApiError } from './errors.js';

/** Reads JSON bodies strictly: other parsers pass over bytes that are not UTF-8. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, jsonOf(body as Buffer));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
}

function jsonOf(body: Buffer): unknown {
  if (body.length === 0) throw new ApiError(400, 'The body is empty; send a JSON object.');
  try {
    const text = decodeText(body, 'The body');
    const value = parseJson(text, 'The body', 'it');
    if (!LARGE.test(text) || isFinite(value)) return value;
  } catch (error) {
    if (!(error instanceof HintError)) throw error;
    // Of the sentence only what is wrong: its next step is that of files.
    const [wrong = error.message] = error.message.split(/; (?:convert|it may be|split|no file)/);
    const next = wrong.includes('nested deeper') ? 'write it flatter' : 'send JSON in UTF-8';
    throw new ApiError(400, `${wrong}; ${next}.`, { code: 'invalid_json' });
  }
  throw new ApiError(
    400,
    `The body has a number beyond ${Number.MAX_VALUE}, the largest that is read; send a smaller one.`,
    { code: 'invalid_json' },
  );
}

/** What a text with a number that is read as infinite has in it. */
const LARGE = /\d[eE]\+?0*[1-9]\d{2}|\d{309}/;

/** Whether a value can be sent on as JSON, which has no infinite numbers: null would take their place. */
function isFinite(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isFinite);
}

/** Checks what requests bring against zod schemas, from which the OpenAPI document is made too. */
export const validate: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (value: unknown) => {
    const { data, faults } = check(schema, value);
    if (!faults) return { value: data };
    const fault = innermost(faults[0]);
    return { error: refusalOf(fault, schema) };
  };

/** A fault inside one form of a union by its own path, which names the parameter. */
function innermost(fault: z.core.$ZodIssue): z.core.$ZodIssue {
  if (fault.code !== 'invalid_union') return fault;
  const [inside, ...others] = fault.errors.flatMap(([one]) => (one && one.path.length > 0 ? [one] : []));
  if (!inside || others.length > 0) return fault;
  return innermost({ ...inside, path: [...fault.path, ...inside.path] });
}

function refusalOf(fault: z.core.$ZodIssue, schema: z.ZodType): ApiError {
  const path = fault.path.map(String);
  if (fault.code === 'unrecognized_keys') {
    const [key = ''] = fault.keys;
    const known = path.length === 0 ? Object.keys((schema as z.ZodObject).shape ?? {}) : [];
    const like = nearest(key, known);
    const param = [...path, key].join('.');
    return new ApiError(
      400,
      `The parameter ${param} is unknown here; ${like === undefined ? 'leave it out' : `did you mean ${like}?`}.`.replace(
        '?.',
        '?',
      ),
      { param, code: 'unknown_parameter' },
    );
  }
  if (path.length === 0) return new ApiError(400, `The body ${fault.message}.`, { code: 'invalid_value' });
  const param = path.join('.');
  const unsupported = fault.message.startsWith('is not supported');
  return new ApiError(400, `The parameter ${param} ${fault.message}.`, {
    param,
    code: unsupported ? 'unsupported_parameter' : 'invalid_value',
  });
}
