import { TaskIndex, type IndexedTask } from '../answering/task-index.js';
import type { ServerLimits } from '../answering/limits.js';
import { abortable } from '../../util/abortable.js';
import { ApiError } from '../http/errors.js';
import { WorkerLost, type WorkerAnswer, type WorkerProcess } from './worker-process.js';

/** A registered task as the front knows it: what a worker is sent that has not got it. */
export interface SharedTask extends IndexedTask {
  /** The body that POST /v1/tasks takes, or the path of a task file. */
  readonly recipe: { readonly json: unknown } | { readonly file: string };
  /** What a worker told of it, without names, cache and what it took. */
  readonly shown: Readonly<Record<string, unknown>>;
}

/** The tasks that are registered with all workers. A worker gets a task when a request for it comes there first. */
export class SharedTasks extends TaskIndex<SharedTask> {
  constructor(limits: ServerLimits) {
    super(limits);
  }

  /**
   * Sees to it that a worker has a task.
   *
   * @throws WorkerLost; ApiError as the worker answers; HintError ABORTED
   */
  async give(worker: WorkerProcess, { id, recipe }: SharedTask, signal: AbortSignal): Promise<void> {
    let given = worker.tasks.get(id);
    if (!given) {
      // For all who wait for it, so that none of them can end it.
      given = worker
        .read({ method: 'POST', path: 'file' in recipe ? '/v1/tasks/file' : '/v1/tasks', body: recipe })
        .then((answer) => {
          if (answer.status >= 400) throw errorOf(answer);
        });
      worker.tasks.set(id, given);
      given.catch(() => worker.tasks.delete(id));
    }
    await abortable(given, signal);
  }

  /**
   * Has all workers forget a task. None is asked for it from now on, also where one does not answer.
   *
   * @throws HintError ABORTED where the signal ended the wait; ApiError as a worker answers
   */
  async forget(workers: readonly WorkerProcess[], task: SharedTask, signal: AbortSignal): Promise<void> {
    this.delete(task);
    const all = Promise.all(workers.map((worker) => this.take(worker, task.id)));
    await abortable(all, signal);
  }

  /** Has a worker forget a task, if it has it. */
  async take(worker: WorkerProcess, id: string): Promise<void> {
    if (!worker.tasks.delete(id)) return;
    // A worker that is gone has forgotten it.
    await worker.read({ method: 'DELETE', path: `/v1/tasks/${id}` }).catch((error: unknown) => {
      if (!(error instanceof WorkerLost)) throw error;
    });
  }
}

/** The error that a worker answered with. */
export function errorOf({ status, headers, body }: WorkerAnswer): ApiError {
  const { error } = JSON.parse(body.toString()) as {
    error: { message: string; param: string | null; code: string | null };
  };
  const retryAfter = Number(headers['retry-after']);
  return new ApiError(status, error.message, {
    ...(error.param === null ? {} : { param: error.param }),
    ...(error.code === null ? {} : { code: error.code }),
    ...(Number.isFinite(retryAfter) && headers['retry-after'] !== undefined ? { retryAfter } : {}),
  });
}
