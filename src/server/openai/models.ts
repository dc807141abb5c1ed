import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Served } from '../answering/served.js';
import { nowInSeconds } from './identity.js';

const MODEL = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});
const PARAMS = z.strictObject({ '*': z.string() });

/** GET /v1/models: the one that is served. Its name may have a slash. */
export function addModels(app: FastifyInstance, served: Served): void {
  const model: z.infer<typeof MODEL> = {
    id: served.model,
    object: 'model',
    created: nowInSeconds(),
    owned_by: 'hint-engine',
  };
  app.get(
    '/v1/models',
    {
      schema: {
        summary: 'The model that is served',
        tags: ['OpenAI'],
        response: { 200: z.object({ object: z.literal('list'), data: z.array(MODEL) }) },
      },
    },
    async () => ({ object: 'list', data: [model] }),
  );
  app.get<{ Params: z.infer<typeof PARAMS> }>(
    '/v1/models/*',
    { schema: { hide: true, params: PARAMS } },
    async (request) => {
      served.checkModel(request.params['*']);
      return model;
    },
  );
}
