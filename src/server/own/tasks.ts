import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Served } from '../answering/served.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import type { TaskFolder } from './task-folder.js';
import { instructionOf, TASK, TASK_BODY, TASK_PARAMS, taskBody } from './schemas.js';

/** POST, GET and DELETE of /v1/tasks: tasks that are compiled ahead of their inputs. */
export function addTasks(
  app: FastifyInstance,
  served: Served,
  tasks: TaskRegistry,
  folder: TaskFolder,
): void {
  app.route<{ Body: z.infer<typeof TASK_BODY> }>({
    method: 'POST',
    url: '/v1/tasks',
    schema: {
      summary: 'Compile an instruction; again for the same one it answers with the task that is there',
      tags: ['Tasks'],
      body: TASK_BODY,
      response: { 200: TASK, 201: TASK },
    },
    handler: async (request, reply) => {
      const { body } = request;
      const { task, isNew, compileMilliseconds } = await tasks.add(
        instructionOf(body),
        body.name,
        endingOf(request),
      );
      const read = compileMilliseconds === undefined ? {} : { compile_milliseconds: compileMilliseconds };
      return reply.code(isNew ? 201 : 200).send({ ...taskBody(served, task), ...read });
    },
  });

  app.get(
    '/v1/tasks',
    {
      schema: {
        summary: 'The tasks that were registered',
        tags: ['Tasks'],
        response: { 200: z.object({ object: z.literal('list'), data: z.array(TASK) }) },
      },
    },
    async () => ({ object: 'list', data: tasks.list().map((task) => taskBody(served, task)) }),
  );

  app.get<{ Params: z.infer<typeof TASK_PARAMS> }>(
    '/v1/tasks/:id',
    { schema: { summary: 'A task', tags: ['Tasks'], params: TASK_PARAMS, response: { 200: TASK } } },
    async (request) => taskBody(served, tasks.get(request.params.id)),
  );

  app.delete<{ Params: z.infer<typeof TASK_PARAMS> }>(
    '/v1/tasks/:id',
    {
      schema: {
        summary: 'Forget a task',
        tags: ['Tasks'],
        params: TASK_PARAMS,
        response: {
          200: z.object({ id: z.string(), object: z.literal('task'), deleted: z.literal(true) }),
        },
      },
    },
    async (request) => {
      const { id } = tasks.remove(request.params.id);
      await folder.removeOf(id);
      return { id, object: 'task', deleted: true };
    },
  );
}
