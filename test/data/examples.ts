import type { TokenizedExample } from '../../src/data/batch.js';

/** A made-up example: the ids of its parts and the task they belong to. */
export function example(
  id: string,
  instruction: number[],
  input: number[],
  target: number[] = [1],
  task = `task-${instruction.join('-')}`,
): TokenizedExample {
  return {
    id,
    task,
    instruction: Int32Array.from(instruction),
    input: Int32Array.from(input),
    target: Int32Array.from(target),
    references: [id],
  };
}
