// Work that never ends by itself, to be ended at a given moment: in this process, or in worker threads of it.
//   node work.mjs SETTINGS
// SETTINGS is JSON: `library`, the address of the library; `model`, a directory; `training`, a training config; `kind`,
// what is worked on; `ending`, how it ends; `delays`, the milliseconds after the work has begun, one a round; `workers`, how many.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads';

const settings = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const { library, model, training, kind, ending, delays, workers: count } = settings;
const program = fileURLToPath(import.meta.url);

/** @param begun called when the work is under way */
async function work(begun) {
  const { Engine, trainFromConfig } = await import(library);
  if (kind === 'train') {
    await trainFromConfig(
      { ...training, output: `${training.output}-${threadId}` },
      { onEvent: (event) => event.kind === 'step' && begun() },
    );
    throw new Error('The training ended by itself.');
  }
  if (kind === 'load') {
    for (;;) {
      const engine = await Engine.open(model, { threads: 2 });
      begun();
      await engine.fingerprint();
      await engine.close();
    }
  }
  const engine = await Engine.open(model, { threads: 2 });
  const task = await engine.compile({ definition: 'Name the colour.' });
  const inputs = Array.from({ length: 16 }, (_, i) => `Words: cat green salad, and number ${i} of them.`);
  const answer = {
    compile: (round) => engine.compile({ definition: `Name the colour, for time ${round}.` }),
    embed: () => task.embed(inputs),
    submit: () => Promise.all(inputs.map((input) => engine.submit({ task, input }))),
    generate: () => task.generate(inputs, { maxTokens: 32 }),
  }[kind];
  for (let round = 0; ; round++) {
    const answers = answer(round);
    begun();
    await answers;
  }
}

/** Starts the work and waits until it is under way and `delay` has passed. */
async function workFor(delay) {
  await new Promise((resolve, reject) => work(resolve).catch(reject));
  await sleep(delay);
}

/** Workers that are under way, each with a promise of the code that it will end with. */
async function workersFor(delay) {
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(program, { workerData: { ...settings, delays: [delay] } });
    worker.on('error', () => undefined);
    const exit = new Promise((resolve) => worker.on('exit', resolve));
    // Not events.once, which takes an error for its own: that of a worker may come before the message that it sent earlier.
    return { worker, exit, begun: new Promise((resolve) => worker.on('message', resolve)) };
  });
  await Promise.all(workers.map(({ begun, exit }) => Promise.race([begun, exit])));
  return workers;
}

const endings = {
  exit: async (delay) => {
    await workFor(delay);
    process.exit(7);
  },
  error: async (delay) => {
    await workFor(delay);
    setImmediate(() => {
      throw new Error('An error that nobody catches.');
    });
  },
  rejection: async (delay) => {
    await workFor(delay);
    void Promise.reject(new Error('A rejection that nobody catches.'));
  },
  children: async (delay) => {
    await workFor(delay);
    const children = [
      fork(program, [JSON.stringify({ ending: 'nothing' })]),
      spawn(process.execPath, ['-e', '0']),
    ];
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
    process.exit(codes.every((code) => code === 0) ? 7 : 1);
  },
  nothing: async () => undefined,
  // The main thread goes on, and ends by itself.
  'worker terminated': async (delay) => {
    const workers = await workersFor(delay);
    await sleep(delay);
    await Promise.all(workers.map(({ worker }) => worker.terminate()));
  },
  'worker error': (delay) => workersEnd(delay, 1),
  'worker exit': (delay) => workersEnd(delay, 3),
  'exit beside workers': async (delay) => {
    await workersFor(delay);
    await workFor(delay);
    process.exit(7);
  },
};

async function workersEnd(delay, expected) {
  for (const { exit } of await workersFor(delay)) if ((await exit) !== expected) process.exitCode = 1;
}

if (isMainThread) {
  for (const delay of delays ?? [0]) await endings[ending](delay);
} else {
  await workFor(delays[0] / 2);
  parentPort.postMessage('begun');
  if (ending === 'worker error')
    setTimeout(() => {
      throw new Error('An error in a worker.');
    }, delays[0] / 2);
  if (ending === 'worker exit') setTimeout(() => process.exit(3), delays[0] / 2);
}
