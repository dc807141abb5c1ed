import type { Ragged } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { familyOf } from '../families/registry.js';

/**
 * Reads distinct instructions, once, as the model's family does. Resolves when all is enqueued. The tensors belong to the
 * caller: `disposeTasks`.
 *
 * @param instructions one sequence per task, end of sequence included; none for models that read no instruction
 * @throws HintError INVALID_TOKEN, INVALID_DATA for an instruction without tokens
 */
export function compileTasks(model: AnyModel, instructions: Ragged): Promise<CompiledTasks> {
  return familyOf(model).compile(model, instructions);
}
