import { z } from 'zod';
import { recordOf } from '../../util/record-schema.js';
import { share, step } from './fields.js';

const paramDtype = () => z.enum(['f32', 'bf16']);
const paramRounding = () => z.enum(['nearest', 'stochastic']);

export const groupSchema = z.strictObject({
  /** Not trained: no gradients, no optimizer state. */
  frozen: z.boolean().optional(),
  /** Times the learning rate; 0 keeps the weights but still computes gradients and moments. */
  learningRateScale: z.number().min(0).optional(),
  /** As `paramDtype` of the run. */
  paramDtype: paramDtype().optional(),
  /** As `paramRounding` of the run. */
  paramRounding: paramRounding().optional(),
});

export const adafactorGroupSchema = groupSchema.extend({
  /** Global step at which the decay of the group's moments counts from 1 (method §5.4). */
  stepOffset: step().optional(),
  /** As `optimizer.multiplyByParameterScale`. */
  multiplyByParameterScale: z.boolean().optional(),
});

export const adafactorSchema = z.strictObject({
  /** Which optimizer. */
  name: z.literal('adafactor'),
  /** Exponent by which the decay of the second moment nears 1 with the step. */
  decayRate: z.number().positive().max(2).default(0.8),
  /** Root mean square of an update above which it is scaled down. */
  clippingThreshold: z.number().positive().default(1),
  /** Added to squared gradients. */
  epsilon1: z.number().positive().default(1e-30),
  /** Least scale of a parameter, where updates are multiplied with it. */
  epsilon2: z.number().positive().default(1e-3),
  /** Whether updates are multiplied with the root mean square of the parameter. */
  multiplyByParameterScale: z.boolean().default(true),
  /** `single`: one group "all" whose schedule goes on from pretraining, as the original's 3B fine-tuning (method §5.3). */
  grouping: z.enum(['dual', 'single']).default('dual'),
  /** Per parameter group of the system ("hyper", "t5"), what is different there. */
  groups: recordOf(adafactorGroupSchema).default({}),
});

export const adamwSchema = z.strictObject({
  /** Which optimizer. */
  name: z.literal('adamw'),
  /** Decay of the first moment. */
  beta1: share().default(0.9),
  /** Decay of the second moment. */
  beta2: share().default(0.999),
  /** Added to the root of the second moment. */
  epsilon: z.number().positive().default(1e-8),
  /** Share of a weight, times the learning rate, that an update takes from it. */
  weightDecay: z.number().min(0).default(0),
  /** Per parameter group of the system, what is different there. */
  groups: recordOf(groupSchema).default({}),
});

/** How an update follows from gradients: the optimizer, the number types, the step that schedules are counted from. */
export const updatePart = z.strictObject({
  /**
   * Largest Euclidean norm of all gradients together, of the mean loss per target token: longer ones are made as long. By
   * default none is.
   */
  clipNorm: z.number().positive().optional(),
  /** What makes an update of gradients; `name` is `adafactor` where nothing is said. */
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
   * What gradients travel as between ranks that train together: as bf16 they take half the time, and each term, and the sum, is
   * rounded to the nearest. One process rounds nothing.
   */
  gradientDtype: z.enum(['f32', 'bf16']).default('f32'),
  /**
   * Steps the starting checkpoint was trained for; 1,100,000 for an LM-adapted T5 (method §5.4). Default: what its file
   * says, else 0, or 1,100,000 where the data are text.
   */
  firstStep: step().optional(),
});
export type UpdateSettings = z.infer<typeof updatePart>;
