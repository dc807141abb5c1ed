// Preloaded by a rank: blocks the JavaScript of rank 1 for 15 s once the run has metrics, and says so in a file.
import { existsSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const { OMPI_COMM_WORLD_RANK: rank, HINT_TEST_BLOCKED: blocked, HINT_TEST_METRICS: metrics } = process.env;

if (isMainThread && rank === '1') {
  const timer = setInterval(() => {
    if (!existsSync(metrics)) return;
    clearInterval(timer);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15_000);
    writeFileSync(blocked, '');
  }, 5).unref();
}
