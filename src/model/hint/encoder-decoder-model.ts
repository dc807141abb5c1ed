import { checkTokenIds, type Ragged, type RaggedBatch } from '../../data/batch.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checked, instance } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { MODEL_CONFIG, serializeModelConfig, type ModelConfig } from '../config/config.js';
import {
  activationMemory,
  costOfRunningAgain,
  type ActivationMemory,
  type BatchShape,
} from '../memory/activation-memory.js';
import type { BackwardPlan } from '../memory/backward-plan.js';
import {
  taskRowOffsets,
  type ModuleMaker,
  type TaskModules,
  type TaskRows,
} from '../modules/task-modules.js';
import { DEVICE, ParameterStore } from '../parameters/parameter-store.js';
import type { DecoderMemory } from '../t5/decoder-keys.js';
import { T5 } from '../t5/t5.js';
import type { ForwardOptions, StoredTensor, TrainableModel } from '../trainable/trainable.js';
import type { InferenceWeights } from '../weights/inference-weights.js';
import { ModelWeights } from '../weights/model-weights.js';
import type { EncodedInstructions, Hypernetwork } from './hypernetwork.js';

/** What the instructions of a batch have become. */
export interface EncodedTasks {
  /** Absent when nothing reads the instruction. */
  instructions: EncodedInstructions | undefined;
  modules: TaskModules;
  /** In place of `modules`, where the backward pass makes modules again. */
  maker?: ModuleMaker | undefined;
}

/**
 * What a T5 does with a batch, with a hypernetwork beside it ({@link HintModel}) or without (`T5Model`). What runs whole
 * stacks is work for `device.now` or `device.inSlices`.
 */
export abstract class EncoderDecoderModel implements TrainableModel {
  /** What makes tasks of instructions; undefined where nothing does. */
  abstract readonly hypernetwork: Hypernetwork | undefined;
  /** Encoder and decoder without any module. */
  readonly t5: T5;
  /** What {@link prepareInference} holds matrices in. */
  inferenceDType: ops.WeightDType = 'f32';
  /** What layers read: parameters, or what was packed or rounded of them. */
  protected readonly weights: ModelWeights;

  /** @throws HintError INVALID_ARGUMENT */
  constructor(
    /** On which all parameters are. */
    readonly device: Device,
    /** As config.json says it; never changes. */
    readonly config: ModelConfig,
    /** By name; the model owns them. */
    readonly parameters: ParameterStore,
  ) {
    checked(DEVICE, device, 'device');
    checked(MODEL_CONFIG, config, 'config');
    checked(
      instance(ParameterStore, 'a ParameterStore, such as initialiseParameters(device, config, seed)'),
      parameters,
      'parameters',
    );
    this.weights = new ModelWeights(device, config, parameters);
    this.t5 = new T5(device, config, this.weights.ofModel);
  }

  /** Instructions → encoded instructions and modules; each distinct instruction once (law 5). */
  abstract encodeTasks(instructions: Ragged, options?: ForwardOptions): Sliced<EncodedTasks>;

  /** The encoded instructions that the decoder reads in front of its inputs. */
  protected abstract fused(tasks: EncodedTasks): EncodedInstructions | undefined;

  /** Inputs through the encoder with their tasks' modules → what the decoder reads. */
  *encodeInputs(
    inputs: Ragged,
    tasks: EncodedTasks,
    taskIndex: Int32Array,
    options: ForwardOptions = {},
  ): Sliced<DecoderMemory> {
    checkTokenIds(inputs.ids, this.config.vocabSize);
    checkNoEmptySequence(inputs, 'input');
    const rows = this.taskRows(tasks, taskIndex, inputs.offsets);
    const ids = this.device.tensor(inputs.ids, [inputs.ids.length]);
    const encoded = yield* this.device.tidied(
      this.t5.encode(
        { ids, offsets: inputs.offsets },
        { tasks: rows, dropout: options.dropout, backward: options.backward },
      ),
    );
    ids.dispose();
    return { encoded, offsets: inputs.offsets, tasks: rows, instruction: this.fused(tasks) };
  }

