import * as ops from '../../tensor/ops.js';
import type { Device } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ModelConfig } from '../config/config.js';
import type { WeightReader } from '../weights/inference-weights.js';
import { NO_DROPOUT, type DropoutPlan, type DropoutStack } from '../trainable/dropout.js';
import type { Parameters } from '../parameters/parameter-store.js';
import {
  addAdapter,
  addLora,
  hasAdapter,
  hasPrefix,
  overParts,
  prefixOptions,
  readingModules,
  type TaskRows,
} from '../modules/task-modules.js';

/** Sequences of one side of a batch, on the device. */
export interface Sequences {
  /** i32 [rows]. */
  ids: Tensor;
  offsets: Int32Array;
}

/** What decoders read: the encoder's output, and in front of it the task's encoded instruction (fusion, method §2.6). */
export interface Memory {
  /** [rows, dModel], one sequence per example. */
  encoded: Tensor;
  offsets: Int32Array;
  /** Task rows of `encoded`. */
  tasks?: TaskRows | undefined;
  instruction?: { rows: Tensor; offsets: Int32Array } | undefined;
  /** Per decoder layer the keys and values of `instruction`, where they are at hand from compiling the tasks. */
  shared?: readonly SharedKeys[] | undefined;
  /**
   * Offsets of the decoder rows that read each sequence, where several targets read the same one: their rows lie next
   * to each other. Absent: one target per sequence.
   */
  readers?: Int32Array | undefined;
}

/** How the attentions of a decoder layer reach their keys: all at once in training, through caches when generating. */
export interface DecoderKeys {
  self(q: Tensor, k: Tensor, v: Tensor, layer: number): Tensor;
  cross(q: Tensor, layer: number): Tensor;
}

/** Keys and values of encoded instructions, once per task, as arguments of attention. */
export interface SharedKeys {
  sharedKey: Tensor;
  sharedValue: Tensor;
  sharedOffsets: Int32Array;
}

/** Keys and values that a decoder layer's cross-attention reads. */
export interface CrossKeys {
  key: Tensor;
  value: Tensor;
  shared: SharedKeys | undefined;
}

/** The residual stream and the block output not yet added to it: adding is fused with the next norm. */
interface Stream {
  x: Tensor;
  delta: Tensor | undefined;
  /** Dropout of `delta`, applied while adding. */
  dropout: ReturnType<DropoutPlan['at']>;
}

/** How a stack is run. */
export interface StackOptions {
  tasks?: TaskRows | undefined;
  dropout?: DropoutPlan | undefined;
  /** Keep only each layer's input and run the layer again in the backward pass. */
  recompute?: boolean | undefined;
}

