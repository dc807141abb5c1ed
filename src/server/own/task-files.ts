import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Instruction, Served } from '../answering/served.js';
import { SharedTask } from '../answering/shared-task.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { ApiError } from '../http/errors.js';
import { FILE, noPlace, receiveFile, takeFiles } from './receive-file.js';
import { TASK, TASK_FILE_QUERY, TASK_PARAMS, taskBody } from './schemas.js';
import type { TaskFolder } from './task-folder.js';
import { HintError } from '../../util/errors.js';

/**
 * GET /v1/tasks/{id}/file and POST /v1/tasks/file: task files as "hint compile" writes them. Names of files are made by
 * the server; nothing of a request becomes part of a path.
 */
export function addTaskFiles(
  app: FastifyInstance,
  served: Served,
  tasks: TaskRegistry,
  folder: TaskFolder,
): void {
  app.get<{ Params: z.infer<typeof TASK_PARAMS> }>(
    '/v1/tasks/:id/file',
    {
      schema: {
        summary: 'The file of a task, as "hint compile" writes it',
        tags: ['Tasks'],
        params: TASK_PARAMS,
        produces: [FILE],
      },
    },
    async (request, reply) => {
      const { id, instruction } = tasks.get(request.params.id);
      const signal = endingOf(request);
      const { task, release } = await served.task(instruction, signal);
      const path = await folder.newPath();
      try {
        await task.save(path, { signal });
        const { size } = await stat(path);
        const file = createReadStream(path);
        file.once('close', () => void folder.remove(path));
        reply.header('content-disposition', `attachment; filename="${id}.safetensors"`);
        return await reply.type(FILE).header('content-length', size).send(file);
      } catch (error) {
        await folder.remove(path);
        throw withoutPath(error, path);
      } finally {
        release();
      }
    },
  );

  void app.register(async (scope) => {
    takeFiles(scope, served.limits.taskFileBytes);
    scope.route<{ Querystring: z.infer<typeof TASK_FILE_QUERY>; Body: Readable | undefined }>({
      method: 'POST',
      url: '/v1/tasks/file',
      bodyLimit: served.limits.taskFileBytes,
      schema: {
        summary: 'Take in the file of a task that this model compiled',
        tags: ['Tasks'],
        consumes: [FILE],
        querystring: TASK_FILE_QUERY,
        response: { 200: TASK, 201: TASK },
      },
      handler: async (request, reply) => {
        const signal = endingOf(request);
        const path = await folder.newPath();
        let keeps = false;
        try {
          const digest = await receiveFile(request.body, path, served.limits.taskFileBytes, signal);
          const instruction = await load(served, path, digest, signal);
          const { task, isNew } = await tasks.add(instruction, request.query.name, signal);
          folder.assign(task.id, path);
          keeps = true;
          return await reply.code(isNew ? 201 : 200).send(taskBody(served, task));
        } catch (error) {
          throw withoutPath(error, path);
        } finally {
          if (!keeps) await folder.remove(path);
        }
      },
    });
  });
}

/**
 * Loads a task file: into the engine's cache, or, of a task that was trained, for as long as it is registered.
 *
 * @returns what it was compiled from
 */
async function load(
  { engine }: Served,
  path: string,
  digest: string,
  signal: AbortSignal,
): Promise<Instruction> {
  const task = await engine.tasks.load(path, { signal });
  const { origin, training } = task;
  if (!origin || !training) task.dispose();
  if (!origin)
    throw new ApiError(
      400,
      'The task file does not say what it was compiled from, only token ids; compile it from a text.',
      { code: 'invalid_file' },
    );
  const { definition, examples, format, maxTokens } = origin;
  const instruction = { definition, examples, compiled: { format, maxTokens } };
  return training ? { ...instruction, trained: new SharedTask(task, digest) } : instruction;
}

/** An error that names no file of the server; one of its disk is told as such. */
function withoutPath(error: unknown, path: string): unknown {
  if (!(error instanceof HintError)) return error;
  if (error.code === 'IO') return noPlace(error.cause);
  if (!error.message.includes(path)) return error;
  return new HintError(error.code, error.message.replaceAll(path, 'The task file'), { cause: error });
}
