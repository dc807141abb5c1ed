import type { Device } from '../../tensor/device.js';
import type { FloatDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelConfig } from '../config/config.js';
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

/** T5 v1.1 over ragged rows: the equations of method §1.1, with the task's modules where method §2.7 puts them. */
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

  /** The final projection [vocabSize, dModel] as a loss reads it. */
  get head(): Tensor {
    return this.weights.table('lm_head.weight');
  }

  /** Tokens → rows after the encoder's final norm, [rows, dModel]. */
  encode(sequences: Sequences, options?: EncoderOptions): Sliced<Tensor> {
    return encode(this, sequences, options);
  }

  /** Decoder input tokens → rows after the decoder's final norm, [rows, dModel]. */
  decode(sequences: Sequences, keys: DecoderKeys, options?: StackOptions): Sliced<Tensor> {
    return decode(this, sequences, keys, options);
  }

  /** Logits of every row, f32 [rows, vocabSize]; unscaled (method §1.1). Training never makes them: see EncoderDecoderModel.loss. */
  logits(hidden: Tensor): Tensor {
    return this.weights.multiply(hidden, 'lm_head', { outputDType: 'f32' });
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
