import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Served } from '../answering/served.js';

/** An endpoint of OpenAI's API whose body names the model. */
export interface OpenAiRoute<Body extends z.ZodType<{ model: string }>> {
  readonly url: string;
  /** What it does, in the OpenAPI document. */
  readonly summary: string;
  readonly body: Body;
  /** The answer that is no stream, for the document. */
  readonly response: z.ZodType;
  /** Answers a body that is of the schema and names the served model. */
  answer(body: z.infer<Body>, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
}

/** Adds a POST of OpenAI's API. A request for another model is refused before anything else. */
export function addOpenAiRoute<Body extends z.ZodType<{ model: string }>>(
  app: FastifyInstance,
  served: Served,
  { url, summary, body, response, answer }: OpenAiRoute<Body>,
): void {
  app.route<{ Body: z.infer<Body> }>({
    method: 'POST',
    url,
    schema: { summary, tags: ['OpenAI'], body, response: { 200: response } },
    handler: async (request, reply) => {
      const asked = request.body as z.infer<Body>;
      served.checkModel(asked.model);
      return answer(asked, request as FastifyRequest, reply);
    },
  });
}
