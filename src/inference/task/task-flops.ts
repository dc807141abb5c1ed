import type { AnyModel } from '../../model/family.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { familyOf } from '../families/registry.js';

/** Floating-point operations of a task, two per multiply-add of its matrix products. */
export interface TaskFlops {
  /** Spent once, when the instruction is read; 0 where it is read with every input. */
  readonly compile: number;
  /** Spent on each input again. */
  readonly input: number;
}

/**
 * What a task costs.
 *
 * @param input token ids as the model reads them
 * @param output tokens that are generated
 */
export function taskFlops(
  model: AnyModel,
  { instructionTokens, prompts }: CompiledTasks,
  input: Int32Array,
  output: number,
): TaskFlops {
  const family = familyOf(model);
  // Only how long it is counts, except where the family adds tokens of its own.
  const instruction = prompts?.ids ?? new Int32Array(instructionTokens);
  const read = instruction.length > 0 ? [instruction] : [];
  const compile = family.multiplyAdds(model, read, []);
  const whole = family.multiplyAdds(model, read, [{ instruction, input, output }]);
  return { compile: 2 * compile, input: 2 * (whole - compile) };
}
