import type { Engine } from '../../inference/engine.js';
import type { CompileRequest } from '../../inference/compile/compile-request.js';
import type { Task, TaskOrigin } from '../../inference/task/task.js';
import { HintError } from '../../util/errors.js';
import { ApiError } from '../http/errors.js';
import type { ServerLimits } from './limits.js';
import type { Metrics } from './metrics.js';
import type { SharedTask } from './shared-task.js';
import type { TaskUse } from './task-use.js';
import { Turns } from '../../util/turns.js';

/** What says what to do: the definition with its examples. */
export interface Instruction {
  readonly definition: string;
  readonly examples: readonly { readonly input: string; readonly output: string }[];
  /** Of a task file: how the instruction was written and how long it might be; absent: as this server does it. */
  readonly compiled?: Pick<TaskOrigin, 'format' | 'maxTokens'>;
  /** Of a task file that was trained since: what answers, instead of what the instruction compiles to. */
  readonly trained?: SharedTask;
}

/** The model that a server answers with, and what it takes. */
export class Served {
  private readonly compiling: Turns;

  constructor(
    readonly engine: Engine,
    /** The name that requests call it by. */
    readonly model: string,
    readonly limits: ServerLimits,
    readonly metrics: Metrics,
  ) {
    this.compiling = new Turns(limits.compiling);
  }

  /** @throws ApiError 404 for the name of another model */
  checkModel(name: string): void {
    if (name === this.model) return;
    throw new ApiError(
      404,
      `There is no model ${JSON.stringify(name.slice(0, 100))} here; use ${JSON.stringify(this.model)}.`,
      {
        param: 'model',
        code: 'model_not_found',
      },
    );
  }

  /** What the engine compiles for an instruction. */
  requestOf({ definition, examples, compiled }: Instruction): CompileRequest {
    return {
      definition,
      examples,
      ...(compiled ? { format: compiled.format } : {}),
      maxInstructionTokens: compiled?.maxTokens ?? this.limits.instructionTokens,
    };
  }

  /**
   * The task of an instruction, compiled if it is new; the model by itself without one.
   *
   * @throws ApiError 400 where the model needs an instruction; HintError
   */
  async task(instruction: Instruction | undefined, signal: AbortSignal): Promise<TaskUse> {
    if (!instruction) return used(await this.plain(signal), false);
    if (instruction.trained) return instruction.trained.use();
    const { tasks } = this.engine;
    const request = this.requestOf(instruction);
    const tier = tasks.find(request)?.tier;
    if (tier !== undefined && tier !== 'arriving') return used(await tasks.get(request, { signal }), true);
    // Whoever waits here for a task that another compiles meanwhile finds it.
    return used(await this.compiling.run(signal, () => tasks.get(request, { signal })), false);
  }

  private async plain(signal: AbortSignal): Promise<Task> {
    try {
      return await this.engine.plain({ signal });
    } catch (error) {
      if (!(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
      throw new ApiError(
        400,
        'This model needs an instruction; give it as a system message, as "instructions", or as "task", the id of a task.',
        { code: 'instruction_missing' },
      );
    }
  }
}

function used(task: Task, cached: boolean): TaskUse {
  return { task, cached, release: () => task.dispose() };
}
