import type { BackwardPlan } from '../memory/backward-plan.js';
import type { Device } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelConfig } from '../config/config.js';
import type { TaskRows } from '../modules/task-modules.js';
import type { DropoutPlan, DropoutStack } from '../trainable/dropout.js';
import type { Weights } from '../weights/weights.js';

/** What T5's layers are computed with. */
export interface Network {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly weights: Weights;
}

/** Sequences of one side of a batch, on the device. */
export interface Sequences {
  /** i32 [rows]. */
  ids: Tensor;
  offsets: Int32Array;
}

/** How a stack is run. */
export interface StackOptions {
  tasks?: TaskRows | undefined;
  dropout?: DropoutPlan | undefined;
  /** What the backward pass runs again; of layers only their inputs are kept then. */
  backward?: BackwardPlan | undefined;
}

/** A layer of a stack, and the rows that go through it. */
export interface LayerPlace {
  /** Names of its weights begin with `${stack}.block.${layer}`. */
  readonly stack: string;
  readonly layer: number;
  /** Of its self-attention and its adapter. */
  readonly slot: number;
  /** Offsets of the sequences. */
  readonly offsets: Int32Array;
  readonly tasks: TaskRows | undefined;
  readonly dropout: DropoutPlan;
  /** Whose dropout masks it draws. */
  readonly masks: DropoutStack;
}
