import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { FloatDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelConfig } from '../config/config.js';
import { headOf, variantOf } from '../config/variant.js';
import type { TaskRows } from '../modules/task-modules.js';
import type { Weights } from '../weights/weights.js';
import type { SharedKeys } from './attention.js';
import { decode } from './decoder.js';
import {
  crossKeys,
  sharedKeys,
  type CrossKeys,
  type DecoderKeys,
  type DecoderMemory,
} from './decoder-keys.js';
import { encode, type EncoderOptions } from './encoder.js';
import type { Network, Sequences, StackOptions } from './network.js';

/** T5 over ragged rows: the equations of method §1.1, with the task's modules where method §2.7 puts them. */
export class T5 implements Network {
  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    readonly weights: Weights,
  ) {}

  /** What keys and values are stored in. */
  get computeDtype(): FloatDType {
    return this.weights.computeDtype;
  }

  /** The final projection [vocabSize, dModel] as a loss reads it, of rows that {@link scaled} has made. */
  get head(): Tensor {
    return this.weights.table(`${headOf(this.config)}.weight`);
  }

  /** Rows as the final projection takes them: a tied head's are multiplied by 1/√dModel (in T5 v1.0 and umT5). */
  scaled(hidden: Tensor): Tensor {
    const { config } = this;
    return variantOf(config).scaledHead ? ops.scale(hidden, 1 / Math.sqrt(config.dModel)) : hidden;
  }

  /** Tokens → rows after the encoder's final norm, [rows, dModel]. */
  encode(sequences: Sequences, options?: EncoderOptions): Sliced<Tensor> {
    return encode(this, sequences, options);
  }

  /** Decoder input tokens → rows after the decoder's final norm, [rows, dModel]. */
  decode(sequences: Sequences, keys: DecoderKeys, options?: StackOptions): Sliced<Tensor> {
    return decode(this, sequences, keys, options);
  }

  /** Logits of every row, f32 [rows, vocabSize] (method §1.1). Training never makes them: see {@link losses}. */
  logits(hidden: Tensor): Tensor {
    return this.weights.multiply(this.scaled(hidden), headOf(this.config), { outputDType: 'f32' });
  }

  /** Cross entropy and z-loss of every row, [rows] each. @param targets i32 [rows] */
  losses(hidden: Tensor, targets: Tensor, zLoss = 0): { loss: Tensor; zTerm: Tensor } {
    const { head } = this;
    const scaled = this.scaled(hidden);
    // Packed weights keep the head as it is stored, whatever rows are rounded to.
    const rows = scaled.dtype === head.dtype ? scaled : ops.cast(scaled, head.dtype as FloatDType);
    return ops.crossEntropy(rows, head, targets, { zLoss });
  }

  /** What a decoder layer's cross-attention reads of a batch; `shared` may be at hand from compiling the task. */
  crossKeys(
    layer: number,
    memory: DecoderMemory,
    tasks: TaskRows | undefined,
    shared?: SharedKeys,
  ): CrossKeys {
    return crossKeys(this, layer, memory, tasks, shared);
  }

  /** A decoder layer's keys and values of the encoded instructions (method §2.6). */
  sharedKeys(
    layer: number,
    instructions: { rows: Tensor; offsets: Int32Array },
    tasks: TaskRows | undefined,
  ): SharedKeys {
    return sharedKeys(this, layer, instructions, tasks);
  }
}
