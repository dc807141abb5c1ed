import { join } from 'node:path';
import { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../../util/errors.js';
import { Engine } from '../../../inference/engine.js';
import type { TaskCacheMetrics } from '../../../inference/serving/task-cache.js';
import { parseModelConfig, readModelConfig, serializeModelConfig } from '../../../model/config/config.js';
import { buildModel } from '../../../model/hint/build-model.js';
import type { EncoderDecoderModel } from '../../../model/hint/encoder-decoder-model.js';
import { initialiseParameters } from '../../../model/parameters/initialise.js';
import { uniforms } from '../../../benchmark/random-model.js';
import { Device } from '../../../tensor/device.js';
import { watchEventLoopLag, type EventLoopLag } from '../../../util/event-loop-lag.js';
import { compareWays, type WaysReport } from './soak-ways.js';
import { packageRoot } from '../../../util/package-root.js';

export interface SoakOptions {
  requests: number;
  /** Requests under way at once. */
  clients: number;
  /** Different instructions. */
  tasks: number;
  /** Memory is looked at after each of these parts of the requests, when nothing runs. */
  rounds: number;
  threads?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

export interface SoakReport {
  requests: number;
  cancelled: number;
  seconds: number;
  latency: { p50: number; p99: number; max: number };
  lag: EventLoopLag;
  /** Bytes of tensors on the device, and of the process, after each round. */
  memory: { deviceBytes: number; rss: number }[];
  tasks: TaskCacheMetrics;
  /** The same requests by `engine.submit` and by `task.stream`, in turns, when the rest is done. */
  ways: WaysReport;
}

const RSS_SLACK = 64 * 1024 * 1024;

/** Whether no round left memory behind: tensors none at all, the process no more than its allocators keep. */
export function isFlat({ memory }: SoakReport): boolean {
  const [, second = memory[0], ...rest] = memory;
  return rest.every(
    ({ deviceBytes, rss }) =>
      second !== undefined && deviceBytes <= second.deviceBytes && rss <= second.rss * 1.1 + RSS_SLACK,
  );
}

/**
 * Serves random requests of many tasks by a model of the demo's shape with random weights: lengths, tasks and
 * cancellations differ from request to request, and the task cache is too small for all tasks.
 *
 * @throws HintError what a request fails with, ABORTED
 */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const directory = join(packageRoot(), 'models/demo-t5');
  using device = new Device({ threads: options.threads ?? 0 });
  const config = parseModelConfig({
    ...serializeModelConfig(await readModelConfig(directory)),
    hint: { adapter_size: 8, prefix_length: 4 },
  });
  const model = buildModel(device, config, initialiseParameters(device, config, 1));
  const tokenizer = await Tokenizer.load(join(directory, 'tokenizer.json'));
  const maxBytes = Math.ceil(options.tasks / 2) * (await bytesOfTask(model, tokenizer));
  const engine = new Engine(model, tokenizer, false, { taskCache: { maxBytes } });
  const endWatch = watchEventLoopLag();
  try {
    const report = await serve(engine, options, endWatch);
    return { ...report, ways: await ways(engine, options) };
  } finally {
    endWatch();
    await engine.close();
    await device.synchronize();
    model.dispose();
  }
}

async function serve(
  engine: Engine,
  { requests, clients, tasks, rounds, signal, onProgress }: SoakOptions,
  endWatch: () => EventLoopLag,
): Promise<Omit<SoakReport, 'ways'>> {
  const began = performance.now();
  const uniform = uniforms(7);
  const latencies: number[] = [];
  const memory: SoakReport['memory'] = [];
  let cancelled = 0;
  for (let round = 1; round <= rounds; round++) {
    const end = Math.floor((requests * round) / rounds);
    const client = async (): Promise<void> => {
      while (latencies.length + cancelled + underWay < end) {
        throwIfAborted(signal);
        underWay++;
        const latency = await request(engine, uniform, tasks);
        underWay--;
        if (latency === undefined) cancelled++;
        else latencies.push(latency);
        onProgress?.(latencies.length + cancelled, requests);
      }
    };
    let underWay = 0;
    await Promise.all(Array.from({ length: clients }, client));
    await settled(engine);
    memory.push({ deviceBytes: engine.model.device.statistics().bytesInUse, rss: process.memoryUsage.rss() });
  }
  latencies.sort((a, b) => a - b);
  const percentile = (share: number): number => latencies[Math.floor(share * (latencies.length - 1))] ?? 0;
  return {
    requests,
    cancelled,
    seconds: (performance.now() - began) / 1000,
    latency: { p50: percentile(0.5), p99: percentile(0.99), max: latencies.at(-1) ?? 0 },
    lag: endWatch(),
    memory,
    tasks: engine.tasks.metrics,
  };
}

/** Few enough tasks that none has to be compiled meanwhile. */
async function ways(engine: Engine, { clients, tasks, requests, signal }: SoakOptions): Promise<WaysReport> {
  const held = await Promise.all(
    Array.from({ length: Math.min(20, tasks) }, (_, task) => engine.tasks.get(definitionOf(task))),
  );
  const each = Math.max(clients, Math.ceil(requests / 25));
  try {
    return await compareWays(engine, held, inputOf, { requests: each, clients, rounds: 5, signal });
  } finally {
    for (const task of held) task.dispose();
  }
}

/** One random request; milliseconds until it was answered, undefined where it was cancelled before. */
async function request(engine: Engine, uniform: () => number, tasks: number): Promise<number | undefined> {
  const stop = new AbortController();
  const timer = uniform() < 0.05 ? setTimeout(() => stop.abort(), uniform() * 20) : undefined;
  const began = performance.now();
  try {
    await engine.submit({
      task: definitionOf(Math.floor(uniform() * tasks)),
      input: inputOf(uniform),
      maxTokens: 1 + Math.floor(uniform() * 32),
      signal: stop.signal,
    });
    return performance.now() - began;
  } catch (error) {
    if (stop.signal.aborted && error instanceof HintError && error.code === 'ABORTED') return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const NAMES = ['cat', 'green', 'salad', 'red', 'dog', 'Paris', 'drum', 'plum', 'Oscar', 'water', 'baker'];

function inputOf(uniform: () => number): string {
  const words = Math.ceil(uniform() * uniform() * 60);
  return Array.from({ length: words + 1 }, () => NAMES[Math.floor(uniform() * NAMES.length)]).join(' ');
}

function definitionOf(task: number): { definition: string } {
  return { definition: `Say word number ${task} of the list.` };
}

async function bytesOfTask(model: EncoderDecoderModel, tokenizer: Tokenizer): Promise<number> {
  await using engine = new Engine(model, tokenizer);
  (await engine.tasks.get(definitionOf(10))).dispose();
  return engine.tasks.metrics.bytes;
}

/** Waits until nothing runs, and leaves no task behind. */
async function settled(engine: Engine): Promise<void> {
  do await new Promise((resolve) => setTimeout(resolve, 5));
  while (engine.serving.running > 0 || engine.tasks.list().some(({ users }) => users > 0));
  engine.tasks.clear();
  await engine.model.device.synchronize();
}
