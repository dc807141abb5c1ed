import type { ModelConfig } from '../model/config/config.js';
import {
  activationMemory,
  costOfRunningAgain,
  type ActivationMemory,
  type BatchShape,
} from '../model/memory/activation-memory.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import { parameterShapes } from '../model/parameters/parameter-shapes.js';
import type { FloatDType } from '../tensor/ops.js';
import { stateMemory, type ParameterMemory, type StateMemory } from './state-memory.js';

/** Memory of training with one backward plan, in bytes. */
export interface ModeMemory {
  /** The plan that takes it. */
  readonly mode: BackwardPlan;
  /** The activations of the microbatch that takes most. */
  readonly activations: ActivationMemory;
  /** State and activations, with a margin of a tenth of the latter. */
  readonly required: number;
}

/** A model, and the microbatches that it is trained on. */
export interface ModeInput {
  readonly state: StateMemory;
  /** Microbatches of the sizes that the run will have. */
  readonly batches: readonly BatchShape[];
  activationMemory(shape: BatchShape, backward: BackwardPlan): ActivationMemory;
  costOfRunningAgain(shape: BatchShape): { readonly layers: number; readonly modules: number };
}

/** Factor on the estimated activations, because later batches may be larger than those that were examined. */
export const MARGIN = 1.1;

/** Shares of a token budget that are tried before anything runs again in the backward pass. */
const SMALLER = [7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4];
/** The fewest tokens of a microbatch that fill a device. */
const LEAST_TOKENS = 2048;

/** Smaller token budgets to try when memory does not suffice to keep everything, the largest first. */
export function smallerBudgets(tokenBudget: number): number[] {
  return SMALLER.map((part) => Math.floor(part * tokenBudget)).filter((tokens) => tokens >= LEAST_TOKENS);
}

/** Memory of each backward plan for the largest microbatch; the plan that runs least again is the first. */
export function modeMemory({ state, batches, ...model }: ModeInput): ModeMemory[] {
  const costs = batches.map((shape) => model.costOfRunningAgain(shape));
  const layers = costs.reduce((total, cost) => total + cost.layers, 0);
  const modules = costs.reduce((total, cost) => total + cost.modules, 0);
  const single: BackwardPlan[] = modules < layers ? ['modules', 'layers'] : ['layers', 'modules'];
  const order: BackwardPlan[] = modules === 0 ? ['none', 'layers'] : ['none', ...single, 'both'];
  return order.map((mode) => {
    const activations = batches
      .map((shape) => model.activationMemory(shape, mode))
      .reduce((largest, one) => (one.peak > largest.peak ? one : largest));
    return { mode, activations, required: Math.ceil(state.total + MARGIN * activations.peak) };
  });
}

/** The dtype of weights between updates, and that of products. */
export interface Precision {
  readonly weights: FloatDType;
  readonly compute: FloatDType;
}

/** The precisions that training has, the most exact first. */
export const PRECISIONS: readonly Precision[] = [
  { weights: 'f32', compute: 'f32' },
  { weights: 'f32', compute: 'bf16' },
  { weights: 'bf16', compute: 'bf16' },
];

/** Memory of training a model in one precision. */
export interface TrainingMemory extends Precision {
  readonly state: StateMemory;
  readonly modes: readonly ModeMemory[];
  /** The first backward plan within the budget; undefined when there is none. */
  readonly chosen: BackwardPlan | undefined;
}

/** The settings that determine the memory of training. */
export interface TrainingMemoryInput extends Precision {
  /** Whether the parameter of a name is trained. */
  readonly isTrained: (parameter: string) => boolean;
  readonly batch: BatchShape;
  readonly budget: number;
  readonly optimizer: 'adafactor' | 'adamw';
  /** Processes that train together, whose memory is that of each; absent: one. */
  readonly ranks?: number | undefined;
}

/** Memory of training a model of this configuration in every precision. */
export function trainingMemory(
  config: ModelConfig,
  { weights, compute, isTrained, batch, budget, optimizer, ranks }: TrainingMemoryInput,
): TrainingMemory {
  const parameters = [...parameterShapes(config)].map(([name, shape]): ParameterMemory => ({
    name,
    shape,
    dtype: weights,
    isTrained: isTrained(name),
  }));
  const state = stateMemory(parameters, compute, optimizer, ranks);
  const modes = modeMemory({
    state,
    batches: [batch],
    activationMemory: (shape, backward) => activationMemory(config, compute, shape, backward),
    costOfRunningAgain: (shape) => costOfRunningAgain(config, shape),
  });
  return { weights, compute, state, modes, chosen: modes.find(({ required }) => required <= budget)?.mode };
}

/** The examples of a microbatch, all of equal length: tokens of each, and how many there are. */
export interface MicrobatchLengths {
  readonly instruction: number;
  readonly input: number;
  readonly output: number;
  /** Of each task. */
  readonly examples: number;
  /** Distinct tasks; absent: as many as the token budget has room for. */
  readonly tasks?: number | undefined;
  readonly tokenBudget: number;
}

/** A microbatch of equal examples, for a model that reads instructions apart, with every input, or not at all. */
export function microbatchOf(
  reader: { readonly takesInstruction: boolean; readonly instructionInInput: boolean },
  lengths: MicrobatchLengths,
): BatchShape {
  const { examples, input, output } = lengths;
  const instruction = reader.takesInstruction ? lengths.instruction : 0;
  const read = reader.instructionInInput ? instruction : 0;
  const encoded = instruction - read;
  const cost = encoded + examples * (read + input + output);
  const tasks = lengths.tasks ?? Math.max(1, Math.floor(lengths.tokenBudget / cost));
  return {
    tasks: encoded > 0 ? tasks : 0,
    instruction: tasks * encoded,
    input: tasks * examples * (read + input),
    target: tasks * examples * output,
    repeatedInstruction: tasks * examples * encoded,
  };
}
