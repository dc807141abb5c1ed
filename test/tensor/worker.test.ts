import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

const library = pathToFileURL(resolve(import.meta.dirname, '../../dist/tensor/index.js')).href;

function work(body: string): Worker {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { Device, ops } from ${JSON.stringify(library)};
    const device = new Device({ threads: 1 });
    ${body}
  `;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
}

function answer(worker: Worker): Promise<unknown> {
  return new Promise((done, failed) => {
    worker.once('message', done);
    worker.once('error', failed);
  });
}

describe('worker threads', () => {
  it('each have an engine of their own', async () => {
    const body = `
      const x = device.full([3], 2);
      parentPort.postMessage([...await ops.scale(x, 2).read()]);
      device.close();`;
    const workers = [work(body), work(body)];
    expect(await Promise.all(workers.map(answer))).toEqual([
      [4, 4, 4],
      [4, 4, 4],
    ]);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  it('can be ended in the middle of their work without taking the process along', async () => {
    const worker = work(`
      const a = device.full([1024, 1024], 1);
      let product = a;
      for (let i = 0; i < 200; i++) product = ops.linear(product, a, { alpha: 1e-3 });
      parentPort.postMessage('busy');
      await product.read();`);
    expect(await answer(worker)).toBe('busy');
    await worker.terminate();
  });
});
