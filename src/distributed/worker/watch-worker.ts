// A thread beside that of a rank's JavaScript, so that the others hear from the rank while that thread is busy.
import { parentPort, workerData } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { Watch, type Hub } from '../watch.js';
import type { WatchData, WatchNews, WatchOrder } from '../watch-words.js';

const port = parentPort!;
const tell = (news: WatchNews): void => port.postMessage(news);

let takeHub: (hub: Hub) => void;
const hub = new Promise<Hub>((resolve) => (takeHub = resolve));

async function share(own: Hub | undefined): Promise<Hub> {
  tell({ kind: 'share', hub: own });
  return hub;
}

const starting = Watch.start(workerData as WatchData, share, (loss) => tell({ kind: 'loss', loss }));

starting.then(
  () => tell({ kind: 'started' }),
  (error: unknown) => {
    const code = error instanceof HintError ? error.code : 'INTERNAL';
    tell({ kind: 'refused', code, message: error instanceof Error ? error.message : String(error) });
    port.close();
  },
);

port.on('message', (order: WatchOrder) => {
  if (order.kind === 'hub') takeHub(order.hub);
  else void starting.then((watch) => obey(watch, order));
});

async function obey(watch: Watch, order: Exclude<WatchOrder, { kind: 'hub' }>): Promise<void> {
  if (order.kind === 'fail') {
    tell({ kind: 'failed', isToldByFirst: await watch.fail(order.message) });
    return;
  }
  await watch.leave();
  tell({ kind: 'left' });
  port.close();
}
