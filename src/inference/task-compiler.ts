import { concatenate } from '../data/batch.js';
import { PROMPT_TOKENS } from '../data/natural-instructions/prompts.js';
import { isPeftAdapter, readPeftAdapter } from '../formats/peft/adapter.js';
import type { EncodedInstructions } from '../model/hint/hypernetwork.js';
import { HintError } from '../util/errors.js';
import type { CompileRequest } from './compile/compile-request.js';
import { compileTasks } from './compile/compiled-tasks.js';
import { disposeTasks, settled, type CompiledTasks } from './contract/compiled-tasks.js';
import type { Family } from './contract/family.js';
import {
  checkFingerprint,
  MAX_INSTRUCTION_TOKENS,
  readTaskMetadata,
  type TaskOrigin,
  type TaskTraining,
} from './contract/task-metadata.js';
import { familyOf } from './families/registry.js';
import type { EngineTaskMaker } from './serving/engine-tasks.js';
import { loadTaskFile } from './task/load-task.js';
import type { TaskHost } from './task/task-host.js';
import { instructionIds, requireTokenizer } from './task/task-origin.js';

/** A compiled task with what is known of it besides. */
export interface MadeTask {
  readonly compiled: CompiledTasks;
  /** What it was compiled from, where that was a text. */
  readonly origin: TaskOrigin | undefined;
  /** Token ids in front of every input. */
  readonly inputPrefix: Int32Array | undefined;
  readonly training: TaskTraining | undefined;
}

/** How an engine comes by compiled tasks. Each resolves when the task is there; one that fails gives its memory back. */
export class TaskCompiler {
  constructor(private readonly host: TaskHost) {}

  private get family(): Family {
    return familyOf(this.host.model);
  }

  /** The same, as the task cache asks for it. */
  forCache(loadTask: EngineTaskMaker['loadTask']): EngineTaskMaker {
    const { host } = this;
    return {
      resolve: (request) => this.originOf(request),
      compile: (origin) => host.run(undefined, (signal) => this.compileOrigin(origin, signal)),
      regenerate: (instructions) => host.run(undefined, (signal) => this.regenerate(instructions, signal)),
      load: (path, origin) =>
        host.run(undefined, async (signal) => (await this.readTask(path, signal, origin)).compiled),
      loadTask,
      originOfFile: async (path) => {
        if (await isPeftAdapter(path)) return undefined;
        const metadata = await readTaskMetadata(path);
        checkFingerprint(path, metadata, await host.fingerprint());
        // What was trained is not what compiling its definition gives.
        return metadata.training ? undefined : metadata.source;
      },
    };
  }

  /** @throws HintError INVALID_ARGUMENT for a format that the model cannot have, INVALID_DATA for an empty definition */
  originOf(request: CompileRequest): TaskOrigin {
    const { formats, reader } = this.family.prompts(this.host.model);
    const { definition, examples = [], format = formats[0], maxInstructionTokens = PROMPT_TOKENS } = request;
    if (!formats.includes(format)) {
      throw new HintError('INVALID_ARGUMENT', `The format ${format} is not one of this model, ${reader}.`);
    }
    if (format !== 'no-instruct' && definition.trim() === '') {
      throw new HintError('INVALID_DATA', 'The definition is empty; say what the task is.');
    }
    const pairs = examples.map(({ input, output }) => ({ input, output }));
    return { format, definition, examples: pairs, maxTokens: maxInstructionTokens };
  }

  async compileOrigin(origin: TaskOrigin, signal: AbortSignal): Promise<CompiledTasks> {
    const ids = instructionIds(requireTokenizer(this.host.tokenizer), origin);
    return this.compileIds(ids ? [ids] : [], signal);
  }

  private async regenerate(instructions: EncodedInstructions, signal: AbortSignal): Promise<CompiledTasks> {
    const { model } = this.host;
    await this.family.prepare?.(model);
    // Only tasks of families that regenerate them have encoded instructions to do it from.
    const compiled = (await this.family.regenerate?.(model, instructions)) as CompiledTasks;
    await this.settle(compiled, signal);
    return compiled;
  }

  /** A task from its file. @param expected what it must have been compiled from */
  async readTask(path: string, signal: AbortSignal, expected?: TaskOrigin): Promise<MadeTask> {
    const { tokenizer, model } = this.host;
    const { origin, ...stored } = await loadTaskFile(path, model, await this.host.fingerprint(), {
      tokenizer,
      origin: expected,
      signal,
    });
    const { training } = stored;
    if (stored.compiled)
      return { compiled: stored.compiled, origin, inputPrefix: stored.inputPrefix, training };
    // What its file does not hold is made again: keys and values of an instruction, say, are larger than a file is worth.
    const { inputPrefix } = stored;
    const isRead = this.family.readsInstruction(model);
    const compiled = await this.compileIds(isRead ? [inputPrefix] : [], signal);
    return { compiled, origin, inputPrefix: isRead ? undefined : inputPrefix, training };
  }

  /** A task of an adapter of PEFT. @throws HintError NOT_SUPPORTED */
  async readAdapter(folder: string, signal: AbortSignal): Promise<CompiledTasks> {
    const { family } = this;
    const { model } = this.host;
    if (!family.taskOfAdapter)
      throw new HintError(
        'NOT_SUPPORTED',
        `${folder} is an adapter of PEFT, and this is a model of ${family.title}; adapters are read for a plain T5.`,
      );
    const compiled = await family.taskOfAdapter(model, await readPeftAdapter(folder, signal), folder);
    await this.settle(compiled, signal);
    return compiled;
  }

  /** @param instructions one, or none for a model that reads none @throws HintError INVALID_ARGUMENT for too many tokens */
  async compileIds(instructions: Int32Array[], signal: AbortSignal): Promise<CompiledTasks> {
    const tokens = Math.max(0, ...instructions.map(({ length }) => length));
    if (tokens > MAX_INSTRUCTION_TOKENS)
      throw new HintError(
        'INVALID_ARGUMENT',
        `The instruction has ${tokens} tokens, the limit is ${MAX_INSTRUCTION_TOKENS}; shorten it.`,
      );
    await this.family.prepare?.(this.host.model);
    const compiled = await compileTasks(this.host.model, concatenate(instructions));
    await this.settle(compiled, signal);
    return compiled;
  }

  /** Waits until a compiled task is there; one that fails is given back. */
  private async settle(compiled: CompiledTasks, signal: AbortSignal): Promise<void> {
    try {
      await settled(compiled, signal);
    } catch (error) {
      disposeTasks(compiled);
      throw error;
    }
  }
}
