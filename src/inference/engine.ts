import { setMaxListeners } from 'node:events';
import { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import { isPeftAdapter } from '../formats/peft/adapter.js';
import { HintError, throwIfAborted } from '../util/errors.js';
import { unappliedGeneration } from '../model/config/generation-file.js';
import { modelFingerprint } from '../model/trainable/fingerprint.js';
import { checkWeightDType } from '../model/weights/inference-weights.js';
import type { AnyModel } from '../model/family.js';
import { openModel } from '../model/families/open-model.js';
import { anyModel } from '../model/families/registry.js';
import { Device } from '../tensor/device.js';
import { allOrNone } from '../util/abortable.js';
import {
  boolean,
  checked,
  checkedIfGiven,
  ids as idsKind,
  instance,
  path as pathKind,
} from '../util/arguments.js';
import { COMPILE_REQUEST, type CompileRequest } from './compile/compile-request.js';
import { Grammars } from './constrain/grammars.js';
import { familyOf } from './families/registry.js';
import {
  ENGINE_GENERATE,
  ENGINE_REQUESTS,
  generateMixed,
  type EngineGenerateOptions,
} from './serving/generate-mixed.js';
import {
  SUBMIT_REQUEST,
  type EngineRequest,
  type ServingStatistics,
  type SubmitRequest,
} from './serving/requests.js';
import { Scheduler } from './serving/scheduler.js';
import { EngineTasks } from './serving/engine-tasks.js';
import { loadTokenizer, setWeightDType } from './engine-opening.js';
import { ENGINE_OPTIONS, SHARED_OPTIONS, type EngineOptions } from './engine-arguments.js';
import { TaskCompiler } from './task-compiler.js';
import { ONLY_SIGNAL } from './task/task-arguments.js';
import { requireTokenizer } from './task/task-origin.js';
import type { GeneratedTokens } from './decode/row-watch.js';
import type { QueuedInput } from './task/queued-input.js';
import { Task, type GeneratedText, type TaskHold, type TaskHost } from './task/task.js';

/** What {@link Engine.memory} tells. */
export interface EngineMemory {
  /** Held by tensors now, on the device. */
  readonly bytes: number;
  /** The most that was held at once since its device was made. */
  readonly peakBytes: number;
  /** Read where they lie in the model's file, which the system may let go of and read again. */
  readonly fileBytes: number;
}

/**
 * A model ready to compile tasks: `await using engine = await Engine.open('model')`. Its weights must not change while
 * tasks of it are in use.
 */
export class Engine implements TaskHost {
  private readonly closing = new AbortController();
  private closed: Promise<void> | undefined;
  private readonly running = new Set<Promise<unknown>>();
  private knownFingerprint: Promise<string> | undefined;
  private readonly scheduler: Scheduler;
  private readonly compiler: TaskCompiler;
  private told: readonly string[] = [];
  private twin: { engine: Engine; release: () => void } | undefined;
  /** @internal */
  readonly grammars: Grammars;
  /** Tasks by what they were compiled from, kept as long as there is room for them. */
  readonly tasks: EngineTasks;

  /**
   * For a model that is loaded already; its device stays the caller's when `ownsDevice` is false.
   *
   * @throws HintError INVALID_ARGUMENT for arguments of other kinds, or a tokenizer of another model
   */
  constructor(
    /** What computes; its parameters must not change while tasks are in use. */
    readonly model: AnyModel,
    /** Turns texts into ids; without one, only token ids can be given. */
    readonly tokenizer: Tokenizer | undefined = undefined,
    private readonly ownsDevice = false,
    options: Pick<EngineOptions, 'serving' | 'taskCache'> = {},
  ) {
    checked(anyModel, model, 'model');
    checkedIfGiven(instance(Tokenizer, 'a Tokenizer'), tokenizer, 'tokenizer');
    checked(boolean, ownsDevice, 'ownsDevice');
    const { serving, taskCache } = checked(SHARED_OPTIONS, options, 'options');
    this.scheduler = new Scheduler(this, serving);
    this.grammars = new Grammars(model.config.vocabSize);
    this.compiler = new TaskCompiler(this);
    const maker = this.compiler.forCache((path, signal) => this.loadTask(path, { signal }));
    this.tasks = new EngineTasks(this, maker, taskCache);
    if (tokenizer && tokenizer.vocabSize > model.config.vocabSize) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `${tokenizer.file} has ${tokenizer.vocabSize} ids, the model embeds ${model.config.vocabSize}; use the tokenizer that belongs to the model.`,
      );
    }
  }

  /**
   * Opens a model directory: config.json, model.safetensors and tokenizer.json; HINT, any T5 v1.1, GPT-2, OPT, or a
   * family that was registered.
   *
   * @throws HintError NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT, INVALID_FILE, NATIVE_MISSING, OUT_OF_MEMORY, ABORTED,
   *   INVALID_ARGUMENT, NOT_SUPPORTED for a dtype that the device has no products in
   */
  static async open(directory: string, options: EngineOptions = {}): Promise<Engine> {
    checked(pathKind, directory, 'directory');
    const {
      signal: aborted,
      onProgress,
      serving,
      taskCache,
      tokenizer,
      dtype = 'f32',
      ...ofDevice
    } = checked(ENGINE_OPTIONS, options, 'options');
    throwIfAborted(aborted);
    const device = new Device(ofDevice);
    try {
      checkWeightDType(device, dtype);
      const notices = await unappliedGeneration(directory);
      const [model, words] = await allOrNone<[AnyModel, Tokenizer | undefined]>(aborted, [
        (signal) => openModel(device, directory, { mapped: true, dtype, signal, onProgress }),
        async () => (tokenizer instanceof Tokenizer ? tokenizer : loadTokenizer(directory, tokenizer)),
      ]);
      setWeightDType(model, dtype);
      const engine = new Engine(model, words, true, {
        ...(serving ? { serving } : {}),
        ...(taskCache ? { taskCache } : {}),
      });
      engine.told = notices;
      return engine;
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /**
   * Turns an instruction into a task, once: the only time it is read.
   *
   * @throws HintError INVALID_DATA for an empty definition, INVALID_ARGUMENT for one beyond the budget or a format the
   *   model cannot have, NOT_FOUND without a tokenizer, ABORTED
   */
  async compile(request: CompileRequest): Promise<Task> {
    const given = checked(COMPILE_REQUEST, request, 'request');
    requireTokenizer(this.tokenizer);
    const origin = this.compiler.originOf(given);
    return this.run(
      given.signal,
      async (signal) => new Task(this, await this.compiler.compileOrigin(origin, signal), origin),
    );
  }

  /**
   * Compiles an instruction given as token ids, end of sequence included. A model without hypernetwork puts them, less
   * the end of sequence, in front of every input.
   *
   * @throws HintError INVALID_DATA for no tokens, INVALID_TOKEN, ABORTED
   */
  async compileTokens(ids: Int32Array, options: { signal?: AbortSignal | undefined } = {}): Promise<Task> {
    checked(idsKind, ids, 'ids');
    const given = checked(ONLY_SIGNAL, options, 'options');
    if (ids.length === 0) {
      throw new HintError(
        'INVALID_DATA',
        'The instruction has no token; give at least the end-of-sequence token.',
      );
    }
    const { config } = this.model;
    const instruction = ids.slice();
    const prefix = ids.at(-1) === config.eosTokenId ? ids.slice(0, -1) : instruction;
    const isRead = familyOf(this.model).readsInstruction(this.model);
    return this.run(given.signal, async (signal) => {
      const compiled = await this.compiler.compileIds(isRead ? [instruction] : [], signal);
      return new Task(this, compiled, undefined, isRead ? undefined : prefix);
    });
  }

  /**
   * The model by itself, as a task without an instruction: it reads each input as it is, and goes on with it where it is
   * decoder-only.
   *
   * @example
   * ```ts
   * const model = await engine.plain();
   * const [answer] = await model.generate(['translate English to German: The house is wonderful.']);
   * ```
   * @throws HintError NOT_SUPPORTED for a model whose hypernetwork reads instructions, ABORTED
   */
  async plain(options: { signal?: AbortSignal | undefined } = {}): Promise<Task> {
    const given = checked(ONLY_SIGNAL, options, 'options');
    const { formats, reader } = familyOf(this.model).prompts(this.model);
    // Of the causal format, instruction and input are one text, so that an input alone is one too.
    if (familyOf(this.model).readsInstruction(this.model) && !formats.includes('causal')) {
      throw new HintError(
        'NOT_SUPPORTED',
        `This is a model ${reader}: it needs one; compile a definition, or load a task.`,
      );
    }
    return this.run(
      given.signal,
      async (signal) => new Task(this, await this.compiler.compileIds([], signal), undefined),
    );
  }

  /**
   * The model without its hypernetwork, as an engine that reads the instruction with every input: what a compiled task is
   * measured against. It computes on the same device with the same parameters, packed once more where the CPU reads them packed,
   * and ends with this engine. The model was not trained to read instructions so: its speed tells something, its words do not.
   *
   * @returns undefined where the model has no hypernetwork that reads instructions
   * @throws HintError INVALID_ARGUMENT for an engine that was closed
   */
  plainTwin(): Engine | undefined {
    this.checkOpen();
    if (this.twin) return this.twin.engine;
    const plain = familyOf(this.model).plainTwin?.(this.model);
    if (!plain) return undefined;
    this.twin = { engine: new Engine(plain.model, this.tokenizer), release: plain.release };
    return this.twin.engine;
  }

  /**
   * Loads a task that {@link Task.save} wrote, or of a plain T5 a folder with a LoRA adapter of PEFT (adapter_config.json and
   * adapter_model.safetensors), whose inputs are read as they are.
   *
   * @throws HintError FINGERPRINT_MISMATCH when another model compiled it; NOT_FOUND, IO, INVALID_FILE, INVALID_CHECKPOINT; for an
   *   adapter also INVALID_JSON, INVALID_CONFIG, and NOT_SUPPORTED naming what is not computed
   */
  async loadTask(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<Task> {
    checked(pathKind, path, 'path');
    const given = checked(ONLY_SIGNAL, options, 'options');
    return this.run(given.signal, async (signal) => {
      if (await isPeftAdapter(path))
        return new Task(this, await this.compiler.readAdapter(path, signal), undefined);
      const { compiled, origin, inputPrefix, training } = await this.compiler.readTask(path, signal);
      return new Task(this, compiled, origin, inputPrefix, training);
    });
  }

  /**
   * Runs one input of one task, together with whatever else was submitted: it joins the running batch between two tokens
   * and leaves it when it is done. The output is that of running it alone. Beam search runs by itself, beside the batch.
   *
   * @example
   * ```ts
   * const answers = await Promise.all(questions.map((input) => engine.submit({ task, input })));
   * const answer = await engine.submit({ task: { definition: 'Name the colour.' }, input: 'A red hat.' }); // of engine.tasks
   * ```
   * @throws HintError BUSY when too many requests wait (see {@link SubmitRequest.whenFull}), INVALID_ARGUMENT, INVALID_DATA,
   *   INVALID_TOKEN, NUMERIC, OUT_OF_MEMORY, ABORTED; never because of what another request was given
   */
  async submit(request: SubmitRequest): Promise<GeneratedText> {
    const given = checked(SUBMIT_REQUEST, request, 'request');
    this.checkOpen();
    return this.enter(given);
  }

  private async enter({ task, ...rest }: SubmitRequest): Promise<GeneratedText> {
    if (task instanceof Task) return this.scheduler.submit({ ...rest, task });
    using cached = await this.tasks.get(task, { signal: rest.signal });
    return await this.scheduler.submit({ ...rest, task: cached });
  }

  /**
   * Runs inputs of any tasks of this engine in common batches, as {@link submit} does.
   *
   * @returns in the order of the requests
   * @throws HintError as {@link submit}, for the first request that fails; the others are then cancelled
   */
  async generate(
    requests: readonly EngineRequest[],
    options: EngineGenerateOptions = {},
  ): Promise<GeneratedText[]> {
    const list = checked(ENGINE_REQUESTS, requests, 'requests');
    const given = checked(ENGINE_GENERATE, options, 'options');
    this.checkOpen();
    return generateMixed((one) => this.enter(one), list, given);
  }

  /**
   * Bytes its device holds: weights as inference reads them, compiled tasks and what runs; beside them the weights that
   * are used where they lie in the model's file, which the system may drop from memory at any time.
   */
  get memory(): EngineMemory {
    const { bytesInUse, bytesBorrowed, peakBytesInUse } = this.model.device.statistics();
    return { bytes: bytesInUse, peakBytes: peakBytesInUse, fileBytes: bytesBorrowed };
  }

  /**
   * Sentences about what the model's files ask for and this engine does not do by itself, such as a penalty for repetition: where
   * there are any, answers may differ from those of transformers.
   */
  get notices(): readonly string[] {
    return this.told;
  }

  /** How much is being served. */
  get serving(): ServingStatistics {
    return this.scheduler.statistics;
  }

  /** What a task file remembers of its model; computed once. */
  fingerprint(): Promise<string> {
    this.knownFingerprint ??= this.run(undefined, () => modelFingerprint(this.model)).catch(
      (error: unknown) => {
        this.knownFingerprint = undefined;
        throw error;
      },
    );
    return this.knownFingerprint;
  }

  /** Refuses work after the end. @throws HintError INVALID_ARGUMENT for an engine that was closed, or whose device was */
  checkOpen(): void {
    if (this.closing.signal.aborted)
      throw new HintError('INVALID_ARGUMENT', 'This engine was closed; open another one.');
    if (this.model.device.closing.aborted)
      throw new HintError('INVALID_ARGUMENT', 'The device of this engine was closed; open another engine.');
  }

  async run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    throwIfAborted(signal);
    this.checkOpen();
    const controller = new AbortController();
    const abort = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
    const signals = [this.closing.signal, this.model.device.closing, ...(signal ? [signal] : [])];
    // Hundreds of requests may run at once, also for one signal.
    setMaxListeners(0, ...signals);
    for (const source of signals) source.addEventListener('abort', abort);
    const running = work(controller.signal);
    this.running.add(running);
    try {
      return await running;
    } catch (error) {
      // Whatever work stumbles over once it was told to end, that is why.
      throwIfAborted(controller.signal);
      throw error;
    } finally {
      this.running.delete(running);
      for (const source of signals) source.removeEventListener('abort', abort);
    }
  }

  /** @internal */
  enqueue(hold: TaskHold, queued: QueuedInput): Promise<GeneratedTokens> {
    return this.scheduler.enqueue(hold, queued);
  }

  /** Aborts what still runs and gives model and device back. Resolves when that is done, however often it is called. */
  close(): Promise<void> {
    this.closed ??= this.end();
    return this.closed;
  }

  private async end(): Promise<void> {
    this.closing.abort(new HintError('ABORTED', 'The engine was closed.'));
    await Promise.allSettled(this.running);
    await this.grammars.close();
    await this.tasks.close();
    await this.twin?.engine.close();
    this.twin?.release();
    if (!this.ownsDevice) return;
    const { device } = this.model;
    // Reads that nobody waits for any more must be answered before the thread that answers them ends.
    await device.synchronize().catch(() => undefined);
    this.model.dispose();
    device.close();
  }

  /** Closes it, as `close` does, at the end of `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
