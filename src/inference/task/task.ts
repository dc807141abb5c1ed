import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { anyModel } from '../../model/families/registry.js';
import { checked, path as pathKind, shaped } from '../../util/arguments.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { constrained } from '../constrain/constrained.js';
import type { ConstrainedRows } from '../constrain/constrained-rows.js';
import { disposeTasks, type CompiledTasks } from '../contract/compiled-tasks.js';
import type { Embedder, EmbedOptions } from '../contract/family.js';
import type { TaskOrigin, TaskTraining } from '../contract/task-metadata.js';
import { familyOf } from '../families/registry.js';
import { EventQueue } from './event-queue.js';
import { joinBatch } from './join-batch.js';
import { resolveDecoding, type Decoding, type TokenDecoding } from '../decode/decoding.js';
import { generateWithTask } from '../decode/generate.js';
import { checkStops, TextWatch, type GeneratedText, type GenerationEvent } from './generation.js';
import type { GeneratedTokens } from '../decode/row-watch.js';
import { count } from '../decode/task-batches.js';
import { scoreChoicesWithTask, type ChoiceScores } from '../decode/score-choices.js';
import {
  CHOICES,
  EMBED,
  EMBED_INSTRUCTION,
  GENERATE,
  INPUTS,
  oneInput,
  ONLY_SIGNAL,
  SCORE,
  TASK_EXAMPLES,
  TRAIN,
  type TaskExample,
  type TaskTrainOptions,
  STREAM,
  type TaskGenerateOptions,
  type TaskInputs,
  type TaskScoreOptions,
  type TaskStreamOptions,
} from './task-arguments.js';
import { saveTaskFile } from './task-file.js';
import { taskFlops, type TaskFlops } from './task-flops.js';
import type { TaskHold, TaskHost } from './task-host.js';
import { requireTokenizer, unknownTokens } from './task-origin.js';
import { TaskTokens } from './task-tokens.js';
import { trainCompiledTask, trainingExamples } from './train-task.js';

export type { TaskOrigin, TaskTraining } from '../contract/task-metadata.js';
export type { GeneratedText, GenerationEvent } from './generation.js';
export type { TaskHold, TaskHost } from './task-host.js';
export type {
  DecodingOptions,
  TaskExample,
  TaskGenerateOptions,
  TaskInputs,
  TaskScoreOptions,
  TaskStreamOptions,
  TaskTrainOptions,
} from './task-arguments.js';
export type { TaskFlops } from './task-flops.js';
export type { TaskTrainingProgress } from './train-task.js';

const ENGINE = shaped<Pick<TaskHost, 'model'>>(
  { model: anyModel },
  'an Engine; tasks are made by engine.compile, compileTokens, loadTask and tasks.get',
);

/**
 * A task compiled from its instruction, which is not read again: adapters, prefixes and the decoder's keys and values
 * of the instruction lie on the device. Tasks of models that read no instruction apart from the input keep it as text and
 * put it in front of every input.
 */
export class Task {
  private disposed = false;
  private holds = 0;
  private readonly tokens: TaskTokens;

  /** Made by Engine.compile and Engine.loadTask. @throws HintError INVALID_ARGUMENT for a host that is no engine */
  constructor(
    private readonly host: TaskHost,
    private readonly compiled: CompiledTasks,
    /** What it was compiled from; absent when that was token ids. */
    readonly origin: TaskOrigin | undefined,
    /** Token ids put in front of every input: of an instruction given as ids to a plain T5 model. */
    readonly inputPrefix: Int32Array = new Int32Array(0),
    /** How it was trained after it was compiled, absent where it was not. */
    readonly training: TaskTraining | undefined = undefined,
    /** Called when it was disposed and nothing uses it any more. */
    private readonly free: (compiled: CompiledTasks) => void = disposeTasks,
  ) {
    checked(ENGINE, host, 'host');
    this.tokens = new TaskTokens(host.tokenizer, origin, inputPrefix);
  }

  /** Tokens of the encoded instruction; 0 where none is encoded. */
  get instructionTokens(): number {
    return this.compiled.instructionTokens;
  }

  /**
   * Tokens of the instruction that stand for pieces which the vocabulary lacks, and which the model cannot tell apart; 0 where it
   * was compiled from token ids.
   *
   * @throws HintError NOT_FOUND without a tokenizer
   */
  get unknownTokens(): number {
    return this.origin ? unknownTokens(requireTokenizer(this.host.tokenizer), this.origin) : 0;
  }

  /**
   * How many tokens an input has as the model reads it: with the instruction, where that is read with every input.
   *
   * @throws HintError INVALID_DATA (an empty input), INVALID_ARGUMENT, NOT_FOUND without a tokenizer
   */
  inputTokens(input: string | Int32Array): number {
    return this.encodeInput(checked(oneInput, input, 'input'), Infinity).length;
  }

