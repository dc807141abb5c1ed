import { throwIfAborted } from '../../util/errors.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import { abortable } from '../../util/abortable.js';
import { bytes, optional, options } from '../../util/arguments.js';
import { disposeTasks, type CompiledTasks } from '../contract/compiled-tasks.js';
import type { TaskOrigin } from '../contract/task-metadata.js';
import { originKey } from '../task/task-origin.js';
import { Task, type TaskHost } from '../task/task.js';

/** How much an engine's task cache keeps. */
export interface TaskCacheOptions {
  /** Bytes on the device that tasks nobody uses may fill up to (default 1 GiB); tasks in use are never taken away. */
  maxBytes?: number;
}

export const TASK_CACHE = options<TaskCacheOptions>({ maxBytes: optional(bytes) });

/**
 * What is kept of a task: everything; its encoded instruction, from which the modules are generated again; nothing but
 * where its file is; nothing yet, as it is being compiled.
 */
export type TaskTier = 'full' | 'encoded' | 'file' | 'arriving';

/** A task of the cache, as `engine.tasks.list` shows it. */
export interface CachedTask {
  /** Definition and examples, which are the cache's key. */
  readonly origin: TaskOrigin;
  /** How much of it is kept in memory. */
  readonly tier: TaskTier;
  /** What it takes on the device. */
  readonly bytes: number;
  /** How often it was asked for and was there, whatever its tier. */
  readonly hits: number;
  /** When it came into the cache, in milliseconds since 1970. */
  readonly since: number;
  /** Handles of it that were not disposed, and requests that run with them. */
  readonly users: number;
  /** Of the file that it can be read from again; undefined: none. */
  readonly path: string | undefined;
}

/** What a cache has done. Times are of tasks, in milliseconds, averaged with more weight on the latest; absent: never done. */
export interface TaskCacheMetrics {
  /** Entries now, whatever their tier. */
  tasks: number;
  /** What all entries take on the device now. */
  bytes: number;
  /** Found with everything there. */
  hits: number;
  /** Brought back from the encoded instruction, and from a file. */
  regenerated: number;
  /** Brought back by reading a task's file. */
  loaded: number;
  /** Compiled. */
  misses: number;
  /** Tasks that lost their modules, and tasks of which nothing was kept. */
  demotions: number;
  /** Entries that were dropped as a whole. */
  evictions: number;
  /** Of reading an instruction and making its modules. */
  compileMilliseconds: number | undefined;
  /** Of making modules again from the encoded instruction. */
  regenerateMilliseconds: number | undefined;
  /** Of reading a file and packing its matrices. */
  loadMilliseconds: number | undefined;
}

/** How a cache gets what it keeps. */
export interface TaskMaker {
  compile(origin: TaskOrigin): Promise<CompiledTasks>;
  regenerate(instructions: EncodedInstructions): Promise<CompiledTasks>;
  /** Refuses a file of another task. */
  load(path: string, origin: TaskOrigin): Promise<CompiledTasks>;
}

interface Entry {
  readonly key: string;
  readonly origin: TaskOrigin;
  path: string | undefined;
  compiled: CompiledTasks | undefined;
  /** Without `compiled` only. */
  instructions: EncodedInstructions | undefined;
  /** On the device, of whichever of the two there is. */
  bytes: number;
  readonly since: number;
  hits: number;
  users: number;
  arriving: Promise<CompiledTasks> | undefined;
  /** Whether it was there once: where its file is gone, it can be made in another way. */
  known: boolean;
}

const GIBIBYTE = 1024 ** 3;

/**
 * Compiled tasks by what they were compiled from, those used last kept longest. A task that must give way loses its
 * modules first: generating them again from the encoded instruction, or loading them, costs less than compiling. Which
 * of the two is chosen by what they were measured to cost.
 */
