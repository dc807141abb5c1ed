import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../../model/config/config.js';
import { sizedConfig } from '../../model/config/sizes.js';
import type { TrainingConfigInput } from './config.js';
import type { P3DataInput } from './data-config.js';

/** A published training run: settings that a configuration is put over. */
export interface Recipe {
  readonly name: string;
  readonly summary: string;
  readonly settings: Partial<Omit<TrainingConfigInput, 'model' | 'data' | 'output'>> & {
    /** How data are mixed, where that is part of it. */
    readonly data?: Omit<P3DataInput, 'directory'>;
  };
}

/** Steps that an LM-adapted T5 has been trained for: the first update of a run is counted from there (method §5.4). */
const T5_STEPS = 1_100_000;
const HINT_PRETRAINING_STEPS = 10_000;
const XXL_PRETRAINING_STEPS = 7000;

const shared = { learningRate: 1e-3, schedule: 'constant', dropout: 0.1, zLoss: 1e-4 } as const;
const fromT5 = { firstStep: T5_STEPS, optimizer: { name: 'adafactor' } } as const;
const fromPretrained = (steps: number) =>
  ({
    firstStep: T5_STEPS + steps,
    optimizer: { name: 'adafactor', groups: { hyper: { stepOffset: T5_STEPS } } },
  }) as const;
const sni = { ...shared, steps: 1000, batchSize: 1024, saveEvery: 100 };
const p3 = { ...shared, steps: 10_000, batchSize: 2048, saveEvery: 1000 };

/** What pretraining on text sets differently from fine-tuning (method §4.4). */
export const PRETRAINING = { steps: HINT_PRETRAINING_STEPS, batchSize: 1024, dropout: 0, saveEvery: 500 };

/** Updates of pretraining a hypernetwork beside this T5: the paper stopped earlier at 11B (method §4.4). */
export function pretrainingSteps({ dModel, numLayers }: Pick<ModelConfig, 'dModel' | 'numLayers'>): number {
  const xxl = sizedConfig('xxl');
  return dModel === xxl.dModel && numLayers === xxl.numLayers
    ? XXL_PRETRAINING_STEPS
    : HINT_PRETRAINING_STEPS;
}

/** Fine-tuning as the paper did it (method §5, method §7.4, method §8.2). */
export const RECIPES: readonly Recipe[] = [
  {
    name: 'sni',
    summary: 'Super-NaturalInstructions from an LM-adapted T5: baselines, HINT without pretraining',
    settings: { ...sni, ...fromT5 },
  },
  {
    name: 'sni-pretrained',
    summary: 'Super-NaturalInstructions from a HINT that was pretrained for 10,000 steps',
    settings: { ...sni, ...fromPretrained(HINT_PRETRAINING_STEPS) },
  },
  {
    name: 'sni-pretrained-11b',
    summary: 'Super-NaturalInstructions from a HINT of 11B, which the paper pretrained for 7,000 steps',
    settings: { ...sni, ...fromPretrained(XXL_PRETRAINING_STEPS) },
  },
  {
    name: 'p3',
    summary: 'P3 from an LM-adapted T5: baselines, HINT without pretraining',
    settings: { ...p3, ...fromT5 },
  },
  {
    name: 'p3-pretrained',
    summary: 'P3 from a HINT that was pretrained for 10,000 steps',
    settings: { ...p3, ...fromPretrained(HINT_PRETRAINING_STEPS) },
  },
  {
    name: 't0',
    summary: 'T0 trained again: P3 for 20,000 steps, mixed at the published rates whatever rows are there',
    settings: { ...p3, steps: 20_000, ...fromT5, data: { kind: 'p3', mixture: 'published' } },
  },
];

/** @throws HintError INVALID_ARGUMENT listing the recipes there are */
export function findRecipe(name: string): Recipe {
  const recipe = RECIPES.find((candidate) => candidate.name === name);
  if (recipe) return recipe;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no recipe ${JSON.stringify(name)}; choose one of ${RECIPES.map((known) => known.name).join(', ')}.`,
  );
}
