import { Validator } from '@seriousme/openapi-schema-validator';
import parsePrometheus from 'parse-prometheus-text-format';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from './served.js';

let server: RunningServer;

beforeAll(async () => {
  server = await serve(await openTiny());
});

interface Document {
  paths: Record<string, Record<string, { requestBody?: object; responses: Record<string, object> }>>;
}

describe('the OpenAPI document', () => {
  it('is valid, and has every endpoint with its body and answer', async () => {
    const { body } = await ask<Document>(server, 'GET', '/openapi.json');
    expect(await new Validator().validate(body as never)).toEqual({ valid: true });
    const endpoints = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(endpoints.sort()).toEqual([
      'delete /v1/tasks/{id}',
      'get /v1/cache',
      'get /v1/models',
      'get /v1/tasks',
      'get /v1/tasks/{id}',
      'get /v1/tasks/{id}/file',
      'post /v1/chat/completions',
      'post /v1/compare',
      'post /v1/completions',
      'post /v1/embeddings',
      'post /v1/generate',
      'post /v1/responses',
      'post /v1/tasks',
      'post /v1/tasks/file',
      'post /v1/tasks/{id}/generate',
      'post /v1/tasks/{id}/rank',
    ]);
    const chat = JSON.stringify(body.paths['/v1/chat/completions']?.post);
    for (const word of [
      '"temperature"',
      '"stream_options"',
      '"cached_tokens"',
      'Not supported, except as 0.',
    ])
      expect(chat).toContain(word);
  });
});

describe('metrics', () => {
  it('parse as Prometheus reads them, and count requests, tokens and tasks', async () => {
    const body = {
      model: 'tiny',
      messages: [
        { role: 'system', content: 'Count.' },
        { role: 'user', content: 'A cow.' },
      ],
      max_tokens: 3,
    };
    for (let i = 0; i < 2; i++)
      expect((await ask(server, 'POST', '/v1/chat/completions', body)).status).toBe(200);
    await ask(server, 'POST', '/v1/chat/completions', { model: 'none' });
    const response = await fetch(`${server.url}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const families = parsePrometheus(await response.text());
    const valueOf = (name: string, labels: Record<string, string> = {}): number => {
      const found = families
        .find((family) => family.name === name)
        ?.metrics.find((one) =>
          Object.entries(labels).every(([label, value]) => one.labels?.[label] === value),
        );
      return Number(found?.value);
    };
    const route = '/v1/chat/completions';
    expect(valueOf('hint_requests_total', { route, status: '200' })).toBe(2);
    expect(valueOf('hint_requests_total', { route, status: '400' })).toBe(1);
    expect(valueOf('hint_tokens_total', { kind: 'output' })).toBe(6);
    expect(valueOf('hint_tokens_total', { kind: 'instruction' })).toBe(
      valueOf('hint_tokens_total', { kind: 'cached_instruction' }),
    );
    expect(valueOf('hint_task_cache_misses_total')).toBe(1);
    expect(valueOf('hint_task_cache_hits_total')).toBe(1);
    expect(valueOf('hint_cached_tasks')).toBe(1);
    expect(valueOf('hint_device_bytes')).toBeGreaterThan(0);
    expect(valueOf('hint_requests_in_flight')).toBe(0);
    expect(families.map(({ name }) => name)).toContain('nodejs_eventloop_lag_seconds');
  });
});