export class TaskCache {
  // Used last comes last.
  private readonly entries = new Map<string, Entry>();
  private maxBytes: number;
  private total = 0;
  private readonly counts = { hits: 0, regenerated: 0, loaded: 0, misses: 0, demotions: 0, evictions: 0 };
  private readonly times = new Map<'compile' | 'regenerate' | 'load', number>();

  constructor(
    private readonly host: TaskHost,
    private readonly maker: TaskMaker,
    { maxBytes = GIBIBYTE }: TaskCacheOptions = {},
  ) {
    this.maxBytes = maxBytes;
  }

  /** Bytes on the device, of tasks in use too. */
  get bytes(): number {
    return this.total;
  }

  get metrics(): TaskCacheMetrics {
    return {
      tasks: this.entries.size,
      bytes: this.bytes,
      ...this.counts,
      compileMilliseconds: this.times.get('compile'),
      regenerateMilliseconds: this.times.get('regenerate'),
      loadMilliseconds: this.times.get('load'),
    };
  }

  /** The tasks, used last last. */
  list(): CachedTask[] {
    return Array.from(this.entries.values(), shownOf);
  }

  /** What there is of a task, which does not count as a use; undefined where there is nothing. */
  find(origin: TaskOrigin): CachedTask | undefined {
    const entry = this.entries.get(originKey(origin));
    return entry && shownOf(entry);
  }

  /**
   * The task of an origin: as it lies there, brought back, or compiled; at once for all who ask at the same time.
   *
   * @returns a handle, to be disposed by the caller: until then the task stays on the device
   */
  async get(origin: TaskOrigin, signal?: AbortSignal): Promise<Task> {
    return this.use(this.entryOf(origin), signal);
  }

  /** The same for a task that Task.save wrote, which from now on can be brought back from that file too. */
  async load(origin: TaskOrigin, path: string, signal?: AbortSignal): Promise<Task> {
    const entry = this.entryOf(origin);
    entry.path = path;
    return this.use(entry, signal);
  }

  /**
   * Forgets a task, and gives its memory back unless it is in use.
   *
   * @returns whether there was one that nobody uses
   */
  evict(origin: TaskOrigin): boolean {
    const entry = this.entryOf(origin);
    if (!this.entries.has(entry.key) || entry.users > 0 || entry.arriving) return false;
    this.drop(entry);
    return true;
  }

  /** Forgets every task that nobody uses. */
  clear(): void {
    for (const entry of this.entries.values()) if (entry.users === 0 && !entry.arriving) this.drop(entry);
  }

  /** Gives every task back as soon as nobody uses it, from now on. Resolves when none is being made any more. */
  async close(): Promise<void> {
    this.maxBytes = 0;
    await Promise.allSettled([...this.entries.values()].map(({ arriving }) => arriving));
    this.clear();
  }

  private entryOf(origin: TaskOrigin): Entry {
    const key = originKey(origin);
    let entry = this.entries.get(key);
    if (!entry) {
      entry = {
        key,
        origin,
        path: undefined,
        compiled: undefined,
        instructions: undefined,
        bytes: 0,
        since: Date.now(),
        hits: 0,
        users: 0,
        arriving: undefined,
        known: false,
      };
    }
    return entry;
  }

  private async use(entry: Entry, signal: AbortSignal | undefined): Promise<Task> {
    throwIfAborted(signal);
    this.entries.delete(entry.key);
    this.entries.set(entry.key, entry);
    if (entry.known) entry.hits++;
    // Counted before waiting, so that nothing takes it away in between.
    entry.users++;
    try {
      if (entry.compiled) this.counts.hits++;
      const compiled = entry.compiled ?? (await abortable((entry.arriving ??= this.bring(entry)), signal));
      return new Task(this.host, compiled, entry.origin, undefined, undefined, () => this.leave(entry));
    } catch (error) {
      this.leave(entry);
      throw error;
    }
  }

  private leave(entry: Entry): void {
    entry.users--;
    this.trim();
  }

