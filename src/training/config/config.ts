import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { checked, list, path as pathKind, text as textKind } from '../../util/arguments.js';
import { parseSafely, valueAt } from '../../util/parse-safely.js';
import { checkLevels, readJson } from '../../util/read-file.js';
import { showValue } from '../../util/show-value.js';
import { shown } from '../../util/shown.js';
import { SYSTEMS } from '../../systems/index.js';
import { dataKeys, dataPart } from './data-config.js';
import { text } from './fields.js';
import { hintOptionsSchema, modelPart, modelSchema } from './model-config.js';
import {
  batchPart,
  checkpointPart,
  devicePart,
  lengthPart,
  logPart,
  lossPart,
  memoryPart,
  ratePart,
  seedPart,
} from './parts.js';
import {
  adafactorGroupSchema,
  adafactorSchema,
  adamwSchema,
  groupSchema,
  updatePart,
} from './update-config.js';
import { nearest } from '../../util/nearest.js';
import { applyOverrides } from './overrides.js';
import {
  validationOf,
  validationPart,
  validationSchema,
  withValidationDefaults,
} from './validation-config.js';

/** All settings of a run, which docs/configuration.md lists. */
export const configSchema = z.strictObject({
  ...modelPart.shape,
  ...dataPart.shape,
  /** The run's folder. */
  output: text(),
  ...lengthPart.shape,
  ...batchPart.shape,
  ...ratePart.shape,
  ...updatePart.shape,
  ...lossPart.shape,
  ...seedPart.shape,
  ...memoryPart.shape,
  ...checkpointPart.shape,
  ...validationPart.shape,
  ...logPart.shape,
  ...devicePart.shape,
});

const OVERRIDES = list(textKind, 'a list of assignments such as ["steps=10"]');

/** One training run, as its JSON file states it, defaults filled in. */
export type TrainingConfig = z.infer<typeof configSchema>;

/** What a JSON file needs to say. */
export type TrainingConfigInput = z.input<typeof configSchema>;

/**
 * Checks a parsed training configuration and fills in the paper's settings for what it leaves out.
 *
 * @param source names the file in errors
 * @throws HintError INVALID_CONFIG naming every field at fault, its value and what it may be; for an unknown key, the
 *   known one most like it
 */
export function parseTrainingConfig(json: unknown, source = 'The training configuration'): TrainingConfig {
  checked(textKind, source, 'source');
  const prepared = z.preprocess((given) => {
    checkLevels(given, source, 'INVALID_CONFIG');
    return withValidationDefaults(withOptimizerName(withSystemDefaults(given)));
  }, configSchema);
  const { data, faults: found } = parseSafely(prepared, json, source);
  if (!found) {
    validationOf(data);
    return data;
  }
  const faults = found.map((issue) => describeIssue(issue, json));
  throw new HintError('INVALID_CONFIG', `${source} cannot be used: ${faults.join('; ')}.`);
}

/**
 * Reads a training configuration from its JSON file.
 *
 * @param overrides assignments such as `batchSize=32` or `model.init.size=base`; the value is read as JSON and, where it is none, taken as text
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_ARGUMENT, INVALID_CONFIG
 */
export async function readTrainingConfig(
  file: string,
  overrides: readonly string[] = [],
): Promise<TrainingConfig> {
  checked(pathKind, file, 'file');
  checked(OVERRIDES, overrides, 'overrides');
  const json = await readJson(file, 'the training configuration');
  return parseTrainingConfig(applyOverrides(json, overrides), file);
}

/** What a system of another family than T5 is trained with, under what the run says. */
function withSystemDefaults(json: unknown): unknown {
  if (!isObject(json)) return json;
  const defaults = SYSTEMS.find(({ name }) => name === json['system'])?.training;
  if (!defaults) return json;
  const [own, theirs] = [json['optimizer'], defaults['optimizer']];
  // Settings of another optimizer are none of this one's.
  const isOther = isObject(own) && isObject(theirs) && 'name' in own && own['name'] !== theirs['name'];
  const optimizer = isObject(own) && isObject(theirs) && !isOther ? { ...theirs, ...own } : (own ?? theirs);
  return { ...defaults, ...json, optimizer };
}

/** Settings of the default optimizer need not name it. */
function withOptimizerName(json: unknown): unknown {
  if (!isObject(json) || !isObject(json['optimizer']) || 'name' in json['optimizer']) return json;
  return { ...json, optimizer: { name: 'adafactor', ...json['optimizer'] } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a run cannot do without, and how it is given: a part in the file, or an option of the command line. */
const GIVEN_BY: Readonly<Record<string, string>> = {
  model: 'set model.init (--init DIRECTORY, or --size NAME for a new model)',
  data: 'set data.directory (--data DIRECTORY)',
  'data.directory': 'set data.directory (--data DIRECTORY)',
  output: 'set output (--output DIRECTORY)',
};

// Unknown keys that a message names.
const MOST_KEYS = 20;

function describeIssue(issue: z.core.$ZodIssue, json: unknown): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path, json);
    const named = issue.keys.slice(0, MOST_KEYS).map((key) => {
      const like = nearest(key, known);
      const name = shown(key.slice(0, 100));
      return `${path === '' ? name : `${path}.${name}`} is unknown; ${like ? `did you mean ${like}? ` : ''}`;
    });
    // Once, however many are unknown.
    return `${named.join('')}the keys are ${known.join(', ')}`;
  }
  const value = valueAt(json, issue.path);
  if (path === '') return `it ${issue.message}`;
  if (value === undefined)
    return `${path} is missing; ${Object.hasOwn(GIVEN_BY, path) ? GIVEN_BY[path] : `set ${path}`}`;
  return `${path} is ${showValue(value)}: ${issue.message}`;
}

/** The keys that the object at a path may have. */
function keysAt(path: readonly PropertyKey[], json: unknown): string[] {
  const shapes: Record<string, object> = {
    '': configSchema.shape,
    model: modelSchema.shape,
    'model.hint': hintOptionsSchema.shape,
    'model.hint.loraRanks': { q: 0, k: 0, v: 0, o: 0 },
    data: dataKeys(isObject(json) ? json['data'] : undefined),
    validation: validationSchema.shape,
    'validation.data': dataKeys(valueAt(json, ['validation', 'data'])),
    optimizer: usesAdamW(json) ? adamwSchema.shape : adafactorSchema.shape,
  };
  const group = usesAdamW(json) ? groupSchema : adafactorGroupSchema;
  return Object.keys(shapes[path.join('.')] ?? group.shape);
}

function usesAdamW(json: unknown): boolean {
  return isObject(json) && isObject(json['optimizer']) && json['optimizer']['name'] === 'adamw';
}
