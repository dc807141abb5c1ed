import { availableParallelism } from 'node:os';
import type { WeightDType } from '../../tensor/ops.js';
import { MOST_THREADS } from '../../tensor/threads.js';
import {
  checked,
  choice,
  integer,
  list,
  name,
  optional,
  options as optionsOf,
  path,
  signal,
  where,
  type Members,
} from '../../util/arguments.js';
import { DEFAULT_LIMITS, LIMITS, type ServerLimits } from '../answering/limits.js';
import { listen, LISTEN_OPTIONS, type ListenOptions, type RunningServer } from '../http/listen.js';
import { DEFAULT_DRAIN_SECONDS } from '../http/requests.js';
import { OPEN_PATHS } from '../page/open-paths.js';
import { addFront } from './front-plugin.js';
import { WorkerPool } from './worker-pool.js';

const MOST_WORKERS = 64;
/** As there is no limit of their own, which the front has. */
const UNLIMITED = 2 ** 20;

/** How {@link startWorkers} serves. */
export interface WorkersOptions extends ListenOptions {
  /** Engines, each in a process of its own (default: one for each of `devices`). */
  workers?: number;
  /** What computes: `cpu`, `cuda`, `cuda:1`; worker i is on device i modulo their number (default: the CPU). */
  devices?: readonly string[];
  /** Compute threads of each worker, 0 (the default) for an equal part of the cores. */
  threads?: number;
  /** What matrices are held and multiplied in (default f32). */
  dtype?: WeightDType;
  /** The path of a tokenizer.json; default: that of the model directory. */
  tokenizer?: string;
  /** The name that requests call the model by (default "hint"). */
  model?: string;
  /** What requests may ask for, where it differs from the defaults of {@link ServerLimits}. */
  limits?: Partial<ServerLimits>;
  /** Ends the start. */
  signal?: AbortSignal;
}

/** A server whose engines are in workers. */
export interface WorkersServer extends RunningServer {
  /** What the model's files ask for that is not done, one sentence each. */
  readonly notices: readonly string[];
  /** Process ids of the workers that serve now, in the order of their numbers. */
  readonly pids: () => readonly number[];
}

const OPTIONS: Members<WorkersOptions> = {
  ...LISTEN_OPTIONS,
  workers: optional(integer(1, MOST_WORKERS)),
  devices: optional(
    where<readonly string[]>(
      'a list of devices, such as ["cuda:0", "cuda:1"]',
      (value) => Array.isArray(value) && value.length > 0 && list(name).read(value).length > 0,
    ),
  ),
  threads: optional(integer(0, MOST_THREADS)),
  dtype: optional(choice('f32', 'bf16', 'int8')),
  tokenizer: optional(path),
  model: optional(name),
  limits: optional(optionsOf<Partial<ServerLimits>>(LIMITS)),
  signal: optional(signal),
};

/**
 * Serves a model as {@link startServer} does, by several processes behind one port. A request goes to the worker that has
 * its task; a worker that ends is started anew, and what it had not answered is answered by others.
 *
 * @example
 * ```ts
 * const server = await startWorkers('runs/demo/hint/model', { devices: ['cuda:0', 'cuda:1'] });
 * ```
 * @throws HintError INVALID_ARGUMENT, also for more devices than workers; what opening the model throws in any worker; ABORTED;
 *   what {@link startServer} throws of host, port and keys
 */
export async function startWorkers(directory: string, options: WorkersOptions = {}): Promise<WorkersServer> {
  const given = checked(optionsOf<WorkersOptions>(OPTIONS), options, 'options');
  const { devices = ['cpu'], workers = devices.length, threads = 0, dtype, tokenizer } = given;
  const limits = { ...DEFAULT_LIMITS, ...given.limits };
  const log = given.log ?? (() => undefined);
  const share = Math.min(MOST_THREADS, Math.max(1, Math.floor(availableParallelism() / workers)));
  const plan = Array.from({ length: workers }, (_, i) => ({
    directory,
    engine: { device: devices[i % devices.length]!, threads: threads || share, dtype, tokenizer },
    model: given.model ?? 'hint',
    limits: { ...limits, tasks: UNLIMITED, trainedTasks: UNLIMITED },
  }));
  const { pool, notices } = await WorkerPool.start(plan, log, given.signal);
  try {
    const drainSeconds = given.drainSeconds ?? DEFAULT_DRAIN_SECONDS;
    const server = await listen(given, OPEN_PATHS, async (app) => {
      await app.register(addFront, { pool, limits, drainSeconds });
    });
    const pids = (): number[] => pool.workers.flatMap(({ pid }) => pid ?? []);
    return { ...server, notices, pids };
  } catch (error) {
    await pool.close();
    throw error;
  }
}
