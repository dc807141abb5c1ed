import type { ModelConfig } from '../model/config/config.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import { compileMultiplyAdds, examplePhases, inferenceFlops, type MultiplyAdds } from './flops.js';
import { trainingFlops } from './training-flops.js';

/** Multiply-adds of one phase and how often it runs. */
export interface Phase {
  readonly phase: string;
  readonly times: number;
  readonly each: MultiplyAdds;
}

/** A model, and whether it reads the instruction with every input. */
export interface CountedModel {
  readonly config: ModelConfig;
  readonly instructionInInput: boolean;
}

/** Tokens of a task and of each of its examples, and how many there are. */
export interface TaskLengths {
  readonly instruction: number;
  readonly input: number;
  readonly output: number;
  /** Of each task. */
  readonly examples: number;
  readonly tasks: number;
}

/** Phases of compiling tasks and answering inputs of each. */
export function inferencePhases(
  { config, instructionInInput }: CountedModel,
  { tasks, ...lengths }: TaskLengths,
): { phases: Phase[]; flops: number } {
  const compile = compileMultiplyAdds(config, lengths.instruction);
  const example = examplePhases(config, { ...lengths, instructionInInput });
  const { flops } = inferenceFlops(config, { ...lengths, instructionInInput });
  const inputs = tasks * lengths.examples;
  return {
    flops: tasks * flops,
    phases: [
      { phase: 'compile: encode instruction', times: tasks, each: compile.encode },
      { phase: 'compile: generate modules', times: tasks, each: compile.generate },
      { phase: 'compile: fused keys, values', times: tasks, each: compile.fuse },
      { phase: 'input: encode', times: inputs, each: example.encode },
      { phase: 'input: decode', times: inputs, each: example.decode },
    ],
  };
}

/** Phases of one training step. */
export function trainingPhases(
  { config, instructionInInput }: CountedModel,
  lengths: TaskLengths,
  backward: BackwardPlan,
): { phases: Phase[]; flops: number } {
  const cost = trainingFlops(config, { ...lengths, instructionInInput, backward });
  return {
    flops: cost.flops,
    phases: [
      { phase: 'forward', times: 1, each: cost.forward },
      { phase: 'backward', times: 1, each: cost.backward },
      { phase: 'run again', times: 1, each: cost.recomputed },
    ],
  };
}
