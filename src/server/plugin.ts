import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import { Engine } from '../inference/engine.js';
import { checked, instance, integer, name, optional, options as optionsOf } from '../util/arguments.js';
import { packageVersion } from '../util/package-root.js';
import { DEFAULT_LIMITS, LIMITS, type ServerLimits } from './answering/limits.js';
import { Metrics } from './answering/metrics.js';
import { Served } from './answering/served.js';
import { TaskRegistry } from './answering/task-registry.js';
import { DEFAULT_DRAIN_SECONDS, InFlight, takeRequests } from './http/requests.js';
import { addChat } from './openai/chat.js';
import { addCompletions } from './openai/completions.js';
import { addEmbeddings } from './openai/embeddings.js';
import { addModels } from './openai/models.js';
import { addResponses } from './openai/responses.js';
import { addCache } from './own/cache.js';
import { addCompare } from './own/compare.js';
import { addGenerate } from './own/generate.js';
import { addRank } from './own/rank.js';
import { addTaskFiles } from './own/task-files.js';
import { TaskFolder } from './own/task-folder.js';
import { addTasks } from './own/tasks.js';
import { addPage } from './page/page.js';

/** What {@link hintPlugin} serves. */
export interface HintPluginOptions {
  /** The model; it stays the caller's, who closes it after the server. */
  engine: Engine;
  /** The name that requests call the model by (default "hint"). */
  model?: string;
  /** What requests may ask for, where it differs from the defaults of {@link ServerLimits}. */
  limits?: Partial<ServerLimits>;
  /** For how many seconds closing the server waits for answers under way (default 30). */
  drainSeconds?: number;
}

const OPTIONS = optionsOf<HintPluginOptions & { prefix?: string }>({
  engine: instance(Engine, 'an Engine, such as await Engine.open("model")'),
  model: optional(name),
  limits: optional(optionsOf<Partial<ServerLimits>>(LIMITS)),
  drainSeconds: optional(integer(0, 86_400)),
  // Fastify's own, which it hands on.
  prefix: optional(name),
});

/**
 * A Fastify plugin that answers as `hint serve` does: OpenAI's API, tasks, /metrics, /healthz, /readyz, /openapi.json,
 * and at / a page to try it in.
 * Who may ask is the business of the application; {@link startServer} has guards of its own.
 *
 * @example
 * ```ts
 * const app = Fastify();
 * await app.register(hintPlugin, { engine, prefix: '/hint' });
 * ```
 * @throws HintError INVALID_ARGUMENT
 */
export async function hintPlugin(app: FastifyInstance, options: HintPluginOptions): Promise<void> {
  const {
    engine,
    model = 'hint',
    drainSeconds = DEFAULT_DRAIN_SECONDS,
    ...given
  } = checked(OPTIONS, options, 'options');
  const limits: ServerLimits = { ...DEFAULT_LIMITS, ...given.limits };
  const inFlight = new InFlight();
  const metrics = new Metrics(engine, () => inFlight.count);
  const served = new Served(engine, model, limits, metrics);
  const tasks = new TaskRegistry(served);
  const folder = new TaskFolder();

  const isDraining = takeRequests(app, { ...limits, drainSeconds });
  app.addHook('onResponse', async (request, reply) => {
    metrics.addRequest(request.routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime / 1000);
  });
  app.addHook('onClose', async () => {
    tasks.close();
    await folder.close();
  });

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'hint serve',
        description: 'Instructions that are compiled once, and inputs that are answered under them.',
        version: packageVersion(),
      },
    },
    transform: jsonSchemaTransform,
  });
  await app.register(async (work) => {
    inFlight.limit(work, limits.requests);
    addChat(work, served);
    addCompletions(work, served, tasks);
    addResponses(work, served);
    addEmbeddings(work, served, tasks);
    addModels(work, served);
    addTasks(work, served, tasks, folder);
    addGenerate(work, served, tasks);
    addRank(work, served, tasks);
    addTaskFiles(work, served, tasks, folder);
    addCache(work, served, tasks);
    addCompare(work, served);
  });
  const hidden = { schema: { hide: true } };
  app.get('/healthz', hidden, async () => ({ status: 'ok' }));
  app.get('/readyz', hidden, async (_request, reply) => {
    try {
      engine.checkOpen();
      if (!isDraining()) return { status: 'ready' };
    } catch {
      // Told as not ready.
    }
    return reply.code(503).send({ status: 'not ready' });
  });
  app.get('/metrics', hidden, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  app.get('/openapi.json', hidden, async () => app.swagger());
  await addPage(app);
}
