import { HintError } from '../../util/errors.js';
import * as ops from '../../tensor/ops.js';
import type { Device } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checked, instance } from '../../util/arguments.js';
import { checkTokenIds, type Ragged, type RaggedBatch } from '../../data/batch.js';
import {
  activationMemory,
  costOfRunningAgain,
  type ActivationMemory,
  type BatchShape,
  type RunAgain,
} from '../memory/activation-memory.js';
import { MODEL_CONFIG, serializeModelConfig, type ModelConfig } from '../config/config.js';
import { NO_DROPOUT } from '../trainable/dropout.js';
import { Hypernetwork, type EncodedInstructions } from './hypernetwork.js';
import { checkWeightDType, type InferenceWeights } from '../weights/inference-weights.js';
import { PackedWeights } from '../weights/packed-weights.js';
import { DEVICE, Parameters } from '../parameters/parameter-store.js';
import { RoundedWeights } from '../weights/rounded-weights.js';
import { T5, type Memory } from '../t5/t5.js';
import {
  taskRowOffsets,
  type ModuleSource,
  type TaskModules,
  type TaskRows,
} from '../modules/task-modules.js';
import type { ForwardOptions, StoredTensor, TrainableModel } from '../trainable/trainable.js';

export type { ForwardOptions } from '../trainable/trainable.js';

/** What the instructions of a batch have become. */
export interface EncodedTasks {
  /** Absent when nothing reads the instruction. */
  instructions: EncodedInstructions | undefined;
  modules: TaskModules;
  /** In place of `modules`, with ForwardOptions.regenerate. */
  source?: ModuleSource | undefined;
}

/**
 * A T5 v1.1 model with an optional hypernetwork: paper §3. What runs whole stacks is work for `device.now` or
 * `device.inSlices`.
 */