/** T5 v1.1 over ragged rows: the equations of method §1.1, with the task's modules where method §2.7 puts them. */
export class T5 {
  private packed: WeightReader | undefined;

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    readonly parameters: Parameters,
  ) {}

  private weight(name: string): Tensor {
    return this.parameters.get(`${name}.weight`);
  }

  /** The weights that inference reads instead of the parameters; absent while a tape records and after an update. */
  get inferenceWeights(): WeightReader | undefined {
    return this.device.tape || !this.packed?.isCurrent ? undefined : this.packed;
  }

  set inferenceWeights(weights: WeightReader | undefined) {
    this.packed = weights;
  }

  /** What the residual stream is rounded to before products read it, and what keys and values are stored in. */
  get computeDtype(): ops.FloatDType {
    return this.inferenceWeights?.computeDtype ?? this.parameters.computeDtype;
  }

  /** A parameter in the dtype of the rows that are computed with it. */
  table(name: string): Tensor {
    return this.inferenceWeights?.table(name) ?? this.parameters.matrix(name);
  }

  /** {@link table} of what is too large to stay widened where it was not trained. */
  matrix(name: string): Tensor {
    return this.computeDtype === 'f32' ? this.parameters.lend(name) : this.table(name);
  }

  /** Rows of a table as it is held, stored as `training` says, or as inference computes. */
  rows(ids: Tensor, name: string, training = this.parameters.computeDtype): Tensor {
    const outputDType = this.inferenceWeights?.computeDtype ?? training;
    return ops.embedding(ids, this.parameters.stored(name), { outputDType });
  }

  /** x times a parameter's transpose. */
  private linear(x: Tensor, name: string, options: { outputDType?: ops.FloatDType } = {}): Tensor {
    const matrix = this.inferenceWeights?.matrix(`${name}.weight`);
    return matrix ? ops.packedLinear(x, matrix) : ops.linear(x, this.matrix(`${name}.weight`), options);
  }

  /** Tokens → rows after the final norm, [rows, dModel]. `stack` names the weights, `masks` the dropout's masks. */
  *encode(
    { ids, offsets }: Sequences,
    options: StackOptions & { stack?: string; masks?: DropoutStack } = {},
  ): Sliced<Tensor> {
    const { stack = 'encoder', masks = 'encoder', tasks, dropout = NO_DROPOUT } = options;
    const stream = this.embed(ids, offsets, dropout, masks);
    const layers = range(this.config.numLayers, (i) => (s: Stream) => {
      const at = { offsets, slot: i, layer: i, tasks, dropout, masks };
      return this.encoderLayer(s, stack, at);
    });
    const { x, delta } = yield* this.run(stream, layers, options);
    const { y } = this.addNorm(
      { x, delta, dropout: this.lastDropout(masks, this.config.numLayers, tasks, dropout) },
      `${stack}.final_layer_norm`,
      offsets,
    );
    // Not shared within a sequence here, unlike everywhere else (method §1.3).
    return ops.dropout(y, dropout.at(masks, 0, 'final'));
  }

  /** Decoder input tokens and memory → rows after the final norm, teacher-forced. */
  decode(sequences: Sequences, memory: Memory, options: StackOptions = {}): Sliced<Tensor> {
    return this.decodeOver(sequences, this.teacherForced(sequences.offsets, memory, options), options);
  }

  /** The decoder's layers over any way to reach the keys; {@link decode} in training, a step of a decode loop else. */
  *decodeOver({ ids, offsets }: Sequences, keys: DecoderKeys, options: StackOptions = {}): Sliced<Tensor> {
    const { tasks, dropout = NO_DROPOUT } = options;
    const { numDecoderLayers } = this.config;
    const stream = this.embed(ids, offsets, dropout, 'decoder');
    const layers = range(numDecoderLayers, (j) => (s: Stream) => {
      const at = { offsets, slot: this.decoderSlot(j), layer: j, tasks, dropout, masks: 'decoder' as const };
      return this.decoderLayer(s, keys, at);
    });
    const { x, delta } = yield* this.run(stream, layers, options);
    const last = this.lastDropout('decoder', numDecoderLayers, tasks, dropout);
    const { y } = this.addNorm({ x, delta, dropout: last }, 'decoder.final_layer_norm', offsets);
    return ops.dropout(y, dropout.at('decoder', 0, 'final'), offsets);
  }

  private *encoderLayer(stream: Stream, stack: string, at: LayerPlace): Sliced<Stream> {
    const layer = `${stack}.block.${at.layer}.layer`;
    const attended = this.selfAttention(stream, layer, at, (q, k, v) =>
      this.attendWithin(q, k, v, { ...at, stack, causal: false }),
    );
    yield;
    return this.feedForward(attended, `${layer}.1`, at);
  }

  private *decoderLayer(stream: Stream, keys: DecoderKeys, at: LayerPlace): Sliced<Stream> {
    const layer = `decoder.block.${at.layer}.layer`;
    const cross = { ...at, slot: at.slot + 1 };
    const attended = this.selfAttention(stream, layer, at, (q, k, v) => keys.self(q, k, v, at.layer));
    yield;
    const crossed = this.crossAttention(attended, `${layer}.1`, cross, (q) => keys.cross(q, at.layer));
    yield;
    return this.feedForward(crossed, `${layer}.2`, at);
  }

  /** Logits of every row, f32 [rows, vocabSize]; unscaled (method §1.1). Training never makes them: see HintModel.loss. */
  logits(hidden: Tensor): Tensor {
    return this.linear(hidden, 'lm_head', { outputDType: 'f32' });
  }

  /** Projection `which` of an attention block, with its LoRA. */
  project(
    x: Tensor,
    block: string,
    which: 'q' | 'k' | 'v' | 'o',
    tasks: TaskRows | undefined,
    slot: number,
  ): Tensor {
    return addLora(x, this.linear(x, `${block}.${which}`), which, tasks, slot);
  }

  /** sum = x + delta, in f32; y = RMS norm of it. */
  addNorm(stream: Stream, norm: string, offsets: Int32Array): { y: Tensor; x: Tensor } {
    const weight = this.weight(norm);
    const epsilon = this.config.layerNormEpsilon;
    const outputDType = this.computeDtype;
    if (!stream.delta) return { y: ops.rmsNorm(stream.x, weight, epsilon, { outputDType }), x: stream.x };
    const { y, sum } = ops.addRmsNorm(stream.x, stream.delta, weight, epsilon, {
      outputDType,
      seqOffsets: offsets,
      dropout: stream.dropout,
    });
    return { y, x: sum };
  }

  private embed(ids: Tensor, offsets: Int32Array, dropout: DropoutPlan, masks: DropoutStack): Stream {
    // Training adds up from unrounded rows.
    const x = ops.dropout(this.rows(ids, 'shared.weight', 'f32'), dropout.at(masks, 0, 'embedding'), offsets);
    return { x, delta: undefined, dropout: undefined };
  }

  /** Runs layers one after the other; what a layer leaves behind is freed when it returns. */
  private *run(
    stream: Stream,
    layers: ((stream: Stream) => Sliced<Stream>)[],
    options: StackOptions,
  ): Sliced<{ x: Tensor; delta: Tensor | undefined }> {
    let current = stream;
    for (const layer of layers) {
      const { tape } = this.device;
      if (options.recompute && tape) {
        const { dropout } = current;
        let outgoing: Stream['dropout'];
        const inputs = current.delta ? [current.x, current.delta] : [current.x];
        const [x, delta] = tape.recompute(inputs, (first, second) => {
          const next = this.device.now(layer({ x: first as Tensor, delta: second, dropout }));
          outgoing = next.dropout;
          return [next.x, next.delta as Tensor];
        });
        current = { x: x as Tensor, delta, dropout: outgoing };
      } else {
        current = yield* this.device.tidied(layer(current));
      }
      yield;
    }
    return current;
  }

  private lastDropout(
    masks: DropoutStack,
    layers: number,
    tasks: TaskRows | undefined,
    dropout: DropoutPlan,
  ): Stream['dropout'] {
    return layers === 0 || hasAdapter(tasks)
      ? undefined
      : dropout.at(masks, layers - 1, 'feed-forward-output');
  }

  private selfAttention(
    stream: Stream,
    layer: string,
    at: LayerPlace,
    attend: (q: Tensor, k: Tensor, v: Tensor) => Tensor,
  ): Stream {
    const { offsets, slot, tasks, dropout } = at;
    const { y, x } = this.addNorm(stream, `${layer}.0.layer_norm`, offsets);
    const block = `${layer}.0.SelfAttention`;
    const [q, k, v] = (['q', 'k', 'v'] as const).map((which) => this.project(y, block, which, tasks, slot));
    return {
      x,
      delta: this.project(attend(q as Tensor, k as Tensor, v as Tensor), block, 'o', tasks, slot),
      dropout: dropout.at(at.masks, at.layer, 'attention-output'),
    };
  }

  /** Self-attention of whole sequences. */
  private attendWithin(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    at: LayerPlace & { stack: string; causal: boolean },
  ): Tensor {
    const { parts } = at.tasks ?? {};
    if (parts && hasPrefix(at.tasks)) {
      return overParts(parts, [q, k, v], ([ownQ, ownK, ownV], tasks, { sequences, rows }) => {
        const offsets = at.offsets.slice(sequences[0], sequences[1] + 1).map((offset) => offset - rows[0]);
        return this.attendWithin(ownQ as Tensor, ownK as Tensor, ownV as Tensor, { ...at, tasks, offsets });
      });
    }
    return attendWithModules(
      at.tasks,
      at.slot,
      { q, k, v },
      {
        numHeads: this.config.numHeads,
        qOffsets: at.offsets,
        kOffsets: at.offsets,
        bias: this.relativeBias(at.stack),
        maxDistance: this.config.relativeAttentionMaxDistance,
        causal: at.causal,
        dropout: at.dropout.at(at.masks, at.layer, 'attention'),
      },
    );
  }

  /** The table [buckets, heads] that all layers of a stack share. */
  relativeBias(stack: string): Tensor {
    return this.table(`${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`);
  }

  private crossAttention(
    stream: Stream,
    layer: string,
    at: LayerPlace,
    attend: (q: Tensor) => Tensor,
  ): Stream {
    const { offsets, slot, tasks, dropout } = at;
    const { y, x } = this.addNorm(stream, `${layer}.layer_norm`, offsets);
    const block = `${layer}.EncDecAttention`;
    return {
      x,
      delta: this.project(attend(this.project(y, block, 'q', tasks, slot)), block, 'o', tasks, slot),
      dropout: dropout.at(at.masks, at.layer, 'cross-attention-output'),
    };
  }

  private teacherForced(offsets: Int32Array, memory: Memory, options: StackOptions): DecoderKeys {
    const { tasks, dropout = NO_DROPOUT } = options;
    const place = { offsets, tasks, dropout, masks: 'decoder' as const, stack: 'decoder', causal: true };
    return {
      self: (q, k, v, layer) =>
        this.attendWithin(q, k, v, { ...place, layer, slot: this.decoderSlot(layer) }),
      cross: (q, layer) =>
        this.attendAcross(
          q,
          memory.readers ?? offsets,
          memory.offsets,
          this.crossKeys(layer, memory, tasks, memory.shared?.[layer]),
          layer,
          { tasks: memory.readers ? memory.tasks : tasks, dropout },
        ),
    };
  }

  /** Slot of a decoder layer's self-attention and adapter; that of its cross-attention follows. */
  decoderSlot(layer: number): number {
    return this.config.numLayers + 2 * layer;
  }

  /** Cross-attention over keys in the order [prefix | encoded instruction of the task | encoded input] (method §2.7). */
  attendAcross(
    q: Tensor,
    qOffsets: Int32Array,
    kOffsets: Int32Array,
    { key, value, shared }: CrossKeys,
    layer: number,
    { tasks, dropout = NO_DROPOUT }: StackOptions,
  ): Tensor {
    const slot = this.decoderSlot(layer) + 1;
    return attendWithModules(
      tasks,
      slot,
      { q, k: key, v: value, ...shared },
      {
        numHeads: this.config.numHeads,
        qOffsets,
        kOffsets,
        dropout: dropout.at('decoder', layer, 'cross-attention'),
      },
    );
  }

  /** What a decoder layer's cross-attention reads of a batch; `shared` may be at hand from compiling the task. */
  crossKeys(
    layer: number,
    memory: Memory,
    tasks: TaskRows | undefined,
    shared = memory.instruction && this.sharedKeys(layer, memory.instruction, tasks),
  ): CrossKeys {
    const slot = this.decoderSlot(layer) + 1;
    const block = crossBlock(layer);
    return {
      key: this.project(memory.encoded, block, 'k', memory.tasks, slot),
      value: this.project(memory.encoded, block, 'v', memory.tasks, slot),
      shared,
    };
  }

  /** A decoder layer's keys and values of the encoded instructions (method §2.6). */
  sharedKeys(
    layer: number,
    { rows, offsets }: { rows: Tensor; offsets: Int32Array },
    tasks: TaskRows | undefined,
  ): SharedKeys {
    const slot = this.decoderSlot(layer) + 1;
    const block = crossBlock(layer);
    const owner = tasks && { ...tasks, rowOffsets: offsets };
    return {
      sharedKey: this.project(rows, block, 'k', owner, slot),
      sharedValue: this.project(rows, block, 'v', owner, slot),
      sharedOffsets: offsets,
    };
  }

  private feedForward(stream: Stream, layer: string, at: LayerPlace): Stream {
    const { y, x } = this.addNorm(stream, `${layer}.layer_norm`, at.offsets);
    const dropout = at.dropout.at(at.masks, at.layer, 'feed-forward-output');
    if (!at.tasks || !hasAdapter(at.tasks)) return { x, delta: this.denseReluDense(y, layer, at), dropout };
    // Not rounded before the adapter's part is added to it, nor after.
    const out = this.denseReluDense(y, layer, at, { outputDType: 'f32' });
    // The adapter branch has no dropout (method §2.7), so the feed-forward's is applied before the two are added.
    return {
      x,
      delta: addAdapter(y, ops.dropout(out, dropout, at.offsets), at.tasks, at.slot),
      dropout: undefined,
    };
  }

  /** wo(gelu(wi_0 n) * wi_1 n). */
  denseReluDense(
    n: Tensor,
    layer: string,
    at: Pick<LayerPlace, 'offsets' | 'layer' | 'dropout' | 'masks'>,
    options: { outputDType?: ops.FloatDType } = {},
  ): Tensor {
    const block = `${layer}.DenseReluDense`;
    const hidden = ops.gatedGelu(this.linear(n, `${block}.wi_0`), this.linear(n, `${block}.wi_1`), {
      seqOffsets: at.offsets,
      dropout: at.dropout.at(at.masks, at.layer, 'hidden'),
    });
    return this.linear(hidden, `${block}.wo`, options);
  }
}

