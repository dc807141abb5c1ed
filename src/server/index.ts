/**
 * hint-engine/server: a model over HTTP, for clients of OpenAI's API and its own.
 *
 * @packageDocumentation
 */
export { hintPlugin, type HintPluginOptions } from './plugin.js';
export { startServer, type ServerOptions } from './server.js';
export type { ListenOptions, RunningServer } from './http/listen.js';
export type { ServerLimits } from './answering/limits.js';
export { startWorkers, type WorkersOptions, type WorkersServer } from './workers/start-workers.js';