  /**
   * What the matrix products of this task cost: `compile` for reading its instruction, `input` for answering one input with
   * `outputTokens` tokens. One multiply-add is two FLOPs.
   *
   * @param outputTokens at least 1
   * @throws HintError as {@link inputTokens}
   */
  flops(input: string | Int32Array, outputTokens: number): TaskFlops {
    const ids = this.encodeInput(checked(oneInput, input, 'input'), Infinity);
    return taskFlops(this.host.model, this.compiled, ids, checked(count, outputTokens, 'outputTokens'));
  }

  /**
   * Runs inputs, batched without padding; greedily unless the options say otherwise. The outputs are those of running
   * each input alone.
   *
   * @param inputs one or several: texts, or token ids with the end-of-sequence id
   * @returns in the order of the inputs
   * @throws HintError INVALID_ARGUMENT (options, too long an input), INVALID_DATA (an empty input), INVALID_TOKEN, NUMERIC,
   *   OUT_OF_MEMORY, ABORTED
   */
  async generate(inputs: TaskInputs, options: TaskGenerateOptions = {}): Promise<GeneratedText[]> {
    const list = checked(INPUTS, inputs, 'inputs');
    const given = checked(GENERATE, options, 'options');
    this.checkUsable();
    return this.constrained(given, resolveDecoding(given), list.length, async (rows) => {
      const { stop = [] } = given;
      if (stop.length > 0) {
        requireTokenizer(this.host.tokenizer);
        const watch = new TextWatch((ids, i) => this.textOf(ids, i, rows), checkStops(stop));
        await this.runInputs(list, given, watch, rows);
        return watch.generations;
      }
      const generated = await this.runInputs(list, given, undefined, rows);
      const breathe = createYielder();
      const results: GeneratedText[] = [];
      for (const [i, one] of generated.entries()) {
        const pause = breathe();
        if (pause) await pause;
        results.push({ text: this.textOf(one.tokens, i, rows), ...one });
      }
      return results;
    });
  }

  /**
   * {@link generate}, told as it happens: `for await (const event of task.stream('…')) process.stdout.write(event.text)`.
   * Generating does not wait for the reader. Leaving the loop, or an abort, ends it, and its memory is given back after the
   * next few tokens. Inputs join the running batch of their engine, with whatever else was submitted; `engine.serving` counts them.
   * Beam search, and families whose rows cannot share a batch, run by themselves; an output of beam search comes
   * when its search is done.
   *
   * @param inputs one or several, as for {@link generate}; events of several interleave and say whose they are
   * @throws HintError as {@link generate}, BUSY with `whenFull: 'reject'`
   */
  async *stream(
    inputs: TaskInputs,
    options: TaskStreamOptions = {},
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const list = checked(INPUTS, inputs, 'inputs');
    const given = checked(STREAM, options, 'options');
    this.checkUsable();
    const { signal, stop = [] } = given;
    const decoding = resolveDecoding(given);
    if (stop.length > 0) requireTokenizer(this.host.tokenizer);
    const queue = new EventQueue<GenerationEvent>();
    let rows: ConstrainedRows | undefined;
    const watch = new TextWatch(
      (ids, i) => this.textOf(ids, i, rows),
      checkStops(stop),
      (event) => queue.push(event),
    );
    const leaving = new AbortController();
    const abort = (): void => leaving.abort(signal?.reason);
    throwIfAborted(signal);
    signal?.addEventListener('abort', abort);
    const followed = { ...given, signal: leaving.signal };
    const canJoin = familyOf(this.host.model).joint !== undefined;
    const work = this.constrained<unknown>(followed, decoding, list.length, (own) => {
      rows = own;
      return canJoin && decoding.kind !== 'beam'
        ? this.join(list, followed, decoding, { watch, rows })
        : this.runInputs(list, followed, watch, own);
    }).then(
      () => queue.close(),
      (reason: unknown) => queue.fail(reason),
    );
    try {
      yield* queue;
    } finally {
      signal?.removeEventListener('abort', abort);
      leaving.abort();
      await work;
    }
  }

  private constrained<T>(
    { constrain: constraint, signal }: Pick<TaskGenerateOptions, 'constrain' | 'signal'>,
    decoding: Decoding,
    rows: number,
    work: (rows: ConstrainedRows | undefined) => Promise<T>,
  ): Promise<T> {
    const tokenizer = (): Tokenizer => requireTokenizer(this.host.tokenizer);
    return constrained(this.host.grammars, { constraint, tokenizer, decoding, rows, signal }, work);
  }

  private textOf(
    ids: Int32Array | readonly number[],
    input: number,
    rows: ConstrainedRows | undefined,
  ): string {
    return rows?.text(input, ids) ?? this.host.tokenizer?.decodeAnswer(ids) ?? '';
  }