interface LayerPlace {
  offsets: Int32Array;
  slot: number;
  layer: number;
  tasks: TaskRows | undefined;
  dropout: DropoutPlan;
  masks: DropoutStack;
}

/** Attention behind a slot's prefixes, where there are any. */
function attendWithModules(
  tasks: TaskRows | undefined,
  slot: number,
  {
    q,
    k,
    v,
    sharedKey,
    sharedValue,
    sharedOffsets,
  }: { q: Tensor; k: Tensor; v: Tensor } & Partial<SharedKeys>,
  options: ops.AttentionOptions,
): Tensor {
  const attend = ([ownQ, ownK, ownV, ownSharedKey, ownSharedValue]: Tensor[]): Tensor =>
    ops.attention(ownQ as Tensor, ownK as Tensor, ownV as Tensor, {
      ...options,
      taskIndex: tasks?.taskIndex,
      ...prefixOptions(tasks, slot),
      sharedKey: ownSharedKey,
      sharedValue: ownSharedValue,
      sharedOffsets,
    });
  const inputs = [q, k, v, ...(sharedKey && sharedValue ? [sharedKey, sharedValue] : [])];
  return hasPrefix(tasks) ? readingModules(tasks, inputs, attend) : attend(inputs);
}

function crossBlock(layer: number): string {
  return `decoder.block.${layer}.layer.1.EncDecAttention`;
}

function range<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
