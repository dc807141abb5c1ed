import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { BACKWARD_PLANS, type BackwardPlan } from '../../model/memory/backward-plan.js';
import { MODEL_SIZES } from '../../model/config/sizes.js';
import { parseBytes } from '../../util/bytes.js';
import { checked, list, path as pathKind, text as textKind } from '../../util/arguments.js';
import { parseSafely, valueAt } from '../../util/parse-safely.js';
import { checkLevels, readJson } from '../../util/read-file.js';
import { showValue } from '../../util/show-value.js';
import { shown } from '../../util/shown.js';
import { SYSTEMS } from '../../systems/index.js';
import { SCHEDULES } from './schedules.js';
import { dataKeys, dataSchema } from './data-config.js';
import { nearest } from '../../util/nearest.js';
import { applyOverrides } from './overrides.js';
import { recordOf } from '../../util/record-schema.js';
import { validationOf, validationSchema, withValidationDefaults } from './validation-config.js';

const count = (min: number, max = 2 ** 31 - 1) => z.int().min(min).max(max);
const rate = () => z.number().min(0).lt(1);
const step = () =>
  z
    .int()
    .min(0)
    .max(2 ** 40);
const text = () =>
  z
    .string()
    .min(1)
    .refine((value) => !value.includes('\0'), { error: 'must not hold NUL' });

const hintOptionsSchema = z.strictObject({
  generator: z.enum(['cross_attention', 'decoder', 'hypter', 'embedding', 'static']).optional(),
  adapterSize: count(0).optional(),
  adapterBias: z.boolean().optional(),
  prefixLength: count(0).optional(),
  /** A number: that rank for queries and values, as in the paper. */
  loraRanks: z
    .union(
      [
        count(0).transform((rank) => ({ q: rank, k: 0, v: rank, o: 0 })),
        z.strictObject({ q: count(0), k: count(0), v: count(0), o: count(0) }),
      ],
      { error: 'must be a rank for queries and values, or {"q": 0, "k": 0, "v": 0, "o": 0} with ranks' },
    )
    .optional(),
  instructionFusion: z.boolean().optional(),
  tieHyperencoder: z.boolean().optional(),
  instructionPaddingMask: z.boolean().optional(),
  generatorLayerNorm: z.boolean().optional(),
  perLayerGenerators: z.boolean().optional(),
  embeddingSlots: count(0).optional(),
  prefixActivation: z.enum(['gelu', 'tanh']).optional(),
});

const modelSchema = z.strictObject({
  /**
   * A model directory to start from; to start from nothing, `{"size": "base"}` for a published size or
   * `{"config": {...}}` with the fields of a T5 config.json.
   */
  init: z.union(
    [
      text(),
      z.strictObject({ size: z.enum(MODEL_SIZES) }),
      z.strictObject({ config: recordOf(z.unknown()) }),
    ],
    {
      error: `must be a model directory, {"size": ...} with one of ${MODEL_SIZES.join(', ')}, or {"config": {...}} with the fields of a T5 config.json`,
    },
  ),
  /** Folder or file of the tokenizer.json; the default is the one in the directory of `init`. */
  tokenizer: text().optional(),
  /** What the hypernetwork has differently from its system's. */
  hint: hintOptionsSchema.prefault({}),
  /** How a separate hyperencoder (and decoder generator) starts: as a copy of T5's (the default) or random. */
  hyperencoderInit: z.enum(['pretrained', 'random']).optional(),
});

const paramDtype = () => z.enum(['f32', 'bf16']);
const paramRounding = () => z.enum(['nearest', 'stochastic']);

const groupSchema = z.strictObject({
  /** Not trained: no gradients, no optimizer state. */
  frozen: z.boolean().optional(),
  /** Times the learning rate; 0 keeps the weights but still computes gradients and moments. */
  learningRateScale: z.number().min(0).optional(),
  paramDtype: paramDtype().optional(),
  paramRounding: paramRounding().optional(),
});

const adafactorGroupSchema = groupSchema.extend({
  stepOffset: step().optional(),
  multiplyByParameterScale: z.boolean().optional(),
});

const adafactorSchema = z.strictObject({
  name: z.literal('adafactor'),
  decayRate: z.number().positive().max(2).default(0.8),
  clippingThreshold: z.number().positive().default(1),
  epsilon1: z.number().positive().default(1e-30),
  epsilon2: z.number().positive().default(1e-3),
  multiplyByParameterScale: z.boolean().default(true),
  /** `single`: one group "all" whose schedule goes on from pretraining, as the original's 3B fine-tuning (method §5.3). */
  grouping: z.enum(['dual', 'single']).default('dual'),
  /** Per parameter group of the system ("hyper", "t5"), what is different there. */
  groups: recordOf(adafactorGroupSchema).default({}),
});

