import type { RaggedBatch } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CompiledTasks } from './compiled-tasks.js';

/** How a family trains what an instruction has become, with the model as it is. */
export interface TaskTuning<M extends AnyModel = AnyModel, C extends CompiledTasks = CompiledTasks> {
  /**
   * Enqueues f32 copies of what is trained, by name. It runs in a scope of its own, which disposes of copies that were made before it
   * throws; those it returns are the caller's.
   *
   * @throws HintError NOT_SUPPORTED where an instruction becomes nothing that can be trained
   */
  parameters(model: M, task: C): Sliced<Map<string, Tensor>>;
  /**
   * Enqueues −log p of every target token, [target rows], with the parameters in place of what the task was compiled to.
   *
   * @param batch of one task, without instructions
   */
  losses(model: M, task: C, parameters: ReadonlyMap<string, Tensor>, batch: RaggedBatch): Sliced<Tensor>;
  /** A task of its own, with copies of the parameters. Resolves when all is enqueued. */
  tuned(model: M, task: C, parameters: ReadonlyMap<string, Tensor>): Promise<C>;
}
