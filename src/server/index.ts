/**
 * hint-engine/server: a model over HTTP, for clients of OpenAI's API and its own.
 *
 * @packageDocumentation
 */
export { hintPlugin, type HintPluginOptions } from './plugin.js';
export { startServer, type RunningServer, type ServerOptions } from './server.js';
export type { ServerLimits } from './answering/limits.js';