  /** Decodes inputs in the running batch of the engine. */
  private async join(
    inputs: readonly (string | Int32Array)[],
    options: TaskStreamOptions,
    decoding: TokenDecoding,
    followed: { watch: TextWatch; rows: ConstrainedRows | undefined },
  ): Promise<void> {
    const hold = this.hold();
    try {
      await this.host.run(options.signal, async (signal) => {
        const ids = await this.tokens.inputs(inputs, options.maxInputTokens, signal);
        await joinBatch(ids, { ...options, signal }, decoding, followed, (queued) =>
          this.host.enqueue(hold, queued),
        );
      });
    } finally {
      hold.release();
    }
  }

  private async runInputs(
    inputs: readonly (string | Int32Array)[],
    options: TaskGenerateOptions,
    watch: TextWatch | undefined,
    masks: ConstrainedRows | undefined,
  ): Promise<GeneratedTokens[]> {
    return this.run(options.signal, async (signal) => {
      const ids = await this.tokens.inputs(inputs, options.maxInputTokens, signal);
      return generateWithTask(this.host.model, this.compiled, ids, { ...options, signal, watch, masks });
    });
  }

  /**
   * Rank classification (method §8.5): scores given answers instead of generating one. Each input is encoded once.
   *
   * @param inputs as for {@link generate}
   * @param choices the answers that every input chooses from, or per input its own; texts, or token ids with the
   *   end-of-sequence id
   * @returns in the order of the inputs
   * @throws HintError as {@link generate}, INVALID_DATA where there are no choices, or where instruction, input and
   *   choice are longer than a decoder-only model has positions
   */
  async scoreChoices(
    inputs: TaskInputs,
    choices: readonly (string | Int32Array)[] | readonly (readonly (string | Int32Array)[])[],
    options: TaskScoreOptions = {},
  ): Promise<ChoiceScores[]> {
    const list = checked(INPUTS, inputs, 'inputs');
    const answers = checked(CHOICES, choices, 'choices');
    const given = checked(SCORE, options, 'options');
    const { model } = this.host;
    return this.run(given.signal, async (signal) => {
      const ids = await this.tokens.inputs(list, given.maxInputTokens, signal);
      const encode = (choice: string | Int32Array): Int32Array =>
        typeof choice === 'string' ? requireTokenizer(this.host.tokenizer).encode(choice) : choice;
      const own = answers.filter((choice): choice is (string | Int32Array)[] => Array.isArray(choice));
      const shared = answers.filter((choice): choice is string | Int32Array => !Array.isArray(choice));
      if (own.length > 0 && shared.length > 0) {
        throw new HintError(
          'INVALID_ARGUMENT',
          'The choices are answers and lists of answers mixed; give one list for all inputs, or one list per input.',
        );
      }
      const encoded = shared.map(encode);
      const perInput = own.length > 0 ? own.map((list) => list.map(encode)) : ids.map(() => encoded);
      return scoreChoicesWithTask(model, this.compiled, ids, perInput, { ...given, signal });
    });
  }

  /**
   * Encoder states of inputs under this task: as the decoder reads them, or their mean over the tokens.
   *
   * @param inputs as for {@link generate}
   * @returns per input [dModel] values; [tokens, dModel] with `pooled: false`
   * @throws HintError as {@link generate}, INVALID_ARGUMENT for a model without an encoder
   */
  async embed(
    inputs: TaskInputs,
    options: EmbedOptions & { maxInputTokens?: number } = {},
  ): Promise<Float32Array[]> {
    const list = checked(INPUTS, inputs, 'inputs');
    const given = checked(EMBED, options, 'options');
    const embedder = this.embedder();
    return this.run(given.signal, async (signal) => {
      const ids = await this.tokens.inputs(list, given.maxInputTokens, signal);
      return embedder.inputs(this.host.model, this.compiled, ids, { ...given, signal });
    });
  }

  /**
   * The encoded instruction: its mean over the tokens, [dModel], or [tokens, dModel] with `pooled: false`.
   *
   * @throws HintError NOT_SUPPORTED where the model encodes no instruction, INVALID_ARGUMENT for a
   *   model without an encoder, ABORTED
   */
  async embedInstruction(options: EmbedOptions = {}): Promise<Float32Array> {
    const given = checked(EMBED_INSTRUCTION, options, 'options');
    const embedder = this.embedder();
    return this.run(given.signal, (signal) =>
      embedder.instruction(this.host.model, this.compiled, { ...given, signal }),
    );
  }

