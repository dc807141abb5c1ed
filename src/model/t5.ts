import * as ops from '../tensor/ops.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ModelConfig } from './config.js';
import { NO_DROPOUT, type DropoutPlan, type DropoutStack } from './dropout.js';
import type { Parameters } from './parameters.js';
import { addAdapter, addLora, hasAdapter, prefixOptions, type TaskRows } from './task-modules.js';

/** Sequences of one side of a batch, on the device. */
export interface Sequences {
  /** i32 [rows]. */
  ids: Tensor;
  offsets: Int32Array;
}

/** What decoders read: the encoder's output, and in front of it the task's encoded instruction (fusion, §2.6). */
export interface Memory {
  /** [rows, dModel], one sequence per example. */
  encoded: Tensor;
  offsets: Int32Array;
  /** Task rows of `encoded`. */
  tasks?: TaskRows | undefined;
  instruction?: { rows: Tensor; offsets: Int32Array } | undefined;
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

/** T5 v1.1 over ragged rows: the equations of method §1.1, with the task's modules where §2.7 puts them. */
export class T5 {
  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
    readonly parameters: Parameters,
  ) {}

  private weight(name: string): Tensor {
    return this.parameters.get(`${name}.weight`);
  }

  /** Tokens → rows after the final norm, [rows, dModel]. `stack` names the weights, `masks` the dropout's masks. */
  encode(
    { ids, offsets }: Sequences,
    options: StackOptions & { stack?: string; masks?: DropoutStack } = {},
  ): Tensor {
    const { stack = 'encoder', masks = 'encoder', tasks, dropout = NO_DROPOUT } = options;
    const stream = this.embed(ids, offsets, dropout, masks);
    const layers = range(this.config.numLayers, (i) => (s: Stream) => {
      const layer = `${stack}.block.${i}.layer`;
      const attended = this.selfAttention(s, layer, {
        stack,
        offsets,
        slot: i,
        layer: i,
        causal: false,
        tasks,
        dropout,
        masks,
      });
      return this.feedForward(attended, `${layer}.1`, { offsets, slot: i, layer: i, tasks, dropout, masks });
    });
    const { x, delta } = this.run(stream, layers, options);
    const { y } = this.addNorm(
      { x, delta, dropout: this.lastDropout(masks, this.config.numLayers, tasks, dropout) },
      `${stack}.final_layer_norm`,
      offsets,
    );
    // Not shared within a sequence here, unlike everywhere else (§1.3).
    return ops.dropout(y, dropout.at(masks, 0, 'final'));
  }

  /** Decoder input tokens and memory → rows after the final norm, teacher-forced. */
  decode({ ids, offsets }: Sequences, memory: Memory, options: StackOptions = {}): Tensor {
    const { tasks, dropout = NO_DROPOUT } = options;
    const { numLayers, numDecoderLayers } = this.config;
    const stream = this.embed(ids, offsets, dropout, 'decoder');
    const layers = range(numDecoderLayers, (j) => (s: Stream) => {
      const layer = `decoder.block.${j}.layer`;
      const slot = numLayers + 2 * j;
      const common = { offsets, layer: j, tasks, dropout, masks: 'decoder' as const };
      let next = this.selfAttention(s, layer, { ...common, stack: 'decoder', slot, causal: true });
      next = this.crossAttention(next, `${layer}.1`, memory, { ...common, slot: slot + 1 });
      return this.feedForward(next, `${layer}.2`, { ...common, slot });
    });
    const { x, delta } = this.run(stream, layers, options);
    const last = this.lastDropout('decoder', numDecoderLayers, tasks, dropout);
    const { y } = this.addNorm({ x, delta, dropout: last }, 'decoder.final_layer_norm', offsets);
    return ops.dropout(y, dropout.at('decoder', 0, 'final'), offsets);
  }

  /** Logits of every row, [rows, vocabSize]; unscaled (§1.1). Training never makes them: see HintModel.loss. */
  logits(hidden: Tensor): Tensor {
    return ops.linear(hidden, this.weight('lm_head'));
  }

  /** Projection `which` of an attention block, with its LoRA. */
  project(
    x: Tensor,
    block: string,
    which: 'q' | 'k' | 'v' | 'o',
    tasks: TaskRows | undefined,
    slot: number,
  ): Tensor {
    return addLora(x, ops.linear(x, this.weight(`${block}.${which}`)), which, tasks, slot);
  }

  /** sum = x + delta, y = RMS norm of it. */
  addNorm(stream: Stream, norm: string, offsets: Int32Array): { y: Tensor; x: Tensor } {
    const weight = this.weight(norm);
    const epsilon = this.config.layerNormEpsilon;
    if (!stream.delta) return { y: ops.rmsNorm(stream.x, weight, epsilon), x: stream.x };
    const { y, sum } = ops.addRmsNorm(stream.x, stream.delta, weight, epsilon, {
      seqOffsets: offsets,
      dropout: stream.dropout,
    });
    return { y, x: sum };
  }

