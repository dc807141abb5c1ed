import { z } from 'zod';
import { P3_SPLITS } from '../../data/p3/format.js';
import { HintError } from '../../util/errors.js';
import {
  labelledDataSchema,
  type DataConfig,
  type DataSettings,
  type LabelledDataConfig,
} from './data-config.js';
import { count } from './fields.js';
import type { CheckpointSettings } from './parts.js';

/** What validation can be steered by. `loss`: cross entropy per target token; the others are percentages. */
export type ValidationMetric = 'loss' | 'rougeL' | 'exactMatch' | 'accuracy';

export const VALIDATION_METRICS = [
  'loss',
  'rougeL',
  'exactMatch',
  'accuracy',
] as const satisfies readonly ValidationMetric[];

/** On what, how often and by which measure a run is validated while it trains. */
export const validationSchema = z.strictObject({
  /** A dataset of its own; what it does not say, and is about how examples are shown, is as in training. */
  data: labelledDataSchema.optional(),
  /** Another split of the training data. */
  split: z.string().min(1).optional(),
  /** Share of the training examples, or tasks, that is held out: the run trains on the others only. */
  fraction: z.number().gt(0).lt(1).optional(),
  /** What `fraction` holds out: single examples, or tasks with all their examples. */
  by: z.enum(['example', 'task']).default('example'),
  /** Steps between validations, which the last step always is; by default those between checkpoints. */
  every: count(1).optional(),
  /** What decides which model is best; by default accuracy on P3 and rougeL elsewhere. `loss` alone generates nothing. */
  metric: z.enum(VALIDATION_METRICS).optional(),
  /** Validations without a better score after which the run ends; by default it goes on to its last step. */
  patience: count(1).optional(),
  /** Most examples of each task, the first ones; by default all. */
  instancesPerTask: count(1).optional(),
  /** Most answers generated together. */
  batchSize: count(1).default(64),
});

export type ValidationConfig = z.infer<typeof validationSchema>;

/** The validation of a run, as its configuration states it. */
export const validationPart = z.strictObject({
  /** How the run is validated while it trains; by default it is not. */
  validation: validationSchema.optional(),
});

/** What a run is validated on, as one value. */
export type ValidationSet =
  | { readonly kind: 'data'; readonly data: LabelledDataConfig }
  | { readonly kind: 'fraction'; readonly fraction: number; readonly by: 'example' | 'task' };

/** A run's validation, defaults filled in. */
export interface ValidationSettings {
  readonly set: ValidationSet;
  readonly every: number;
  readonly metric: ValidationMetric;
  readonly patience: number | undefined;
  readonly instancesPerTask: number | undefined;
  readonly batchSize: number;
}

/** The settings that decide how a run is validated: by default with its training data, and where it is saved. */
export interface ValidatedRun extends DataSettings, CheckpointSettings, z.infer<typeof validationPart> {}

// How examples are shown: what a validation set takes over from training data of the same kind.
const SHOWN_AS = ['positives', 'form', 'shots', 'maxInstructionTokens', 'maxInputTokens', 'maxTargetTokens'];
// Training on `train` is the default; the data of a validation are elsewhere in their own place.
const DEFAULT_SPLITS: Readonly<Record<string, string>> = { sni: 'test', p3: 'eval', own: 'all' };

/** Fills in what the data of a validation leave out, before they are checked; anything that is no object is left alone. */
export function withValidationDefaults(json: unknown): unknown {
  if (!isObject(json) || !isObject(json['validation']) || !isObject(json['validation']['data'])) return json;
  const { data: training, validation } = json;
  const own = json['validation']['data'];
  const kindOf = ({ kind = 'sni' }: Record<string, unknown>): unknown => kind;
  const split = DEFAULT_SPLITS[String(kindOf(own))];
  const isSameKind = isObject(training) && kindOf(training) === kindOf(own);
  const shown = isSameKind
    ? Object.fromEntries(SHOWN_AS.flatMap((key) => (key in training ? [[key, training[key]]] : [])))
    : {};
  const data = { ...(split === undefined ? {} : { split }), ...shown, ...own };
  return { ...json, validation: { ...validation, data } };
}

/**
 * How a run is validated; undefined when it is not.
 *
 * @throws HintError INVALID_CONFIG when it is not said on what, or said twice; when the set is what is trained on; when the
 *   metric does not fit the data
 */
export function validationOf(run: ValidatedRun): ValidationSettings | undefined {
  const { validation, saveEvery } = run;
  if (!validation) return undefined;
  const set = setOf(run.data, validation);
  const { every = saveEvery, patience, instancesPerTask, batchSize } = validation;
  const kind = set.kind === 'data' ? set.data.kind : run.data.kind;
  const metrics: readonly ValidationMetric[] =
    kind === 'p3' ? ['accuracy', 'loss'] : ['rougeL', 'exactMatch', 'loss'];
  const { metric = metrics[0] as ValidationMetric } = validation;
  if (!metrics.includes(metric))
    throw refused(
      `validation.metric is ${metric}, which ${kind === 'p3' ? 'P3' : 'this dataset'} is not scored by; choose one of ${metrics.join(', ')}`,
    );
  return { set, every, metric, patience, instancesPerTask, batchSize };
}

function setOf(training: DataConfig, { data, split, fraction, by }: ValidationConfig): ValidationSet {
  const given = Object.entries({ data, split, fraction }).flatMap(([key, value]) =>
    value === undefined ? [] : [`validation.${key}`],
  );
  if (given.length !== 1)
    throw refused(
      `${given.length === 0 ? 'validation says nothing of' : `${given.join(' and ')} each say`} what is validated on; set one of validation.data, validation.split and validation.fraction`,
    );
  if (data !== undefined) return { kind: 'data', data };
  if (training.kind === 'text')
    throw refused(
      `plain text has no ${split === undefined ? 'examples to hold out' : 'splits'}; set validation.data`,
    );
  if (split !== undefined) return { kind: 'data', data: otherSplit(training, split) };
  if (training.kind === 'p3')
    throw refused(
      'validation.fraction holds nothing out of P3, whose mixture counts rows; set validation.split to eval, or validation.data',
    );
  return { kind: 'fraction', fraction: fraction as number, by };
}

/** The training data with another split. */
function otherSplit(training: LabelledDataConfig, split: string): LabelledDataConfig {
  if (split === training.split || (training.kind === 'own' && [split, training.split].includes('all')))
    throw refused(
      `validation.split is ${JSON.stringify(split)}, which holds what the run trains on (data.split is ${JSON.stringify(training.split)}); name another split`,
    );
  if (training.kind === 'own') return { ...training, split };
  const splits = training.kind === 'p3' ? P3_SPLITS : (['train', 'test'] as const);
  const known = splits.find((one) => one === split);
  if (known === undefined)
    throw refused(
      `validation.split is ${JSON.stringify(split)}; the splits of this dataset are ${splits.join(', ')}`,
    );
  return { ...training, split: known } as LabelledDataConfig;
}

function refused(fault: string): HintError {
  return new HintError('INVALID_CONFIG', `The run cannot be validated: ${fault}.`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
