import type { TaskTraining } from '../../inference/task/task.js';
import { sha256Hex } from '../../util/hash.js';
import { ApiError } from '../http/errors.js';
import { checkInstruction } from './lengths.js';
import type { Instruction, Served } from './served.js';

/** A task that a client has registered. What is compiled of it is the engine's cache's business. */
export interface RegisteredTask {
  /** Made of its instruction: the same everywhere. */
  readonly id: string;
  /** In the order in which they were given; each is of this task alone. */
  readonly names: readonly string[];
  readonly instruction: Instruction;
  readonly instructionTokens: number;
  /** Of these, those for pieces that the vocabulary lacks. */
  readonly unknownTokens: number;
  /** How it was trained after it was compiled, where it was. */
  readonly training: TaskTraining | undefined;
  /** In seconds since 1970. */
  readonly created: number;
}

/** Names that a task may have. */
const MOST_NAMES = 16;

/** The id of the task of an instruction. */
export function taskId({ definition, examples, trained }: Instruction): string {
  const parts = examples.flatMap(({ input, output }) => [input, output]);
  if (trained) parts.push(trained.digest);
  return `task-${sha256Hex(definition, ...parts).slice(0, 32)}`;
}

/** Tasks by id and by name, in the order of registering. Only their texts are held. */
export class TaskRegistry {
  private readonly byId = new Map<string, RegisteredTask>();
  private readonly idOfName = new Map<string, string>();

  constructor(private readonly served: Served) {}

  get size(): number {
    return this.byId.size;
  }

  list(): RegisteredTask[] {
    return [...this.byId.values()];
  }

  /** @throws ApiError 404 */
  get(idOrName: string): RegisteredTask {
    const task = this.byId.get(this.idOfName.get(idOrName) ?? idOrName);
    if (task) return task;
    throw new ApiError(
      404,
      `There is no task ${JSON.stringify(idOrName.slice(0, 100))}; make it with POST /v1/tasks.`,
      { code: 'task_not_found' },
    );
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
    const known = this.byId.get(id)?.instruction;
    try {
      return await this.register(id, known?.trained ? known : instruction, name, signal);
    } finally {
      // The same file again, or one that found no place.
      if (this.byId.get(id)?.instruction !== instruction) instruction.trained?.forget();
    }
  }

  private async register(
    id: string,
    instruction: Instruction,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<{ task: RegisteredTask; isNew: boolean; compileMilliseconds: number | undefined }> {
    this.checkPlace(id, name, instruction);
    checkInstruction(this.served, instruction);
    const began = performance.now();
    const { task, cached, release } = await this.served.task(instruction, signal);
    const compileMilliseconds = cached ? undefined : performance.now() - began;
    const { instructionTokens, unknownTokens, training } = task;
    release();
    this.served.metrics.addTokens(cached ? 'cached_instruction' : 'instruction', instructionTokens);
    // Others may have come while it was compiled.
    this.checkPlace(id, name, instruction);
    const known = this.byId.get(id);
    const names = known?.names ?? [];
    const registered: RegisteredTask = {
      id,
      names: name === undefined || names.includes(name) ? names : [...names, name],
      instruction,
      instructionTokens,
      unknownTokens,
      training,
      created: known?.created ?? Math.floor(Date.now() / 1000),
    };
    this.byId.set(id, registered);
    if (name !== undefined) this.idOfName.set(name, id);
    return { task: registered, isNew: known === undefined, compileMilliseconds };
  }

  /** Forgets a task, and what the cache has of it unless that is in use. @throws ApiError 404 */
  remove(idOrName: string): RegisteredTask {
    const task = this.get(idOrName);
    this.byId.delete(task.id);
    for (const name of task.names) this.idOfName.delete(name);
    if (task.instruction.trained) task.instruction.trained.forget();
    else this.served.engine.tasks.evict(this.served.requestOf(task.instruction));
    return task;
  }

  /** Gives back what is held for registered tasks alone. */
  close(): void {
    for (const { instruction } of this.byId.values()) instruction.trained?.forget();
  }

  private checkPlace(id: string, name: string | undefined, { trained }: Instruction): void {
    const owner = name === undefined ? undefined : this.idOfName.get(name);
    if (owner !== undefined && owner !== id)
      throw new ApiError(
        409,
        `The name ${name} is that of another task, ${owner}; choose another, or delete that task.`,
        {
          param: 'name',
          code: 'name_taken',
        },
      );
    const known = this.byId.get(id);
    if (known && owner === undefined && name !== undefined && known.names.length >= MOST_NAMES)
      throw new ApiError(400, `The task has ${MOST_NAMES} names, the limit; use one of them.`, {
        param: 'name',
        code: 'too_many_names',
      });
    const { trainedTasks } = this.served.limits;
    if (!known && trained && this.list().filter((task) => task.training).length >= trainedTasks)
      throw new ApiError(
        400,
        `There are ${trainedTasks} trained tasks, the limit: each stays on the device; delete some first.`,
        { code: 'too_many_tasks' },
      );
    if (!known && this.byId.size >= this.served.limits.tasks)
      throw new ApiError(400, `There are ${this.byId.size} tasks, the limit; delete some first.`, {
        code: 'too_many_tasks',
      });
  }
}