  /** Decoder rows after the final norm, teacher-forced: the target shifted right behind the start token. */
  *decode(
    targets: Ragged,
    memory: DecoderMemory,
    tasks: EncodedTasks,
    taskIndex: Int32Array,
    options: ForwardOptions = {},
  ): Sliced<Tensor> {
    checkTokenIds(targets.ids, this.config.vocabSize);
    checkNoEmptySequence(targets, 'target');
    const shifted = shiftRight(targets, this.config.decoderStartTokenId);
    const ids = this.device.tensor(shifted, [shifted.length]);
    const hidden = yield* this.device.tidied(
      this.t5.decode(
        { ids, offsets: targets.offsets },
        { kind: 'sequences', memory },
        {
          tasks: this.taskRows(tasks, taskIndex, targets.offsets),
          dropout: options.dropout,
          backward: options.backward,
        },
      ),
    );
    ids.dispose();
    return hidden;
  }

  /** Encoder, hypernetwork and decoder in one: a training step's forward pass (method §2.9). */
  *forward(
    batch: RaggedBatch,
    options: ForwardOptions = {},
  ): Sliced<{ tasks: EncodedTasks; memory: DecoderMemory; hidden: Tensor }> {
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
    return (options.backward ?? 'none') !== 'none' ? work : this.device.tidied(work);
  }

  private *untidyLoss(
    batch: RaggedBatch,
    options: ForwardOptions & { zLoss?: number },
  ): Sliced<{ loss: Tensor; zTerm: Tensor }> {
    const { hidden } = yield* this.forward(batch, options);
    const targets = this.device.tensor(batch.targets.ids, [batch.targets.ids.length]);
    return this.t5.losses(hidden, targets, options.zLoss);
  }

  /** How rows belong to tasks; undefined when nothing task-specific acts on them. */
  taskRows(tasks: EncodedTasks, taskIndex: Int32Array, offsets: Int32Array): TaskRows | undefined {
    const { modules, maker, instructions } = tasks;
    if (modules.size === 0 && !maker && !instructions) return undefined;
    // Learned modules and a single instruction serve every row.
    const count = instructions ? instructions.offsets.length - 1 : 1;
    if (count === 1) return { modules, maker, taskIndex: undefined, rowOffsets: undefined };
    return { modules, maker, taskIndex, rowOffsets: taskRowOffsets(offsets, taskIndex, count) };
  }

  /**
   * Makes the weights that inference reads unless they are there and current; packed in f32
   * they take as much memory as parameters that are not used where they lie in a file do. Resolves when all is enqueued,
   * which is done in slices; does nothing where the device reads f32 weights as they are.
   *
   * @throws HintError NOT_SUPPORTED for a dtype that the device has no products in
   */
  prepareInference(): Promise<void> {
    return this.weights.prepare(this.inferenceDType);
  }

  /** What {@link prepareInference} made, if it is current. */
  get inferenceWeights(): InferenceWeights | undefined {
    return this.weights.inference;
  }

  /** Gives the memory of {@link prepareInference} back. */
  releaseInference(): void {
    this.weights.release();
  }

  activationMemory(shape: BatchShape, backward: BackwardPlan): ActivationMemory {
    return activationMemory(this.config, this.parameters.computeDtype, shape, backward);
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

  /** Gives back parameters and everything made of them. */
  dispose(): void {
    this.weights.release();
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

/** @throws HintError INVALID_DATA */
export function checkNoEmptySequence({ offsets }: Ragged, what: string): void {
  for (let i = 0; i + 1 < offsets.length; i++) {
    if (offsets[i] === offsets[i + 1]) {
      throw new HintError(
        'INVALID_DATA',
        `The ${what} number ${i} has no token; every ${what} needs at least one, such as the end-of-sequence token.`,
      );
    }
  }
}
