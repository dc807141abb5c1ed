import { HintError } from '../../../util/errors.js';
import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import { defaultMemoryBudget } from '../../../accounting/memory-budget.js';
import {
  MARGIN,
  microbatchOf,
  PRECISIONS,
  trainingMemory,
  type TrainingMemory,
} from '../../../accounting/training-memory.js';
import type { BatchShape } from '../../../model/memory/activation-memory.js';
import { findSystem } from '../../../systems/index.js';
import { cudaReport } from '../../../tensor/device.js';
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
  ranks: number;
  json: boolean;
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
  const batch = microbatchOf(choice, {
    ...options,
    instruction: options.instruction ?? PAPER_LENGTHS.sni.def.instruction,
  });
  const { groups } = findSystem(choice.system);
  const isTrained = (parameter: string): boolean => groups.some((group) => group.takes(parameter));
  const { optimizer, ranks } = options;
  const rows = PRECISIONS.map((precision) =>
    trainingMemory(choice.config, { ...precision, isTrained, batch, budget, optimizer, ranks }),
  );
  if (options.json) {
    const { name, system } = choice;
    printJson({ model: name, system, budget, optimizer, ranks, batch, margin: MARGIN, rows });
  } else print(describe(choice, batch, rows, budget, options));
}

function describe(
  choice: ModelChoice,
  batch: BatchShape,
  rows: readonly TrainingMemory[],
  budget: number,
  { optimizer, ranks }: TrainingMemoryOptions,
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
    `${choice.name}, system ${choice.system}, ${optimizer}; what is there whatever the batch${ranks === 1 ? '' : `, at each of ${ranks} ranks (moments: at the rank that has most)`}:`,
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