export class HintModel implements TrainableModel {
  readonly t5: T5;
  readonly hypernetwork: Hypernetwork | undefined;
  /** The same T5 as the hypernetwork reads it, which may be more exactly. */
  private readonly hyperT5: T5;
  /** What {@link prepareInference} holds matrices in. */
  inferenceDType: ops.WeightDType = 'f32';
  private inference: InferenceWeights | undefined;
  private preparing: Promise<void> | undefined;

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    readonly parameters: Parameters,
  ) {
    checked(DEVICE, device, 'device');
    checked(MODEL_CONFIG, config, 'config');
    checked(
      instance(Parameters, 'Parameters, such as initialiseParameters(device, config, seed)'),
      parameters,
      'parameters',
    );
    this.t5 = new T5(device, config, parameters);
    this.hyperT5 = new T5(device, config, parameters);
    this.hypernetwork = config.hint ? new Hypernetwork(this.hyperT5, config.hint) : undefined;
  }

  /** Instructions → encoded instructions and modules; each distinct instruction once (law 5). */
  *encodeTasks(instructions: Ragged, options: ForwardOptions = {}): Sliced<EncodedTasks> {
    if (!this.hypernetwork) return { instructions: undefined, modules: new Map() };
    checkTokenIds(instructions.ids, this.config.vocabSize);
    let encoded: EncodedInstructions | undefined;
    if (this.hypernetwork.readsInstruction) {
      checkNoEmptySequence(instructions, 'instruction');
      if (instructions.offsets.length < 2) {
        throw new HintError(
          'INVALID_DATA',
          'This model generates its modules from an instruction, but the batch has none; use a system that feeds instructions.',
        );
      }
      encoded = yield* this.hypernetwork.encode(instructions, options);
    }
    if (options.regenerate && this.device.tape && this.hypernetwork.generatesBySlot) {
      return {
        instructions: encoded,
        modules: new Map(),
        source: this.hypernetwork.source(encoded, options),
      };
    }
    return { instructions: encoded, modules: yield* this.hypernetwork.generate(encoded, options) };
  }

  /** Inputs through the encoder with their tasks' modules → what the decoder reads. */
  *encodeInputs(
    inputs: Ragged,
    tasks: EncodedTasks,
    taskIndex: Int32Array,
    options: ForwardOptions = {},
  ): Sliced<Memory> {
    checkTokenIds(inputs.ids, this.config.vocabSize);
    checkNoEmptySequence(inputs, 'input');
    const rows = this.taskRows(tasks, taskIndex, inputs.offsets);
    const ids = this.device.tensor(inputs.ids, [inputs.ids.length]);
    const encoded = yield* this.device.tidied(
      this.t5.encode(
        { ids, offsets: inputs.offsets },
        { tasks: rows, dropout: options.dropout, recompute: options.recompute },
      ),
    );
    ids.dispose();
    const fused = this.config.hint?.instructionFusion ? tasks.instructions : undefined;
    return { encoded, offsets: inputs.offsets, tasks: rows, instruction: fused };
  }

  /** Decoder rows after the final norm, teacher-forced: the target shifted right behind the start token. */
  *decode(
    targets: Ragged,
    memory: Memory,
    tasks: EncodedTasks,
    taskIndex: Int32Array,
    options: ForwardOptions = {},
  ): Sliced<Tensor> {
    checkTokenIds(targets.ids, this.config.vocabSize);
    checkNoEmptySequence(targets, 'target');
    const shifted = shiftRight(targets, this.config.decoderStartTokenId);
    const ids = this.device.tensor(shifted, [shifted.length]);
    const hidden = yield* this.device.tidied(
      this.t5.decode({ ids, offsets: targets.offsets }, memory, {
        tasks: this.taskRows(tasks, taskIndex, targets.offsets),
        dropout: options.dropout,
        recompute: options.recompute,
      }),
    );
    ids.dispose();
    return hidden;
  }

  /** Encoder, hypernetwork and decoder in one: a training step's forward pass (method §2.9). */
  *forward(
    batch: RaggedBatch,
    options: ForwardOptions = {},
  ): Sliced<{ tasks: EncodedTasks; memory: Memory; hidden: Tensor }> {
    const tasks = yield* this.encodeTasks(batch.instructions, options);
    const memory = yield* this.encodeInputs(batch.inputs, tasks, batch.taskIndex, options);
    const hidden = yield* this.decode(batch.targets, memory, tasks, batch.taskIndex, options);
    return { tasks, memory, hidden };
  }

  /**
   * Cross entropy and z-loss of every target token (method §6), not summed: [target rows] each. The original trains
   * on their sum over the batch.
   */
  loss(
    batch: RaggedBatch,
    options: ForwardOptions & { zLoss?: number } = {},
  ): Sliced<{ loss: Tensor; zTerm: Tensor }> {
    const work = this.untidyLoss(batch, options);
    // What runs again in the backward pass still needs the modules, or what they are made of, and the memory then.
    return options.recompute || options.regenerate ? work : this.device.tidied(work);
  }

  private *untidyLoss(
    batch: RaggedBatch,
    options: ForwardOptions & { zLoss?: number },
  ): Sliced<{ loss: Tensor; zTerm: Tensor }> {
    const { hidden } = yield* this.forward(batch, options);
    const targets = this.device.tensor(batch.targets.ids, [batch.targets.ids.length]);
    return ops.crossEntropy(hidden, this.t5.table('lm_head.weight'), targets, {
      zLoss: options.zLoss ?? 0,
    });
  }

  /** How rows belong to tasks; undefined when nothing task-specific acts on them. */
  taskRows(tasks: EncodedTasks, taskIndex: Int32Array, offsets: Int32Array): TaskRows | undefined {
    const { modules, source, instructions } = tasks;
    if (modules.size === 0 && !source && !instructions) return undefined;
    // Learned modules and a single instruction serve every row.
    const count = instructions ? instructions.offsets.length - 1 : 1;
    if (count === 1) return { modules, source, taskIndex: undefined, rowOffsets: undefined };
    return { modules, source, taskIndex, rowOffsets: taskRowOffsets(offsets, taskIndex, count) };
  }

  /**
   * Makes the weights that inference reads ({@link InferenceWeights}) unless they are there and current; packed in f32
   * they take as much memory as parameters that are not used where they lie in a file do. Resolves when all is enqueued,
   * which is done in slices; does nothing where the device reads f32 weights as they are.
   *
   * @throws HintError NOT_SUPPORTED for a dtype that the device has no products in
   */
  async prepareInference(): Promise<void> {
    checkWeightDType(this.device, this.inferenceDType);
    if (!this.device.packsWeights && this.inferenceDType === 'f32') {
      this.releaseInference();
      return;
    }
    if (this.inference?.isCurrent && this.inference.dtype === this.inferenceDType) return;
    // Who asks while they are being made gets the same.
    this.preparing ??= this.device.inSlices(this.makeInferenceWeights()).finally(() => {
      this.preparing = undefined;
    });
    await this.preparing;
  }

  private *makeInferenceWeights(): Sliced<void> {
    this.releaseInference();
    const { device, config, parameters, inferenceDType } = this;
    const weights: InferenceWeights = device.packsWeights
      ? new PackedWeights(device, config, parameters, inferenceDType)
      : new RoundedWeights(device, config, parameters);
    try {
      yield* weights.make();
    } catch (error) {
      weights.dispose();
      throw error;
    }
    this.inference = weights;
    this.t5.inferenceWeights = weights;
    this.hyperT5.inferenceWeights = weights.ofHypernetwork;
  }

  /** What {@link prepareInference} made, if it is current. */
  get inferenceWeights(): InferenceWeights | undefined {
    return this.inference?.isCurrent ? this.inference : undefined;
  }

  /** Gives the memory of {@link prepareInference} back. */
  releaseInference(): void {
    this.inference?.dispose();
    this.inference = undefined;
    this.t5.inferenceWeights = undefined;
    this.hyperT5.inferenceWeights = undefined;
  }

  activationMemory(shape: BatchShape, again: RunAgain): ActivationMemory {
    return activationMemory(this.config, this.parameters.computeDtype, shape, again);
  }

  costOfRunningAgain(shape: BatchShape): { layers: number; modules: number } {
    return costOfRunningAgain(this.config, shape);
  }

  configFile(): Record<string, unknown> {
    return serializeModelConfig(this.config);
  }

  storedTensors(): StoredTensor[] {
    return this.parameters.storedEntries().map(([name, { shape }]) => ({
      name,
      shape,
      read: () => this.parameters.read(name),
    }));
  }

  dispose(): void {
    this.releaseInference();
    this.parameters.dispose();
  }
}

/** Decoder input: each target moved right by one behind the start token, its last token dropped. */
export function shiftRight(targets: Ragged, startToken: number): Int32Array {
  const shifted = new Int32Array(targets.ids.length);
  for (let i = 0; i + 1 < targets.offsets.length; i++) {
    const begin = targets.offsets[i] as number;
    const end = targets.offsets[i + 1] as number;
    shifted.set(targets.ids.subarray(begin, end - 1), begin + 1);
    shifted[begin] = startToken;
  }
  return shifted;
}

function checkNoEmptySequence({ offsets }: Ragged, what: string): void {
  for (let i = 0; i + 1 < offsets.length; i++) {
    if (offsets[i] === offsets[i + 1]) {
      throw new HintError(
        'INVALID_DATA',
        `The ${what} number ${i} has no token; every ${what} needs at least one, such as the end-of-sequence token.`,
      );
    }
  }
}

export { NO_DROPOUT };