  /**
   * Few-shot tuning: trains the modules that the instruction was turned into (adapters, prefixes, LoRA) on examples, from
   * the values that the hypernetwork gave them. The model, the encoded instruction and this task stay as they are. The
   * same examples and options give the same task.
   *
   * @example
   * ```ts
   * using tuned = await task.train([{ input: 'A red hat.', output: 'red' }, { input: 'Blue shoes.', output: 'blue' }]);
   * await tuned.save('colours.safetensors');
   * ```
   * @param examples inputs as for {@link generate}, outputs as the model is to write them
   * @returns another task, used, saved and disposed as any
   * @throws HintError NOT_SUPPORTED where the model makes no modules of an instruction; INVALID_ARGUMENT (options, too long an
   *   example), INVALID_DATA (no examples, one without an input or without any token to write; the empty text is an output: nothing
   *   is to be answered), INVALID_TOKEN, NOT_FOUND (texts without a tokenizer), NUMERIC when the loss is no finite number,
   *   OUT_OF_MEMORY, ABORTED
   */
  async train(examples: readonly TaskExample[], options: TaskTrainOptions = {}): Promise<Task> {
    const list = checked(TASK_EXAMPLES, examples, 'examples');
    const given = checked(TRAIN, options, 'options');
    if (list.length === 0)
      throw new HintError(
        'INVALID_DATA',
        'There is no example to train on; give at least one { input, output }.',
      );
    const { steps = 100, batchSize = 8, learningRate = 1e-3, seed = 0, tokenBudget = 4096 } = given;
    const how = { steps, batchSize: Math.min(batchSize, list.length), learningRate, seed };
    return this.run(given.signal, async (signal) => {
      const inputs = await this.tokens.inputs(
        list.map(({ input }) => input),
        given.maxInputTokens,
        signal,
      );
      const outputs = list.map(({ output }, index) =>
        this.tokens.output(output, given.maxOutputTokens, index),
      );
      const { host, compiled, origin, inputPrefix } = this;
      const trained = await trainCompiledTask(host.model, compiled, trainingExamples(inputs, outputs), {
        ...how,
        tokenBudget,
        signal,
        onStep: given.onStep,
      });
      const seen = (this.training?.examples ?? 0) + list.length;
      return new Task(host, trained, origin, inputPrefix, { ...how, examples: seen });
    });
  }

  /**
   * Writes the task to one safetensors file, all or nothing, with the model's fingerprint.
   *
   * @throws HintError IO, ABORTED; NOT_SUPPORTED for a task that was read from an adapter of PEFT
   */
  async save(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checked(pathKind, path, 'path');
    const given = checked(ONLY_SIGNAL, options, 'options');
    await this.run(given.signal, async (signal) =>
      saveTaskFile(path, {
        model: this.host.model,
        fingerprint: await this.host.fingerprint(),
        compiled: this.compiled,
        origin: this.origin,
        inputPrefix: this.compiled.prompts?.ids ?? this.inputPrefix,
        training: this.training,
        signal,
      }),
    );
  }

  /**
   * Keeps what lies on the device there, even when the task is disposed meanwhile.
   *
   * @internal
   */
  hold(): TaskHold {
    this.checkUsable();
    return this.retain();
  }

  /** Runs work of this task, which stays until the work has ended. */
  private async run<T>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { release } = this.hold();
    return this.host.run(signal, work).finally(release);
  }

  private retain(): TaskHold {
    this.holds++;
    let held = true;
    return {
      compiled: this.compiled,
      share: () => this.retain(),
      release: () => {
        if (!held) return;
        held = false;
        this.holds--;
        if (this.disposed && this.holds === 0) this.free(this.compiled);
      },
    };
  }

  /** Gives the task's memory back, once what runs with it has ended. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    if (this.holds === 0) this.free(this.compiled);
  }

  /** Gives back what the task has on the device, at the end of `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private embedder(): Embedder {
    const { embedder, title } = familyOf(this.host.model);
    if (embedder) return embedder;
    throw new HintError(
      'INVALID_ARGUMENT',
      `Embeddings are made by models that have an encoder, and this task is one of ${title}; open a model of another family.`,
    );
  }

  /**
   * @internal
   * @param by who is about to use it
   * @throws HintError INVALID_ARGUMENT for a task that was disposed, or compiled by another model than that of `by`
   */
  checkUsable(by: TaskHost = this.host): void {
    if ((this.host as TaskHost | undefined)?.model !== by.model) {
      throw new HintError(
        'INVALID_ARGUMENT',
        'The task belongs to another engine, with a model of its own; compile it with this one.',
      );
    }
    if (this.disposed) {
      throw new HintError('INVALID_ARGUMENT', 'This task was disposed; compile or load it again.');
    }
  }

  /**
   * An input as the model reads it.
   *
   * @internal
   * @param index for error messages
   * @throws HintError INVALID_ARGUMENT (too long, ids where only texts go), INVALID_DATA (an empty text), NOT_FOUND
   */
  encodeInput(input: string | Int32Array, maxTokens?: number, index?: number): Int32Array {
    return this.tokens.input(input, maxTokens, index);
  }
}
