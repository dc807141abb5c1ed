import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Instruction, Served } from '../answering/served.js';
import { SharedTask } from '../answering/shared-task.js';
import type { TaskRegistry } from '../answering/task-registry.js';
import { endingOf } from '../http/ending.js';
import { ApiError } from '../http/errors.js';
import type { TaskFolder } from './task-folder.js';
import { TASK, TASK_NAME, TASK_PARAMS, taskBody } from './schemas.js';
import { HintError } from '../../util/errors.js';
import { ioError } from '../../util/write-error.js';

const QUERY = z.strictObject({ name: TASK_NAME.optional() });
const FILE = 'application/octet-stream';

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
    scope.removeAllContentTypeParsers();
    // The file is written as it comes, so that it is never in memory whole.
    scope.addContentTypeParser(FILE, { bodyLimit: served.limits.taskFileBytes }, (_request, body, done) =>
      done(null, body),
    );
    scope.addContentTypeParser('*', (_request, _body, done) =>
      done(new ApiError(415, `A task file is sent with "Content-Type: ${FILE}"; send it with that.`)),
    );
    scope.route<{ Querystring: z.infer<typeof QUERY>; Body: Readable }>({
      method: 'POST',
      url: '/v1/tasks/file',
      bodyLimit: served.limits.taskFileBytes,
      schema: {
        summary: 'Take in the file of a task that this model compiled',
        tags: ['Tasks'],
        consumes: [FILE],
        querystring: QUERY,
        response: { 200: TASK, 201: TASK },
      },
      handler: async (request, reply) => {
        const signal = endingOf(request);
        const path = await folder.newPath();
        let keeps = false;
        try {
          const digest = await receive(request.body, path, served.limits.taskFileBytes, signal);
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

/** Writes a file as it comes. @returns its SHA-256, in hexadecimal digits */
async function receive(body: Readable, path: string, most: number, signal: AbortSignal): Promise<string> {
  let bytes = 0;
  const hash = createHash('sha256');
  try {
    await pipeline(
      body,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          if (bytes > most)
            throw new ApiError(413, `The file is larger than ${most} bytes, the limit of this server.`);
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(path, { flags: 'wx', mode: 0o600 }),
      { signal },
    );
    return hash.digest('hex');
  } catch (error) {
    const failure = error instanceof ApiError ? error : ioError('write', 'the task file', error);
    if (failure instanceof HintError) throw new ApiError(507, failure.message, { code: 'io' });
    throw error;
  }
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

/** An error that names no file of the server. */
function withoutPath(error: unknown, path: string): unknown {
  if (!(error instanceof HintError) || !error.message.includes(path)) return error;
  return new HintError(error.code, error.message.replaceAll(path, 'The task file'), { cause: error });
}
