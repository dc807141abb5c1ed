import { checked, path as pathKind } from '../../util/arguments.js';
import { COMPILE_REQUEST, type CompileRequest } from '../compile/compile-request.js';
import { ONLY_SIGNAL } from '../task/task-arguments.js';
import type { TaskOrigin } from '../contract/task-metadata.js';
import type { Task, TaskHost } from '../task/task.js';
import {
  TaskCache,
  type CachedTask,
  type TaskCacheMetrics,
  type TaskCacheOptions,
  type TaskMaker,
} from './task-cache.js';

/** How the tasks of an engine come about. */
export interface EngineTaskMaker extends TaskMaker {
  resolve(request: CompileRequest): TaskOrigin;
  /** What a task file was compiled from; undefined where that was token ids, or where it was trained since. */
  originOfFile(path: string): Promise<TaskOrigin | undefined>;
  /** As Engine.loadTask. */
  loadTask(path: string, signal: AbortSignal | undefined): Promise<Task>;
}

/** An engine's cached tasks, asked for as they are compiled. */
export class EngineTasks {
  private readonly cache: TaskCache;

  constructor(
    private readonly host: TaskHost,
    private readonly maker: EngineTaskMaker,
    options?: TaskCacheOptions,
  ) {
    this.cache = new TaskCache(host, maker, options);
  }

  /**
   * The task of a definition and its examples: as it lies there, brought back, or compiled. Asked for several times at
   * once it is compiled once.
   *
   * @example
   * ```ts
   * using task = await engine.tasks.get({ definition: 'Name the colour.' });
   * ```
   * @returns a handle of the caller's own; the task stays on the device until it is disposed
   * @throws HintError as Engine.compile
   */
  async get(request: CompileRequest, options: { signal?: AbortSignal | undefined } = {}): Promise<Task> {
    const { signal } = checked(ONLY_SIGNAL, options, 'options');
    const given = checked(COMPILE_REQUEST, request, 'request');
    this.host.checkOpen();
    return this.cache.get(this.maker.resolve(given), signal ?? given.signal);
  }

  /**
   * The task of a file that Task.save wrote; the cache can take it off the device and load it again. One that was
   * compiled from token ids, or trained since, has no definition to be found by; it is loaded for the caller alone.
   *
   * @returns as {@link get}
   * @throws HintError as Engine.loadTask
   */
  async load(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<Task> {
    checked(pathKind, path, 'path');
    const { signal } = checked(ONLY_SIGNAL, options, 'options');
    return this.host.run(signal, async (inner) => {
      const origin = await this.maker.originOfFile(path);
      return origin ? this.cache.load(origin, path, inner) : this.maker.loadTask(path, inner);
    });
  }

  /**
   * What the cache has of a task: whether {@link get} would have to compile it. Looking is not using.
   *
   * @throws HintError INVALID_ARGUMENT, INVALID_DATA
   */
  find(request: CompileRequest): CachedTask | undefined {
    return this.cache.find(this.maker.resolve(checked(COMPILE_REQUEST, request, 'request')));
  }

  /** The tasks there are, used last last. */
  list(): CachedTask[] {
    return this.cache.list();
  }

  /** Counts and times since the engine was opened. */
  get metrics(): TaskCacheMetrics {
    return this.cache.metrics;
  }

  /** Forgets a task; false where there is none, or it is in use. @throws HintError INVALID_ARGUMENT, INVALID_DATA */
  evict(request: CompileRequest): boolean {
    return this.cache.evict(this.maker.resolve(checked(COMPILE_REQUEST, request, 'request')));
  }

  /** Forgets every task that nobody uses. */
  clear(): void {
    this.cache.clear();
  }

  /** @internal */
  close(): Promise<void> {
    return this.cache.close();
  }
}
