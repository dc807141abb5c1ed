import { afterAll } from 'vitest';
import { Engine, type EngineOptions } from '../../src/index.js';
import { startServer, type RunningServer, type ServerOptions } from '../../src/server/index.js';
import type { ModelConfig } from '../../src/model/config/config.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from '../inference/models.js';

const directories: string[] = [];
const engines: Engine[] = [];
const servers: RunningServer[] = [];

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await Promise.all(engines.map((engine) => engine.close()));
  await removeAll(directories);
});

/** An engine of a small random model, closed after the tests of the file. */
export async function openTiny(
  config: ModelConfig = tinyConfig(FULL_HINT),
  options: EngineOptions = {},
): Promise<Engine> {
  const directory = await writeModel(config);
  directories.push(directory);
  const engine = await Engine.open(directory, { threads: 1, ...options });
  engines.push(engine);
  return engine;
}

/** A server on any free port, stopped after the tests of the file. */
export async function serve(engine: Engine, options: ServerOptions = {}): Promise<RunningServer> {
  const server = await startServer(engine, { port: 0, model: 'tiny', drainSeconds: 0, ...options });
  servers.push(server);
  return server;
}

/** Sends JSON, or a text as it is, and reads JSON. */
export async function ask<Body = Record<string, unknown>>(
  server: RunningServer,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Body; headers: Headers }> {
  const response = await fetch(server.url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body, headers: response.headers };
}