const adamwSchema = z.strictObject({
  name: z.literal('adamw'),
  beta1: rate().default(0.9),
  beta2: rate().default(0.999),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0),
  groups: recordOf(groupSchema).default({}),
});

const configSchema = z.strictObject({
  system: text().default('hint'),
  model: modelSchema,
  data: dataSchema,
  /** The run directory. */
  output: text(),
  /** Updates; with 0 the run only writes its starting model. */
  steps: count(0).default(1000),
  /** Passes over the training examples, in place of `steps`, which is then what they come to. */
  epochs: z.number().positive().max(1e6).optional(),
  batchSize: count(1).default(1024),
  /** Tokens per microbatch; bounds memory, changes results only in rounding and dropout masks. */
  tokenBudget: count(1).default(16384),
  learningRate: z.number().positive().default(1e-3),
  schedule: z.enum(SCHEDULES).default('constant'),
  /** Updates over which the rate rises to `learningRate`. */
  warmupSteps: count(0).default(0),
  /** The same in passes over the training examples, in place of `warmupSteps`. */
  warmupEpochs: z.number().min(0).max(1e6).optional(),
  /**
   * Largest Euclidean norm of all gradients together, of the mean loss per target token: longer ones are made as long. By
   * default none is.
   */
  clipNorm: z.number().positive().optional(),
  optimizer: z.discriminatedUnion('name', [adafactorSchema, adamwSchema]).prefault({ name: 'adafactor' }),
  /**
   * What weights are kept in between updates, which are computed in f32 (method §5.6): the original keeps those it
   * restores as bf16.
   */
  paramDtype: paramDtype().default('f32'),
  /**
   * How updated weights become bf16: to the nearest, as in the original, which loses updates smaller than half a step; or
   * up or down by chance, which keeps them in the mean.
   */
  paramRounding: paramRounding().default('nearest'),
  /**
   * What is computed in: with bf16 activations and the matrices they are multiplied with are stored as bf16, matrices
   * whose weights are f32 as copies made once an update. Gradients of weights, the residual stream, norms, softmax and
   * losses stay f32.
   */
  computeDtype: z.enum(['f32', 'bf16']).default('f32'),
  /**
   * Steps the starting checkpoint was trained for; 1,100,000 for an LM-adapted T5 (method §5.4). Default: what its file
   * says, else 0, or 1,100,000 where the data are text.
   */
  firstStep: step().optional(),
  dropout: rate().default(0.1),
  generatorDropout: rate().default(0),
  zLoss: z.number().min(0).default(1e-4),
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  /**
   * What runs again in the backward pass instead of being kept for it: nothing (`none` or false), generated `modules`,
   * `layers` (or true), or `both`; `auto`: as little as `memoryBudget` allows.
   */
  recompute: z
    .union(
      [
        z.boolean().transform((layers): BackwardPlan => (layers ? 'layers' : 'none')),
        z.enum(['auto', ...BACKWARD_PLANS]),
      ],
      {
        error: 'must be auto, none (false), modules, layers (true) or both',
      },
    )
    .default('auto'),
  /**
   * Bytes that tensors may take, a number or text such as "80GiB". Default: nine tenths of a GPU's memory, or four fifths
   * of the machine's; given, it is also a limit that is kept.
   */
  memoryBudget: z
    .union([count(1, Number.MAX_SAFE_INTEGER), z.string()])
    .transform((given) => (typeof given === 'number' ? given : parseBytes(given)))
    .refine((bytes) => bytes !== undefined, {
      error: 'must be a number of bytes, such as 8000000000 or "80GiB"',
    })
    .optional(),
  /** Steps between checkpoints. */
  saveEvery: count(1).default(100),
  /** Checkpoints kept; older ones are deleted. */
  keepCheckpoints: count(1).default(2),
  /** How the run is validated while it trains; by default it is not. */
  validation: validationSchema.optional(),
  /** Steps between lines of metrics.jsonl. */
  logEvery: count(1).default(1),
  /** Whether the lines of metrics.jsonl are written as an event file for TensorBoard as well, in tensorboard/. */
  tensorboard: z.boolean().optional(),
  /** Where to compute: cpu, cuda or cuda:N. */
  device: z
    .string()
    .regex(/^(cpu|cuda(:\d+)?)$/, { error: 'must be cpu, cuda or cuda:N' })
    .default('cpu'),
  /** Compute threads; 0: every core. */
  threads: count(0, 4096).default(0),
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
    return issue.keys
      .slice(0, MOST_KEYS)
      .map((key) => {
        const like = nearest(key, known);
        const name = shown(key.slice(0, 100));
        const where = path === '' ? name : `${path}.${name}`;
        return `${where} is unknown; ${like ? `did you mean ${like}? ` : ''}the keys are ${known.join(', ')}`;
      })
      .join('; ');
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
