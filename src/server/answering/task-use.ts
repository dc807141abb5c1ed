import type { Task } from '../../inference/task/task.js';

/** A task for one request, which releases it. */
export interface TaskUse {
  readonly task: Task;
  /** Whether its instruction was not read for this request. */
  readonly cached: boolean;
  release(): void;
}
