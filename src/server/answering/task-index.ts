import { ApiError } from '../http/errors.js';
import type { ServerLimits } from './limits.js';

/** What is registered under an id and names. */
export interface IndexedTask {
  readonly id: string;
  /** In the order in which they were given; each is of this task alone. */
  readonly names: readonly string[];
  /** Whether it stays on the device while it is registered. */
  readonly isTrained: boolean;
}

/** Names that a task may have. */
const MOST_NAMES = 16;

/** Registered tasks by id and by name, in the order of registering. */
export class TaskIndex<Entry extends IndexedTask> {
  private readonly byId = new Map<string, Entry>();
  private readonly idOfName = new Map<string, string>();

  constructor(private readonly limits: Pick<ServerLimits, 'tasks' | 'trainedTasks'>) {}

  list(): Entry[] {
    return [...this.byId.values()];
  }

  /** The task of an id, which is no name. */
  ofId(id: string): Entry | undefined {
    return this.byId.get(id);
  }

  /** @throws ApiError 404 */
  get(idOrName: string): Entry {
    const task = this.byId.get(this.idOfName.get(idOrName) ?? idOrName);
    if (task) return task;
    throw new ApiError(
      404,
      `There is no task ${JSON.stringify(idOrName.slice(0, 100))}; make it with POST /v1/tasks.`,
      { code: 'task_not_found' },
    );
  }

  /** The names of a task, with one more where it does not have that yet. */
  namesWith(id: string, name: string | undefined): readonly string[] {
    const names = this.byId.get(id)?.names ?? [];
    return name === undefined || names.includes(name) ? names : [...names, name];
  }

  /** Registers a task, or replaces what is registered under its id. */
  set(task: Entry): void {
    this.byId.set(task.id, task);
    for (const name of task.names) this.idOfName.set(name, task.id);
  }

  delete(task: Entry): void {
    this.byId.delete(task.id);
    for (const name of task.names) this.idOfName.delete(name);
  }

  /** @throws ApiError 409 for the name of another task, 400 where there are as many as there may be */
  checkPlace(id: string, name: string | undefined, isTrained: boolean): void {
    const owner = name === undefined ? undefined : this.idOfName.get(name);
    if (owner !== undefined && owner !== id)
      throw new ApiError(
        409,
        `The name ${name} is that of another task, ${owner}; choose another, or delete that task.`,
        {
          param: 'name',
          code: 'name_taken',
        },
      );
    const known = this.byId.get(id);
    if (known && owner === undefined && name !== undefined && known.names.length >= MOST_NAMES)
      throw new ApiError(400, `The task has ${MOST_NAMES} names, the limit; use one of them.`, {
        param: 'name',
        code: 'too_many_names',
      });
    const { tasks, trainedTasks } = this.limits;
    if (!known && isTrained && this.list().filter((task) => task.isTrained).length >= trainedTasks)
      throw new ApiError(
        400,
        `There are ${trainedTasks} trained tasks, the limit: each stays on the device; delete some first.`,
        { code: 'too_many_tasks' },
      );
    if (!known && this.byId.size >= tasks)
      throw new ApiError(400, `There are ${this.byId.size} tasks, the limit; delete some first.`, {
        code: 'too_many_tasks',
      });
  }
}