  private embed(ids: Tensor, offsets: Int32Array, dropout: DropoutPlan, masks: DropoutStack): Stream {
    const x = ops.dropout(
      ops.embedding(ids, this.weight('shared')),
      dropout.at(masks, 0, 'embedding'),
      offsets,
    );
    return { x, delta: undefined, dropout: undefined };
  }

  /** Runs layers one after the other; what a layer leaves behind is freed when it returns. */
  private run(
    stream: Stream,
    layers: ((stream: Stream) => Stream)[],
    options: StackOptions,
  ): { x: Tensor; delta: Tensor | undefined } {
    let current = stream;
    for (const layer of layers) {
      const { tape } = this.device;
      if (options.recompute && tape) {
        const { dropout } = current;
        let outgoing: Stream['dropout'];
        const inputs = current.delta ? [current.x, current.delta] : [current.x];
        const [x, delta] = tape.recompute(inputs, (first, second) => {
          const next = layer({ x: first as Tensor, delta: second, dropout });
          outgoing = next.dropout;
          return [next.x, next.delta as Tensor];
        });
        current = { x: x as Tensor, delta, dropout: outgoing };
      } else {
        current = this.device.tidy(() => layer(current));
      }
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
    at: LayerPlace & { stack: string; causal: boolean },
  ): Stream {
    const { offsets, slot, tasks, dropout } = at;
    const { y, x } = this.addNorm(stream, `${layer}.0.layer_norm`, offsets);
    const block = `${layer}.0.SelfAttention`;
    const [q, k, v] = (['q', 'k', 'v'] as const).map((which) => this.project(y, block, which, tasks, slot));
    const o = ops.attention(q as Tensor, k as Tensor, v as Tensor, {
      numHeads: this.config.numHeads,
      qOffsets: offsets,
      kOffsets: offsets,
      taskIndex: tasks?.taskIndex,
      ...prefixOptions(tasks, slot),
      bias: this.weight(`${at.stack}.block.0.layer.0.SelfAttention.relative_attention_bias`),
      maxDistance: this.config.relativeAttentionMaxDistance,
      causal: at.causal,
      dropout: dropout.at(at.masks, at.layer, 'attention'),
    });
    return {
      x,
      delta: this.project(o, block, 'o', tasks, slot),
      dropout: dropout.at(at.masks, at.layer, 'attention-output'),
    };
  }

  /** Keys: [prefix | encoded instruction of the task | encoded input of the example] (§2.7). */
  private crossAttention(stream: Stream, layer: string, memory: Memory, at: LayerPlace): Stream {
    const { offsets, slot, tasks, dropout } = at;
    const { y, x } = this.addNorm(stream, `${layer}.layer_norm`, offsets);
    const block = `${layer}.EncDecAttention`;
    const o = ops.attention(
      this.project(y, block, 'q', tasks, slot),
      this.project(memory.encoded, block, 'k', memory.tasks, slot),
      this.project(memory.encoded, block, 'v', memory.tasks, slot),
      {
        numHeads: this.config.numHeads,
        qOffsets: offsets,
        kOffsets: memory.offsets,
        taskIndex: tasks?.taskIndex,
        ...prefixOptions(tasks, slot),
        ...this.instructionKeys(block, memory, tasks, slot),
        dropout: dropout.at(at.masks, at.layer, 'cross-attention'),
      },
    );
    return {
      x,
      delta: this.project(o, block, 'o', tasks, slot),
      dropout: dropout.at(at.masks, at.layer, 'cross-attention-output'),
    };
  }

  /** Keys and values of the encoded instruction: once per task, read by all its examples. */
  instructionKeys(
    block: string,
    memory: Memory,
    tasks: TaskRows | undefined,
    slot: number,
  ): { sharedKey?: Tensor; sharedValue?: Tensor; sharedOffsets?: Int32Array } {
    if (!memory.instruction) return {};
    const { rows, offsets } = memory.instruction;
    const owner = tasks && { ...tasks, rowOffsets: offsets };
    return {
      sharedKey: this.project(rows, block, 'k', owner, slot),
      sharedValue: this.project(rows, block, 'v', owner, slot),
      sharedOffsets: offsets,
    };
  }

  private feedForward(stream: Stream, layer: string, at: LayerPlace): Stream {
    const { y, x } = this.addNorm(stream, `${layer}.layer_norm`, at.offsets);
    const out = this.denseReluDense(y, layer, at);
    const dropout = at.dropout.at(at.masks, at.layer, 'feed-forward-output');
    if (!at.tasks || !hasAdapter(at.tasks)) return { x, delta: out, dropout };
    // The adapter branch has no dropout (§2.7), so the feed-forward's is applied before the two are added.
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
  ): Tensor {
    const block = `${layer}.DenseReluDense`;
    const hidden = ops.gatedGelu(
      ops.linear(n, this.weight(`${block}.wi_0`)),
      ops.linear(n, this.weight(`${block}.wi_1`)),
      {
        seqOffsets: at.offsets,
        dropout: at.dropout.at(at.masks, at.layer, 'hidden'),
      },
    );
    return ops.linear(hidden, this.weight(`${block}.wo`));
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

function range<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
