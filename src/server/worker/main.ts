// A worker of `hint serve --workers`: an engine in a process of its own, which serves on a Unix socket. Its parent sends one
// message, what WorkerStart says. It ends when its parent does, however that ends.
import { Engine } from '../../inference/engine.js';
import { HintError } from '../../util/errors.js';
import { createApp } from '../http/app.js';
import { hintPlugin } from '../plugin.js';
import type { WorkerMessage, WorkerStart } from '../workers/messages.js';

process.once('disconnect', () => process.exit());
// What ends a service sends these to all of its processes; the parent answers them, once no request needs a worker.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.once('message', (start) => {
  serve(start as WorkerStart).catch((error: unknown) => {
    const { code, message } = error instanceof HintError ? error : new HintError('INTERNAL', String(error));
    process.send?.({ type: 'failed', code, message } satisfies WorkerMessage, () => process.exit(1));
  });
});

async function serve({ socket, directory, engine: opened, model, limits }: WorkerStart): Promise<void> {
  const { device, threads, dtype, tokenizer } = opened;
  const engine = await Engine.open(directory, {
    ...{ device, threads },
    ...(dtype === undefined ? {} : { dtype }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
  });
  const tell = (message: WorkerMessage): void => void process.send?.(message);
  // The requests themselves are in the log of the parent.
  const app = createApp((line) => tell({ type: 'log', line }), 'error');
  await app.register(hintPlugin, { engine, model, limits });
  // The parent keeps its connections and would find them closed when it needs them.
  app.server.keepAliveTimeout = 0;
  await app.listen({ path: socket });
  tell({ type: 'ready', notices: engine.notices });
}
