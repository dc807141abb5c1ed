import type { Engine } from '../inference/engine.js';
import { checked, name, optional, options as optionsOf, type Members } from '../util/arguments.js';
import { listen, LISTEN_OPTIONS, type ListenOptions, type RunningServer } from './http/listen.js';
import { OPEN_PATHS } from './page/open-paths.js';
import { hintPlugin, type HintPluginOptions } from './plugin.js';

/** How {@link startServer} serves. */
export interface ServerOptions extends ListenOptions, Omit<HintPluginOptions, 'engine'> {}

const OPTIONS: Members<ServerOptions> = {
  ...LISTEN_OPTIONS,
  model: optional(name),
  // Checked by the plugin.
  limits: { ...optional(optionsOf<object>({})), read: (value) => value as object },
};

/**
 * Serves a model over HTTP, safe by default: to this machine only, and only to programs and its own pages.
 *
 * @example
 * ```ts
 * const server = await startServer(await Engine.open('model'), { port: 8080 });
 * ```
 * @throws HintError INVALID_ARGUMENT, also for a host beyond this machine without API keys; NOT_FOUND, IO, INVALID_DATA (keys);
 *   BUSY for a port that is taken
 */
export async function startServer(engine: Engine, options: ServerOptions = {}): Promise<RunningServer> {
  const given = checked(optionsOf<ServerOptions>(OPTIONS), options, 'options');
  const { model, limits, drainSeconds } = given;
  const plugin = {
    ...(model === undefined ? {} : { model }),
    ...(limits ? { limits } : {}),
    ...(drainSeconds === undefined ? {} : { drainSeconds }),
  };
  return listen(given, OPEN_PATHS, async (app) => {
    await app.register(hintPlugin, { engine, ...plugin });
  });
}
