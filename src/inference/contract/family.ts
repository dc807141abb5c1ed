import type { Ragged } from '../../data/batch.js';
import type { PromptFormat } from '../../data/natural-instructions/prompts.js';
import type { PeftAdapter } from '../../formats/peft/adapter.js';
import type { SafetensorsDType, SafetensorsFile } from '../../formats/safetensors/file.js';
import type { AnyModel, ModelFamily } from '../../model/family.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import type { WeightDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CompiledTasks } from './compiled-tasks.js';
import type { Cache, DecodeNetwork } from './decode-network.js';
import type { TaskMetadata } from './task-metadata.js';
import type { TaskTuning } from './task-tuning.js';

/**
 * What inference and evaluation do with the models of a family. Nothing else in the engine tells families apart: a
 * family that is registered compiles tasks, generates, scores choices and is evaluated like those that are built in.
 */
export interface Family<
  M extends AnyModel = AnyModel,
  C extends CompiledTasks = CompiledTasks,
> extends ModelFamily<M> {
  /** How tasks are written for the model. */
  prompts(model: M): PromptFormats;
  /** Whether the model takes the instruction apart from the input, to read it once per task. */
  readsInstruction(model: M): boolean;
  /** The system that a model is evaluated as where nothing says how it was trained. */
  systemOf(model: M): string;

  /**
   * Sets what inference holds the model's matrices in; absent: f32 only.
   *
   * @throws HintError INVALID_ARGUMENT for a dtype that the family does not have on the model's device
   */
  setWeightDType?(model: M, dtype: WeightDType): void;
  /** Makes the weights that inference reads, unless they are there and current; called before anything below. */
  prepare?(model: M): Promise<void>;

  /**
   * Reads distinct instructions, once. Resolves when all is enqueued; the tensors belong to the caller.
   *
   * @param instructions one sequence per task, end of sequence included; none for models that read no instruction
   * @throws HintError INVALID_TOKEN, INVALID_DATA for an instruction without tokens
   */
  compile(model: M, instructions: Ragged): Promise<C>;
  /** Makes tasks again of what is left of them, with the values they had; `encoded` becomes part of the result. */
  regenerate?(model: M, encoded: EncodedInstructions): Promise<C>;
  /** Values that are generated for one task, which bounds how many are compiled together (default 0). */
  valuesPerTask?(model: M): number;
  /** Most tokens of an instruction given as ids, where the model sets a limit. */
  mostInstructionTokens?(model: M): number;
  /**
   * Makes a task of an adapter of PEFT, which lies in `folder`; absent: such adapters are refused. Its `readFrom` is the folder.
   *
   * @throws HintError NOT_SUPPORTED for what is not computed, INVALID_CHECKPOINT for an adapter of another model
   */
  taskOfAdapter?(model: M, adapter: PeftAdapter, folder: string): Promise<C>;
  /** How a task file holds what was compiled; absent or undefined: the instruction is stored, and run again. */
  storage?(model: M): TaskStorage<M, C> | undefined;

  /**
   * Enqueues reading a batch of inputs, in slices.
   *
   * @param inputs one sequence per row, ordered by task
   * @param taskIndex per row its task, nondecreasing
   * @param limits where the family says {@link keptPerToken}, `inputs` may have more tokens than are to be read at once
   * @throws HintError INVALID_TOKEN, INVALID_DATA for an input that is empty or too long
   */
  openNetwork(
    model: M,
    tasks: C,
    inputs: Ragged,
    taskIndex: Int32Array,
    limits: ReadingLimits,
  ): Promise<DecodeNetwork>;
  /**
   * Bytes that a network keeps of each token of its inputs; absent: inputs that are decoded together are read at once.
   */
  keptPerToken?(model: M): number;
  /**
   * The same model without what reads instructions apart from inputs, over the same parameters, to compare with; absent or undefined:
   * there is nothing to leave out. `release` gives back what was made for it alone.
   */
  plainTwin?(model: M): { readonly model: M; release(): void } | undefined;
  /** How rows of tasks that were compiled apart are decoded in one step; absent: one request after the other. */
  readonly joint?: JointDecoding<M, C>;
  /**
   * −log p of every token of every choice given instruction and input, [tokens of all choices].
   *
   * @throws HintError INVALID_TOKEN, INVALID_DATA for a sequence that is empty or too long
   */
  choiceLosses(model: M, tasks: C, batch: ChoiceBatch): Sliced<Tensor>;
  /** Of families that have an encoder. */
  readonly embedder?: Embedder<M, C>;
  /** How what an instruction has become is trained on examples; absent: not at all. Task files of what was trained need `storage`. */
  readonly tuning?: TaskTuning<M, C>;

  /**
   * Multiply-adds of compiling tasks of these instructions and answering these examples.
   *
   * @param instructions distinct ones; none where they are part of the inputs or absent
   */
  multiplyAdds(model: M, instructions: readonly Int32Array[], examples: readonly AnsweredExample[]): number;
}

/** How much a network may read at once. */
export interface ReadingLimits {
  /** Most tokens of inputs; a longer input is read alone. */
  readonly tokenBudget: number;
}

/** The formats that a model's prompts may have, the default first. */
export interface PromptFormats {
  /** Those that compiling takes; the first is used when none is named. */
  readonly formats: readonly [PromptFormat, ...PromptFormat[]];
  /** The model as errors speak of it, such as `which is decoder-only`. */
  readonly reader: string;
}

