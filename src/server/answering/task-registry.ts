import type { TaskTraining } from '../../inference/task/task.js';
import { sha256Hex } from '../../util/hash.js';
import { checkInstruction } from './lengths.js';
import type { Instruction, Served } from './served.js';
import { TaskIndex, type IndexedTask } from './task-index.js';

/** A task that a client has registered. What is compiled of it is the engine's cache's business. */
export interface RegisteredTask extends IndexedTask {
  readonly instruction: Instruction;
  readonly instructionTokens: number;
  /** Of these, those for pieces that the vocabulary lacks. */
  readonly unknownTokens: number;
  /** How it was trained after it was compiled, where it was. */
  readonly training: TaskTraining | undefined;
  /** In seconds since 1970. */
  readonly created: number;
}

/** The id of the task of an instruction: the same everywhere. */
export function taskId({ definition, examples, trained }: Instruction): string {
  const parts = examples.flatMap(({ input, output }) => [input, output]);
  if (trained) parts.push(trained.digest);
  return `task-${sha256Hex(definition, ...parts).slice(0, 32)}`;
}

/** Tasks by id and by name, in the order of registering. Only their texts are held. */
export class TaskRegistry {
  private readonly index: TaskIndex<RegisteredTask>;

  constructor(private readonly served: Served) {
    this.index = new TaskIndex(served.limits);
  }

  list(): RegisteredTask[] {
    return this.index.list();
  }

  /** @throws ApiError 404 */
  get(idOrName: string): RegisteredTask {
    return this.index.get(idOrName);
  }

  /**
   * The task of an instruction, compiled and registered if it is not; a name that it has not yet becomes one of its names.
   *
   * @returns also the milliseconds that reading the instruction took, where it was read for this
   * @throws ApiError 409 for the name of another task, 400 where there are as many as there may be; HintError
   */
  async add(
    instruction: Instruction,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<{ task: RegisteredTask; isNew: boolean; compileMilliseconds: number | undefined }> {
    const id = taskId(instruction);
    const known = this.index.ofId(id)?.instruction;
    try {
      return await this.register(id, known?.trained ? known : instruction, name, signal);
    } finally {
      // The same file again, or one that found no place.
      if (this.index.ofId(id)?.instruction !== instruction) instruction.trained?.forget();
    }
  }

  private async register(
    id: string,
    instruction: Instruction,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<{ task: RegisteredTask; isNew: boolean; compileMilliseconds: number | undefined }> {
    this.index.checkPlace(id, name, instruction.trained !== undefined);
    checkInstruction(this.served, instruction);
    const began = performance.now();
    const { task, cached, release } = await this.served.task(instruction, signal);
    const compileMilliseconds = cached ? undefined : performance.now() - began;
    const { instructionTokens, unknownTokens, training } = task;
    release();
    this.served.metrics.addTokens(cached ? 'cached_instruction' : 'instruction', instructionTokens);
    // Others may have come while it was compiled.
    this.index.checkPlace(id, name, instruction.trained !== undefined);
    const known = this.index.ofId(id);
    const registered: RegisteredTask = {
      id,
      names: this.index.namesWith(id, name),
      isTrained: training !== undefined,
      instruction,
      instructionTokens,
      unknownTokens,
      training,
      created: known?.created ?? Math.floor(Date.now() / 1000),
    };
    this.index.set(registered);
    return { task: registered, isNew: known === undefined, compileMilliseconds };
  }

  /** Forgets a task, and what the cache has of it unless that is in use. @throws ApiError 404 */
  remove(idOrName: string): RegisteredTask {
    const task = this.get(idOrName);
    this.index.delete(task);
    if (task.instruction.trained) task.instruction.trained.forget();
    else this.served.engine.tasks.evict(this.served.requestOf(task.instruction));
    return task;
  }

  /** Gives back what is held for registered tasks alone. */
  close(): void {
    for (const { instruction } of this.list()) instruction.trained?.forget();
  }
}
