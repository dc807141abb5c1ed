import type { RaggedBatch } from '../../data/batch.js';
import type { Device } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ActivationMemory, BatchShape } from '../memory/activation-memory.js';
import type { BackwardPlan } from '../memory/backward-plan.js';
import type { DropoutPlan } from './dropout.js';
import { callback, instance, shaped } from '../../util/arguments.js';
import { DEVICE, ParameterStore } from '../parameters/parameter-store.js';

/** How a forward pass is run. */
export interface ForwardOptions {
  /** Where and how much is dropped; absent: nothing, as in inference. */
  dropout?: DropoutPlan | undefined;
  /** What the backward pass runs again; absent: nothing. */
  backward?: BackwardPlan | undefined;
  /** See HypernetworkOptions. */
  instructionLength?: number | undefined;
}

/** A tensor as a checkpoint file holds it. */
export interface StoredTensor {
  /** Its key in a checkpoint's files. */
  name: string;
  /** Sides as they are stored, outermost first. */
  shape: readonly number[];
  /** Row-major values. */
  read(): Promise<Float32Array>;
}

/** What trainer, optimizer and checkpoints need of a model, whatever its family. */
export interface TrainableModel {
  readonly device: Device;
  readonly config: {
    readonly vocabSize: number;
    readonly eosTokenId: number;
    /** Tokens that end a sequence too. */
    readonly moreEosTokenIds?: readonly number[];
  };
  readonly parameters: ParameterStore;
  /** Cross entropy and z-loss of every target token (method §6), not summed: [target rows] each. */
  loss(
    batch: RaggedBatch,
    options?: ForwardOptions & { zLoss?: number },
  ): Sliced<{ loss: Tensor; zTerm: Tensor }>;
  /** Estimates what {@link loss} and its backward pass take beside parameters and their gradients. */
  activationMemory(shape: BatchShape, backward: BackwardPlan): ActivationMemory;
  /** What running again costs, in multiply-adds; modules 0 where they cannot be generated layer by layer. */
  costOfRunningAgain(shape: BatchShape): { readonly layers: number; readonly modules: number };
  /** The object of config.json. */
  configFile(): Record<string, unknown>;
  /** The tensors of model.safetensors, under the names their family has for them. */
  storedTensors(): StoredTensor[];
  /** Gives back what inference has made of the weights, where a family makes anything. */
  releaseInference?(): void;
  dispose(): void;
}

export const TRAINABLE = shaped<
  Pick<TrainableModel, 'device' | 'parameters' | 'configFile' | 'storedTensors'>
>(
  {
    device: DEVICE,
    parameters: instance(ParameterStore, 'Parameters'),
    configFile: callback(),
    storedTensors: callback(),
  },
  'a model, such as await loadModel(device, directory)',
);
