import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import type { TrainingConfig } from '../config/config.js';
import type { LengthSettings } from '../config/parts.js';
import { learningRateAt } from '../step/schedule.js';
import { scheduleOf } from './prepare.js';

/** A setting that a resumed run has differently. */
export interface SettingChange {
  /** Dots between nested keys, such as `optimizer.decayRate`. */
  readonly key: string;
  /** Absent: the run had none. */
  readonly before?: unknown;
  readonly now?: unknown;
}

/** What makes a run the one it is: none of it can change. */
const FIXED = [
  'system',
  'model.init',
  'model.hint',
  'model.hyperencoderInit',
  'optimizer.name',
  'firstStep',
  'paramDtype',
  'paramRounding',
  'computeDtype',
  'seed',
];

/** Where a run computes and how often it writes: its scores do not depend on it. */
export const PLACES: readonly string[] = [
  'device',
  'threads',
  'memoryBudget',
  'saveEvery',
  'keepCheckpoints',
  'logEvery',
  'tensorboard',
];

/**
 * What a resumed run may have differently and stay the same run, but for rounding: where it computes, reads and writes, and how
 * often it saves. Of the data, their content decides.
 */
const FREE = [
  ...PLACES,
  'output',
  'recompute',
  'model',
  'data',
  'validation.batchSize',
  'validation.data.directory',
  'validation.data.files',
  'validation.data.cache',
];

/** Settings of a validation after which its scores are others. */
const SCORED = ['data', 'split', 'fraction', 'by', 'metric', 'instancesPerTask'];

/**
 * Refuses settings that nothing of a run can be gone on with.
 *
 * @param path of the run, for messages
 * @throws HintError INVALID_CONFIG naming the setting and both its values
 */
export function checkFixed(path: string, before: TrainingConfig, now: TrainingConfig): void {
  for (const key of FIXED) {
    const [old, given] = [before, now].map((config) => fixedAt(config, key));
    if (old === given) continue;
    throw new HintError(
      'INVALID_CONFIG',
      `Cannot resume ${path} with ${key} ${given}; the run was started with ${old}. Give the same, or another output directory.`,
    );
  }
}

/** A setting that cannot change, as JSON. Where a model was read from does not matter: a checkpoint has what became of it. */
function fixedAt(config: TrainingConfig, key: string): string {
  const value = settingAt(config, key);
  if (value === undefined) return 'none';
  if (key === 'model.init' && typeof value === 'string') return 'a model directory';
  return JSON.stringify(sorted(value));
}

/** The same value, whatever order the keys of its objects stood in. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

/**
 * Refuses a run that would be shorter than it is already.
 *
 * @param taken steps so far
 * @throws HintError INVALID_CONFIG
 */
export function checkLength(path: string, { steps, epochs }: LengthSettings, taken: number): void {
  if (steps >= taken) return;
  const length = epochs === undefined ? `steps ${steps}` : `epochs ${epochs}, which are ${steps} steps`;
  throw new HintError(
    'INVALID_CONFIG',
    `Cannot resume ${path} with ${length}: it has taken ${taken} steps, and none is taken back. Give as many or more, or another output directory.`,
  );
}

/**
 * The settings after which a run is not the one that it was: those that decide the numbers of its steps, or which of its
 * models is best. How many steps it takes is one where the learning rate of those it has taken depends on it.
 *
 * @param taken steps so far
 */
export function changesOf(before: TrainingConfig, now: TrainingConfig, taken: number): SettingChange[] {
  const [old, given] = [flattenedSettings(before), flattenedSettings(now)];
  const free = [...FREE, ...FIXED, ...freeLengths(before, now, taken)];
  return [...new Set([...old.keys(), ...given.keys()])].flatMap((key) => {
    if (free.some((one) => isWithin(key, one)) || old.get(key) === given.get(key)) return [];
    const [was, is] = [old.get(key), given.get(key)];
    return [
      {
        key,
        ...(was === undefined ? {} : { before: JSON.parse(was) as unknown }),
        ...(is === undefined ? {} : { now: JSON.parse(is) as unknown }),
      },
    ];
  });
}

/**
 * Refuses changes that nobody has asked for by name.
 *
 * @param named keys; one of the validation allows all of its changes
 * @throws HintError INVALID_CONFIG
 */
export function checkNamed(path: string, changes: readonly SettingChange[], named: readonly string[]): void {
  const isNamed = ({ key }: SettingChange): boolean =>
    named.some((name) => isWithin(key, name) || [key, name].every((one) => isWithin(one, 'validation')));
  const unnamed = changes.filter((change) => !isNamed(change));
  if (unnamed.length === 0) return;
  const keys = unnamed.map(({ key, now }) =>
    now === undefined ? key : `--set ${key}=${JSON.stringify(now)}`,
  );
  throw new HintError(
    'INVALID_CONFIG',
    `Cannot resume ${path} with ${describeChanges(unnamed)}: from here on it would be another run, which neither its first settings nor these describe. Leave them as they were, or name them as meant (${keys.join(' ')}; in code: changes), or give another output directory.`,
  );
}

/** Changes as a clause. */
export function describeChanges(changes: readonly SettingChange[]): string {
  return changes
    .map(({ key, before, now }) => {
      const [was, is] = [before, now].map((value) => (value === undefined ? 'none' : showValue(value)));
      return `${key} ${is} in place of ${was}`;
    })
    .join(', ');
}

/** Whether scores of validations before and after these changes cannot be compared. */
export function changesScores(changes: readonly SettingChange[]): boolean {
  return changes.some(({ key }) => SCORED.some((part) => isWithin(key, `validation.${part}`)));
}

/** Lengths that decide nothing, or that follow from others. */
function freeLengths(before: TrainingConfig, now: TrainingConfig, taken: number): string[] {
  const rateOf = ({ steps }: TrainingConfig): number =>
    learningRateAt({ ...scheduleOf(now), steps }, taken - 1);
  const isFalling = [before, now].some(({ schedule }) => schedule === 'linear' || schedule === 'cosine');
  return [
    ...(now.epochs !== undefined || rateOf(before) === rateOf(now) ? ['steps'] : []),
    ...(isFalling ? [] : ['epochs']),
    ...(now.warmupEpochs === undefined ? [] : ['warmupSteps']),
  ];
}

function isWithin(key: string, owner: string): boolean {
  return key === owner || key.startsWith(`${owner}.`);
}

/** Every setting by its key, such as `optimizer.decayRate`, as JSON; a list is one. */
export function flattenedSettings(value: object, prefix = ''): Map<string, string> {
  const all = new Map<string, string>();
  for (const [name, inner] of Object.entries(value) as [string, unknown][]) {
    if (inner === undefined) continue;
    const key = `${prefix}${name}`;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner))
      all.set(key, JSON.stringify(inner));
    else for (const [deeper, json] of flattenedSettings(inner, `${key}.`)) all.set(deeper, json);
  }
  return all;
}

function settingAt(config: TrainingConfig, key: string): unknown {
  return key
    .split('.')
    .reduce<unknown>((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], config);
}
