import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ServerLimits } from '../answering/limits.js';
import { endingOf } from '../http/ending.js';
import { InFlight, takeRequests } from '../http/requests.js';
import { TaskFolder } from '../own/task-folder.js';
import { FrontMetrics } from './front-metrics.js';
import { addFrontTasks } from './front-tasks.js';
import { Router } from './router.js';
import { SharedTasks } from './shared-tasks.js';
import {
  chatTarget,
  instructionTarget,
  mixedTarget,
  namedTarget,
  responseTarget,
  type Targeting,
} from './targets.js';
import type { WorkerPool } from './worker-pool.js';

/** Bodies of these go where their task is warm. */
const TARGETED: Readonly<Record<string, Targeting>> = {
  '/v1/chat/completions': chatTarget,
  '/v1/responses': responseTarget,
  '/v1/completions': namedTarget,
  '/v1/embeddings': namedTarget,
  '/v1/compare': instructionTarget,
  '/v1/generate': mixedTarget,
};
/** The same on every worker. */
const ANYWHERE = ['/', '/page/:file', '/openapi.json', '/v1/models', '/v1/models/*'];
const OF_TASK = [
  ['POST', 'generate'],
  ['POST', 'rank'],
  ['GET', 'file'],
] as const;

/** What {@link addFront} serves. */
export interface FrontOptions {
  readonly pool: WorkerPool;
  readonly limits: ServerLimits;
  readonly drainSeconds: number;
}

/** The endpoints of a server whose engines are in workers. */
export async function addFront(
  app: FastifyInstance,
  { pool, limits, drainSeconds }: FrontOptions,
): Promise<void> {
  const isDraining = takeRequests(app, { ...limits, drainSeconds });
  const inFlight = new InFlight();
  const metrics = new FrontMetrics(pool, () => inFlight.count);
  const tasks = new SharedTasks(limits);
  const folder = new TaskFolder();
  const router = new Router(pool, tasks);
  app.addHook('onClose', async () => {
    await pool.close();
    await folder.close();
  });
  await app.register(async (work) => {
    inFlight.limit(work, limits.requests);
    for (const [url, target] of Object.entries(TARGETED))
      work.post(url, async (request, reply) => {
        const { body, ...where } = target(request.body, tasks);
        return router.forward(request, reply, { ...where, method: 'POST', path: url, body: { json: body } });
      });
    for (const [method, what] of OF_TASK)
      work.route({
        method,
        url: `/v1/tasks/:id/${what}`,
        handler: async (request: FastifyRequest, reply) => {
          const task = tasks.get((request.params as { id: string }).id);
          const path = `/v1/tasks/${task.id}/${what}`;
          const body = method === 'POST' ? { json: request.body } : undefined;
          return router.forward(request, reply, { key: task.id, tasks: [task], method, path, body });
        },
      });
    addFrontTasks(work, { pool, router, tasks, folder, limits });
  });
  for (const url of ANYWHERE)
    app.get(url, async (request, reply) =>
      router.forward(request, reply, { method: 'GET', path: request.url }),
    );
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) =>
    !isDraining() && pool.workers.length > 0
      ? { status: 'ready' }
      : reply.code(503).send({ status: 'not ready' }),
  );
  app.get('/metrics', async (request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text(endingOf(request))),
  );
}