/** Inputs, the choices of each, and the task of each input, nondecreasing. */
export interface ChoiceBatch {
  /** Token ids of each input. */
  readonly inputs: readonly Int32Array[];
  /** Token ids of every answer that can be chosen, per input. */
  readonly choices: readonly (readonly Int32Array[])[];
  /** Per input the index of its task among those compiled. */
  readonly taskOf: Int32Array;
}

/** An example that was answered: token ids, of which only the answer's number matters. */
export interface AnsweredExample {
  /** Token ids read once for the task; none where it is part of the input. */
  readonly instruction: Int32Array;
  /** Token ids read for this example alone. */
  readonly input: Int32Array;
  /** Tokens generated. */
  readonly output: number;
}

/** One network's share of a joint step. */
export interface JointRows<N extends DecodeNetwork = DecodeNetwork> {
  /** Whose rows take part. */
  readonly network: N;
  /** Rows of the network's batch, ascending. */
  readonly rows: readonly number[];
  /** Their caches, per layer. */
  readonly caches: readonly Cache[];
  /** i32 [1]: tokens that each of them has generated. */
  readonly position: Tensor;
}

/** Decoding of rows whose tasks were compiled apart and which began at different times. */
export interface JointDecoding<
  M extends AnyModel = AnyModel,
  C extends CompiledTasks = CompiledTasks,
  N extends DecodeNetwork = DecodeNetwork,
> {
  /**
   * Reads inputs of several tasks, all in one batch. Resolves when all is enqueued.
   *
   * @returns a network per part
   */
  open(model: M, parts: readonly { readonly tasks: C; readonly inputs: Ragged }[]): Promise<N[]>;
  /** Enqueues one step of all parts: logits [rows of all parts, vocabSize]; `token` is i32 [rows]. */
  logits(model: M, token: Tensor, parts: readonly JointRows<N>[]): Sliced<Tensor>;
}

/** What is wanted of encoder states. */
export interface EmbedOptions {
  /** The mean over the tokens (default), or every token's state. */
  pooled?: boolean;
  /** Ends the work, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
}

/** Encoder states as vectors. */
export interface Embedder<M extends AnyModel = AnyModel, C extends CompiledTasks = CompiledTasks> {
  /** Per input [dModel] values, or [tokens, dModel] not pooled. */
  inputs(model: M, task: C, inputs: readonly Int32Array[], options: EmbedOptions): Promise<Float32Array[]>;
  /**
   * The encoded instruction: [dModel] values, or [tokens, dModel] not pooled.
   *
   * @throws HintError NOT_SUPPORTED where no instruction is encoded
   */
  instruction(model: M, task: C, options: EmbedOptions): Promise<Float32Array>;
}

/** What of a compiled task goes into its file. */
export interface StoredTask {
  /** In the order in which they are written. */
  readonly tensors: readonly StoredTaskTensor[];
  /** Per kind of module the slots it holds. */
  readonly slots: Readonly<Record<string, readonly number[]>>;
  /** What the model's matrices were held in when keys and values were computed, where such are stored. */
  readonly keys?: WeightDType;
  /** Gives back what was made for the file alone. */
  readonly release?: () => void;
}

/** A tensor of a task file. */
export interface StoredTaskTensor {
  /** Its key in the file. */
  readonly name: string;
  /** Sides over all parts together. */
  readonly shape: readonly number[];
  /** Its values, one tensor's after the other's. */
  readonly parts: readonly Tensor[];
  /** What the file holds it in (default f32); int8: values that are whole numbers from -127 to 127. */
  readonly dtype?: WeightDType;
}

/** What a task's file has to hold for a model, all of it and nothing else. */
export interface ExpectedTask {
  /** Per kind of module its slots, in order. */
  readonly slots: ReadonlyMap<string, readonly number[]>;
  /** Shape by key, of every tensor that the file has to hold. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
  /** By key the dtypes, as safetensors names them, of those that may be in others than F32. */
  readonly dtypes?: ReadonlyMap<string, readonly SafetensorsDType[]>;
}

/** Throws the error of a damaged file. */
export type Refuse = (fault: string) => never;

/** How a task file holds what a family makes of an instruction. */
export interface TaskStorage<M extends AnyModel = AnyModel, C extends CompiledTasks = CompiledTasks> {
  /** What a file of these tasks has to hold; its tensors stay the tasks' own, or are given back by `release`. */
  stored(model: M, tasks: C): StoredTask | Promise<StoredTask>;
  /** Of a file that says `metadata` of itself, before any of its values is read. */
  expected(file: SafetensorsFile, metadata: TaskMetadata, model: M, refuse: Refuse): ExpectedTask;
  /** Whether a file of the expected form can be one of this instruction. */
  fits(file: SafetensorsFile, instruction: Int32Array | undefined): boolean;
  /**
   * Reads a file of the expected form; its tensors are the caller's.
   *
   * @throws HintError INVALID_CHECKPOINT for a value that is no finite number, IO, OUT_OF_MEMORY, ABORTED
   */
  read(file: SafetensorsFile, metadata: TaskMetadata, model: M, signal: AbortSignal | undefined): Promise<C>;
}
