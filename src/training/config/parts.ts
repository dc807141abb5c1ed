import { z } from 'zod';
import { BACKWARD_PLANS, type BackwardPlan } from '../../model/memory/backward-plan.js';
import { MOST_THREADS } from '../../tensor/threads.js';
import { parseBytes } from '../../util/bytes.js';
import { count, share } from './fields.js';
import { SCHEDULES } from './schedules.js';

/** How long a run is, in steps or in passes over its examples. */
export const lengthPart = z.strictObject({
  /** Updates; with 0 the run only writes its starting model. */
  steps: count(0).default(1000),
  /** Passes over the training examples, in place of `steps`, which is then what they come to. */
  epochs: z.number().positive().max(1e6).optional(),
});
export type LengthSettings = z.infer<typeof lengthPart>;

/** How many examples an update is made from, and how many tokens are computed together. */
export const batchPart = z.strictObject({
  /** Examples of an update. */
  batchSize: count(1).default(1024),
  /** Tokens per microbatch; bounds memory, changes results only in rounding and dropout masks. */
  tokenBudget: count(1).default(16384),
});
export type BatchSettings = z.infer<typeof batchPart>;

/** How the learning rate changes over a run. */
export const ratePart = z.strictObject({
  /** The highest rate, which the warm-up rises to. */
  learningRate: z.number().positive().default(1e-3),
  /** What the rate does behind the warm-up: stay, fall in a line or half a wave to 0, or fall with the root of the step. */
  schedule: z.enum(SCHEDULES).default('constant'),
  /** Updates over which the rate rises to `learningRate`. */
  warmupSteps: count(0).default(0),
  /** The same in passes over the training examples, in place of `warmupSteps`. */
  warmupEpochs: z.number().min(0).max(1e6).optional(),
});
export type RateSettings = z.infer<typeof ratePart>;

/** What the loss of a step is computed with. */
export const lossPart = z.strictObject({
  /** Share of the activations that are set to 0 in training, in the model. */
  dropout: share().default(0.1),
  /** The same within the generators of the hypernetwork. */
  generatorDropout: share().default(0),
  /** Weight of the squared logarithm of the softmax's sum, which keeps logits small (method §6). */
  zLoss: z.number().min(0).default(1e-4),
});
export type LossSettings = z.infer<typeof lossPart>;

/** What all randomness of a run follows from. */
export const seedPart = z.strictObject({
  /** What new weights, the order of examples and dropout masks follow from. */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
});
export type SeedSettings = z.infer<typeof seedPart>;

/** How much memory a run takes, and what runs again to stay within it. */
export const memoryPart = z.strictObject({
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
});
export type MemorySettings = z.infer<typeof memoryPart>;

/** How often a run is saved, and how many checkpoints it keeps. */
export const checkpointPart = z.strictObject({
  /** Steps between checkpoints. */
  saveEvery: count(1).default(100),
  /** Checkpoints kept; older ones are deleted. */
  keepCheckpoints: count(1).default(2),
});
export type CheckpointSettings = z.infer<typeof checkpointPart>;

/** What a run writes of its steps. */
export const logPart = z.strictObject({
  /** Steps between lines of metrics.jsonl. */
  logEvery: count(1).default(1),
  /** Whether the lines of metrics.jsonl are written as an event file for TensorBoard as well, in tensorboard/. */
  tensorboard: z.boolean().optional(),
});
export type LogSettings = z.infer<typeof logPart>;

/** Where a run computes. */
export const devicePart = z.strictObject({
  /** Where to compute: cpu, cuda or cuda:N. */
  device: z
    .string()
    .regex(/^(cpu|cuda(:\d+)?)$/, { error: 'must be cpu, cuda or cuda:N' })
    .default('cpu'),
  /** Compute threads; 0: every core. */
  threads: count(0, MOST_THREADS).default(0),
});
export type DeviceSettings = z.infer<typeof devicePart>;
