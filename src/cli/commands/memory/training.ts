import { HintError } from '../../../util/errors.js';
import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import {
  activationMemory,
  costOfRunningAgain,
  type BatchShape,
} from '../../../model/memory/activation-memory.js';
import type { BackwardPlan } from '../../../model/memory/backward-plan.js';
import { parameterShapes } from '../../../model/parameters/parameter-shapes.js';
import { findSystem } from '../../../systems/index.js';
import { cudaReport } from '../../../tensor/device.js';
import type { FloatDType } from '../../../tensor/ops.js';
import { MARGIN, modeMemory, type ModeMemory } from '../../../training/memory/memory-plan.js';
import { ADAFACTOR, type OptimizerSettings } from '../../../training/step/optimizer.js';
import { defaultMemoryBudget } from '../../../training/run/plan-run.js';
import {
  stateMemory,
  type ParameterMemory,
  type StateMemory,
} from '../../../training/memory/state-memory.js';
import { formatBytes, parseBytes } from '../../../util/bytes.js';
import { print, printJson, table } from '../../support/context.js';
import type { ModelChoice } from '../../support/model-choice.js';

/** What `hint memory --training` is asked for; lengths are those of SNI's medians where absent. */
export interface TrainingMemoryOptions {
  budget?: string;
  tokenBudget: number;
  tasks?: number;
  examples: number;
  instruction?: number;
  input: number;
  output: number;
  optimizer: 'adafactor' | 'adamw';
  json: boolean;
}

/** What weights are held in, and what is computed in. */
interface Precision {
  readonly weights: FloatDType;
  readonly compute: FloatDType;
}

const PRECISIONS: readonly Precision[] = [
  { weights: 'f32', compute: 'f32' },
  { weights: 'f32', compute: 'bf16' },
  { weights: 'bf16', compute: 'bf16' },
];

interface Row extends Precision {
  readonly state: StateMemory;
  readonly modes: readonly ModeMemory[];
  /** The first mode that stays within the budget. */
  readonly chosen: BackwardPlan | undefined;
}

/** Prints what training a model takes, by what it is held in and what runs again in its backward passes. */
export function printTrainingMemory(choice: ModelChoice, options: TrainingMemoryOptions): void {
  const device = cudaReport().devices.length > 0 ? 'cuda' : 'cpu';
  const budget = options.budget === undefined ? defaultMemoryBudget(device) : parseBytes(options.budget);
  if (budget === undefined) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `--budget is ${options.budget}; give a number of bytes, such as 139GiB.`,
    );
  }
  const batch = microbatch(choice, options);
  const rows = PRECISIONS.map((precision) => rowOf(choice, precision, batch, budget, options));
  if (options.json) {
    const { name, system } = choice;
    printJson({ model: name, system, budget, optimizer: options.optimizer, batch, margin: MARGIN, rows });
  } else print(describe(choice, batch, rows, budget, options));
}

function microbatch(choice: ModelChoice, options: TrainingMemoryOptions): BatchShape {
  const { examples, input, output } = options;
  const instruction = choice.takesInstruction
    ? (options.instruction ?? PAPER_LENGTHS.sni.def.instruction)
    : 0;
  const read = choice.instructionInInput ? instruction : 0;
  const encoded = instruction - read;
  const cost = encoded + examples * (read + input + output);
  const tasks = options.tasks ?? Math.max(1, Math.floor(options.tokenBudget / cost));
  return {
    tasks: encoded > 0 ? tasks : 0,
    instruction: tasks * encoded,
    input: tasks * examples * (read + input),
    target: tasks * examples * output,
    repeatedInstruction: tasks * examples * encoded,
  };
}

function rowOf(
  { config, system: name }: ModelChoice,
  { weights, compute }: Precision,
  batch: BatchShape,
  budget: number,
  options: TrainingMemoryOptions,
): Row {
  const system = findSystem(name);
  const parameters = [...parameterShapes(config)].map(([parameter, shape]): ParameterMemory => ({
    name: parameter,
    shape,
    dtype: weights,
    isTrained: system.groups.some((group) => group.takes(parameter)),
  }));
  const state = stateMemory(parameters, compute, optimizerSettings(options.optimizer));
  const modes = modeMemory({
    state,
    batches: [batch],
    activationMemory: (shape, backward) => activationMemory(config, compute, shape, backward),
    costOfRunningAgain: (shape) => costOfRunningAgain(config, shape),
  });
  return { weights, compute, state, modes, chosen: modes.find(({ required }) => required <= budget)?.mode };
}

function optimizerSettings(name: TrainingMemoryOptions['optimizer']): OptimizerSettings {
  return name === 'adafactor' ? ADAFACTOR : { name, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
}

function describe(
  choice: ModelChoice,
  batch: BatchShape,
  rows: readonly Row[],
  budget: number,
  { optimizer }: TrainingMemoryOptions,
): string {
  const states = rows.map(({ weights, compute, state }) => [
    weights,
    compute,
    ...[state.parameters, state.copies, state.gradients, state.moments, state.total].map(formatBytes),
  ]);
  const byMode = rows.flatMap(({ weights, compute, modes, chosen }) =>
    modes.map(({ mode, activations, required }) => [
      weights,
      compute,
      mode,
      ...[activations.layers, activations.modules, activations.generators, activations.passing].map(
        formatBytes,
      ),
      formatBytes(required),
      required > budget ? 'no' : mode === chosen ? 'chosen' : 'yes',
    ]),
  );
  return [
    `${choice.name}, system ${choice.system}, ${optimizer}; what is there whatever the batch:`,
    '',
    table(['weights', 'computes in', 'weights take', 'copies', 'gradients', 'moments', 'together'], states),
    '',
    `A microbatch of ${sizeOf(batch)}; ${formatBytes(budget)} are there.`,
    'Run again: what the backward pass does not find kept. All: with the above, the microbatch counted a tenth larger.',
    '',
    table(
      ['weights', 'computes in', 'run again', 'layers', 'modules', 'generators', 'passing', 'all', 'fits'],
      byMode,
    ),
  ].join('\n');
}

function sizeOf({ tasks, instruction, input, target }: BatchShape): string {
  const parts = [`${input} tokens of input`, `${target} of target`];
  if (tasks > 0) parts.unshift(`${tasks} tasks with ${instruction} tokens of instruction`);
  return parts.join(', ');
}
