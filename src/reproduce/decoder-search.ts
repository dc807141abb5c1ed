import type { System } from '../systems/index.js';
import type { SweepAxis } from '../training/runs/sweep.js';
import { mergeSettings } from '../training/config/overrides.js';
import { has } from './check-settings.js';
import type { ReproduceSettings } from './settings.js';

/** What the paper tried for its decoder-only models (paper §D, method §3.5). */
const LEARNING_RATES: SweepAxis = { key: 'learningRate', values: [1e-5, 2e-5, 5e-5] };
const EPOCHS: SweepAxis = { key: 'epochs', values: [3, 5, 10] };

/** On what they are compared: 15 of the 757 training tasks, which they are then not trained on. The paper does not say what it took. */
const VALIDATION = { fraction: 0.02, by: 'task', instancesPerTask: 20 };

/** What is said of training T5s with Adafactor has no meaning for AdamW. */
const OF_T5 = [
  'learningRate',
  'schedule',
  'warmupSteps',
  'optimizer',
  'zLoss',
  'firstStep',
  'paramDtype',
  'dropout',
];

/** What a user says of training decoder-only models. */
export function decoderSettings({ training, decoderTraining }: ReproduceSettings): object {
  const shared = Object.fromEntries(Object.entries(training).filter(([key]) => !OF_T5.includes(key)));
  return mergeSettings(shared, decoderTraining ?? {}) as object;
}

/** The settings that are tried for a system, combination by combination: those of the paper that a user does not set. */
export function searchAxes({ training }: System, settings: ReproduceSettings): SweepAxis[] {
  if (training === undefined) return [];
  const given = decoderSettings(settings);
  const isLong = settings.steps !== undefined || has(given, ['steps']) || has(given, ['epochs']);
  return [...(has(given, ['learningRate']) ? [] : [LEARNING_RATES]), ...(isLong ? [] : [EPOCHS])];
}

/** What trainings of decoder-only models share; the rest is what their systems say. */
export function decoderRecipe(axes: readonly SweepAxis[], settings: ReproduceSettings): object {
  const isOurs = axes.length > 0 && !has(decoderSettings(settings), ['validation']);
  return { saveEvery: 500, ...(isOurs ? { validation: VALIDATION } : {}) };
}
