import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { ServerLimits } from '../answering/limits.js';
import { taskId } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { receiveFile, takeFiles } from '../own/receive-file.js';
import { instructionOf, TASK_BODY, TASK_FILE_QUERY, TASK_PARAMS } from '../own/schemas.js';
import type { TaskFolder } from '../own/task-folder.js';
import { sendAnswer, type Router } from './router.js';
import type { SharedTask, SharedTasks } from './shared-tasks.js';
import type { WorkerPool } from './worker-pool.js';
import type { WorkerAnswer, WorkerProcess } from './worker-process.js';

/** What the routes of tasks are made of. */
export interface FrontTasks {
  readonly pool: WorkerPool;
  readonly router: Router;
  readonly tasks: SharedTasks;
  readonly folder: TaskFolder;
  readonly limits: ServerLimits;
}

type CacheEntry = Record<string, unknown> & { id: string };

/**
 * The routes that register tasks. The front knows which tasks and names there are; a worker compiles a task first, the
 * others when they need it.
 */
export function addFrontTasks(app: FastifyInstance, front: FrontTasks): void {
  const { pool, router, tasks, folder, limits } = front;
  app.route<{ Body: z.infer<typeof TASK_BODY> }>({
    method: 'POST',
    url: '/v1/tasks',
    schema: { body: TASK_BODY },
    handler: async (request, reply) => {
      const { name, ...json } = request.body;
      const id = taskId(instructionOf(json));
      tasks.checkPlace(id, name, tasks.ofId(id)?.isTrained ?? false);
      const { answer, worker } = await router.read(request, {
        ...{ key: id, method: 'POST', path: '/v1/tasks' },
        body: { json },
      });
      if (answer.status >= 400) return sendAnswer(reply, answer);
      const { body, isNew } = register(tasks, { answer, worker }, name, { json });
      return reply.code(isNew ? 201 : 200).send(body);
    },
  });
  void app.register(async (scope) => {
    takeFiles(scope, limits.taskFileBytes);
    scope.route<{ Querystring: z.infer<typeof TASK_FILE_QUERY>; Body: Readable | undefined }>({
      method: 'POST',
      url: '/v1/tasks/file',
      bodyLimit: limits.taskFileBytes,
      schema: { querystring: TASK_FILE_QUERY },
      handler: async (request, reply) => {
        const { name } = request.query;
        const path = await folder.newPath();
        let keeps = false;
        try {
          await receiveFile(request.body, path, limits.taskFileBytes, endingOf(request));
          const routed = { method: 'POST', path: '/v1/tasks/file', body: { file: path } };
          const { answer, worker } = await router.read(request, routed);
          if (answer.status >= 400) return sendAnswer(reply, answer);
          const { body, isNew } = register(tasks, { answer, worker }, name, { file: path });
          keeps = isNew;
          if (isNew) folder.assign(body.id, path);
          return reply.code(isNew ? 201 : 200).send(body);
        } finally {
          if (!keeps) await folder.remove(path);
        }
      },
    });
  });

  app.get('/v1/tasks', async (request) => {
    const cached = await cacheOf(pool, request);
    return { object: 'list', data: tasks.list().map((task) => shownBody(task, cached)) };
  });
  app.get<{ Params: z.infer<typeof TASK_PARAMS> }>('/v1/tasks/:id', async (request) =>
    shownBody(tasks.get(request.params.id), await cacheOf(pool, request)),
  );
  app.delete<{ Params: z.infer<typeof TASK_PARAMS> }>('/v1/tasks/:id', async (request) => {
    const task = tasks.get(request.params.id);
    try {
      await tasks.forget(pool.workers, task, endingOf(request));
    } finally {
      await folder.removeOf(task.id);
    }
    return { id: task.id, object: 'task', deleted: true };
  });
  app.get('/v1/cache', async (request) => {
    const data = await cacheOf(pool, request);
    const entries = data.map((entry) => {
      const task = tasks.ofId(entry.id);
      return { ...entry, registered: task !== undefined, name: task?.names[0] ?? null };
    });
    return { object: 'cache', bytes: data.reduce((sum, { bytes }) => sum + Number(bytes), 0), data: entries };
  });
}

/** Registers what a worker has taken in. @throws ApiError 409, 400 where others came meanwhile */
function register(
  tasks: SharedTasks,
  { answer, worker }: { answer: WorkerAnswer; worker: WorkerProcess },
  name: string | undefined,
  recipe: SharedTask['recipe'],
): { body: Record<string, unknown> & { id: string }; isNew: boolean } {
  const told = JSON.parse(answer.body.toString()) as Record<string, unknown> & { id: string };
  const { compile_milliseconds: milliseconds, cache, ...shown } = told;
  const { id } = told;
  worker.tasks.set(id, Promise.resolve());
  const isTrained = shown['training'] !== null;
  const known = tasks.ofId(id);
  try {
    tasks.checkPlace(id, name, isTrained);
  } catch (error) {
    // A trained task would stay on the worker's device. What the client is told is why it is refused, whatever the worker says.
    if (!known) tasks.take(worker, id).catch(() => undefined);
    throw error;
  }
  const task = known ?? { id, names: [], isTrained, recipe, shown };
  const named = { ...task, names: tasks.namesWith(id, name) };
  tasks.set(named);
  const read = milliseconds === undefined ? {} : { compile_milliseconds: milliseconds };
  return { body: { ...bodyOf(named), cache, ...read }, isNew: known === undefined };
}

function bodyOf({ id, names, shown }: SharedTask): Record<string, unknown> & { id: string } {
  return { ...shown, id, name: names[0] ?? null, names };
}

function shownBody(task: SharedTask, cached: readonly CacheEntry[]): object {
  const entry = task.isTrained ? undefined : cached.find(({ id }) => id === task.id);
  const cache = entry && {
    tier: entry['tier'],
    bytes: entry['bytes'],
    hits: entry['hits'],
    since: entry['since'],
  };
  return { ...bodyOf(task), cache: cache ?? null };
}

/** What the caches of all workers have, with the number of the worker; those that tell nothing have nothing. */
async function cacheOf(pool: WorkerPool, request: FastifyRequest): Promise<CacheEntry[]> {
  const signal = endingOf(request);
  const lists = await Promise.all(
    pool.workers.map(async (worker) => {
      const told = await worker.tell('/v1/cache', signal);
      if (!told) return [];
      const { data } = JSON.parse(told.toString()) as { data: CacheEntry[] };
      return data.map((entry) => ({ ...entry, worker: worker.number }));
    }),
  );
  return lists.flat();
}
