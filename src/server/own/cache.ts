import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { CachedTask } from '../../inference/serving/task-cache.js';
import type { Served } from '../answering/served.js';
import { taskId, type TaskRegistry } from '../answering/task-registry.js';
import { CACHED, cacheBody } from './schemas.js';

const ENTRY = z.object({
  id: z.string().describe('As that of a registered task of the same instruction.'),
  registered: z.boolean().describe('False of what came as the system message of a chat.'),
  name: z.string().nullable(),
  in_use: z.int().describe('Requests that run with it.'),
  ...CACHED,
});
const RESPONSE = z.object({
  object: z.literal('cache'),
  bytes: z.int().describe('Of all tasks on the device.'),
  data: z.array(ENTRY).describe('Used last first.'),
});

/** GET /v1/cache: which tasks lie compiled, by id. The instructions of chats are not told: they are those of others. */
export function addCache(app: FastifyInstance, served: Served, tasks: TaskRegistry): void {
  const { engine } = served;
  app.get(
    '/v1/cache',
    {
      schema: {
        summary: 'The tasks that are compiled now, registered or not',
        tags: ['Tasks'],
        response: { 200: RESPONSE },
      },
    },
    async () => {
      const registered = new Map(tasks.list().map((task) => [task.id, task]));
      const data = engine.tasks.list().map((cached: CachedTask) => {
        const id = taskId(cached.origin);
        const task = registered.get(id);
        return {
          id,
          registered: task !== undefined,
          name: task?.names[0] ?? null,
          in_use: cached.users,
          ...cacheBody(cached),
        };
      });
      return { object: 'cache', bytes: engine.tasks.metrics.bytes, data: data.reverse() };
    },
  );
}