  /** Gets what is missing of an entry. If that fails, the next request tries again. */
  private async bring(entry: Entry): Promise<CompiledTasks> {
    try {
      const compiled = await this.make(entry);
      this.keep(entry, compiled, undefined);
      entry.known = true;
      return compiled;
    } catch (error) {
      this.empty(entry);
      this.entries.delete(entry.key);
      throw error;
    } finally {
      entry.arriving = undefined;
      // Also where whoever asked has gone meanwhile.
      this.trim();
    }
  }

  /** The way that has cost least. */
  private async make(entry: Entry): Promise<CompiledTasks> {
    const { instructions, path, origin } = entry;
    if (path !== undefined && (!instructions || this.isLoadingCheaper)) {
      try {
        const compiled = await this.timed('load', () => this.maker.load(path, origin));
        instructions?.rows.dispose();
        this.counts.loaded++;
        return compiled;
      } catch (error) {
        if (!entry.known) throw error;
        entry.path = undefined;
      }
    }
    if (instructions) {
      const compiled = await this.timed('regenerate', () => this.maker.regenerate(instructions));
      this.counts.regenerated++;
      return compiled;
    }
    const compiled = await this.timed('compile', () => this.maker.compile(origin));
    this.counts.misses++;
    return compiled;
  }

  /** What there is of an entry from now on. */
  private keep(
    entry: Entry,
    compiled: CompiledTasks | undefined,
    instructions: EncodedInstructions | undefined,
  ): void {
    const bytes = compiled?.bytes ?? instructions?.rows.bytes ?? 0;
    this.total += bytes - entry.bytes;
    entry.compiled = compiled;
    entry.instructions = instructions;
    entry.bytes = bytes;
  }

  private get isLoadingCheaper(): boolean {
    return (this.times.get('load') ?? Infinity) <= (this.times.get('regenerate') ?? 0);
  }

  private async timed<T>(what: 'compile' | 'regenerate' | 'load', work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    const took = performance.now() - began;
    const known = this.times.get(what) ?? took;
    this.times.set(what, 0.7 * known + 0.3 * took);
    return result;
  }

  /** Takes away until the rest fits: modules of tasks used longest ago, then encoded instructions. */
  private trim(): void {
    for (const step of ['demote', 'drop'] as const) {
      if (this.total <= this.maxBytes) return;
      for (const entry of this.entries.values()) {
        if (entry.users > 0 || entry.arriving || entry.bytes === 0) continue;
        if (step === 'demote') this.demote(entry);
        else if (entry.path === undefined) this.drop(entry);
        else this.empty(entry);
        if (this.total <= this.maxBytes) return;
      }
    }
  }

  private demote(entry: Entry): void {
    const { compiled } = entry;
    if (!compiled) return;
    const { encodedInstructions } = compiled;
    const hasFile = entry.path !== undefined;
    // The encoded instruction is of use only where it is quicker than the file, and smaller than what it saves.
    const keeps = encodedInstructions && !(hasFile && this.isLoadingCheaper);
    if (!keeps && !hasFile) {
      this.drop(entry);
      return;
    }
    this.counts.demotions++;
    this.keep(entry, undefined, keeps ? encodedInstructions : undefined);
    for (const tensor of compiled.tensors) if (tensor !== entry.instructions?.rows) tensor.dispose();
  }

  private drop(entry: Entry): void {
    this.empty(entry);
    this.entries.delete(entry.key);
    this.counts.evictions++;
  }

  /** Keeps nothing on the device. */
  private empty(entry: Entry): void {
    if (entry.compiled) disposeTasks(entry.compiled);
    entry.instructions?.rows.dispose();
    this.keep(entry, undefined, undefined);
  }
}

function shownOf({ origin, compiled, instructions, path, bytes, hits, since, users }: Entry): CachedTask {
  const tier = compiled ? 'full' : instructions ? 'encoded' : path === undefined ? 'arriving' : 'file';
  return { origin, tier, bytes, hits, since, users, path };
}
